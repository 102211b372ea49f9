"""What runs on the tablet: importable without TensorFlow or Keras."""
