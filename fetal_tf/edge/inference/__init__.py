"""Run exported files as predictors, also on mirrored and brightened views of a frame."""
