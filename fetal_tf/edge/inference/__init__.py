"""Predictors over exported files, and views of a frame that they are asked again with."""
