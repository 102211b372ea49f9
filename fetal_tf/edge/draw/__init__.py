"""Measurements as pictures: outlines, diameters, maps, and the numbers below the frame."""
