"""Studies of finished runs: comparison, robustness, uncertainty, plane gate, seeds, Pareto."""
