"""Keras losses by name, and the arithmetic that they share with metrics."""
