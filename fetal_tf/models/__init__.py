"""Keras functional models, by name. A model is one builder with one `@MODELS.register(name)` line."""

import keras

from fetal_tf.registry import Registry

MODELS: Registry[keras.Model] = Registry("model")

from fetal_tf.models import unet as unet  # noqa: E402  (registers itself)
