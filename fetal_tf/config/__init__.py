"""Configuration: the typed tree, reading it from YAML, and registries of named components."""
