"""Reads images and pixel sizes; writes files and folders atomically."""
