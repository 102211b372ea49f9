"""Draws measurements: lines on the frame, heatmaps around it, numbers below it."""
