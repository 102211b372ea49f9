"""From what a network says to measurements with units, flags and reasons to refuse."""
