"""From samples to training batches: augmentation, targets, sampling, mixing, teachers, tf.data."""
