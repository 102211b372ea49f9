"""The configuration tree, how it is read from YAML, and the registries of what it can name."""
