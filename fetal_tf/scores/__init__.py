"""Figures of merit in NumPy: per image, pooled, with intervals; what evaluation publishes."""
