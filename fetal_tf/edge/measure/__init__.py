"""From a network's output to measurements with units, flags and reasons for refusal."""
