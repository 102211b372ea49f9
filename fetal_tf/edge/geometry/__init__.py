"""Pure geometry: letterbox, contours, ellipses, landmarks and the head's axis."""
