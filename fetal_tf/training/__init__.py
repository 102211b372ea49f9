"""Fitting a model epoch by epoch, so that it can be stopped and resumed at any moment."""
