"""From samples to rows to a summary, for every predictor; and what was evaluated on what."""
