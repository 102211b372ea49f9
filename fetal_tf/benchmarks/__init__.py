"""Speed and memory of whole commands, as ratios within one run."""
