"""Runs in MLflow: what a run's folder holds is brought there, live or later, by the same lines."""
