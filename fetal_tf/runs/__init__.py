"""A run's folder: config, environment, history, lineage, and what its measurer was fitted to."""
