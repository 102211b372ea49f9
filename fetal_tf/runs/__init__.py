"""A run's folder: config, environment, history, lineage and fitted measurement settings."""
