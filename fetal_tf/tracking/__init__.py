"""Runs in MLflow: `sync` brings there what a run's folder holds, during training or later."""
