"""Scores of an evaluation in NumPy: per image, pooled, with confidence intervals."""
