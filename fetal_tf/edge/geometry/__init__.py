"""Letterbox, contours, ellipses and points: arrays in, arrays out."""
