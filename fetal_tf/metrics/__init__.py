"""Keras metrics: what the progress bar and TensorBoard show during training."""
