"""The registry of models: a builder takes input_shape and classes, and returns a Keras model."""

import keras

from fetal_tf.config.registry import Registry

MODELS: Registry[keras.Model] = Registry("model")
