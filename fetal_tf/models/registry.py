"""The registry of models: a builder takes the input's shape and the number of classes."""

import keras

from fetal_tf.config.registry import Registry

MODELS: Registry[keras.Model] = Registry("model")
