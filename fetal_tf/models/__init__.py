"""Keras functional models, by name.

A model is one builder here with one `@MODELS.register(name)` line and one import below; it is done
when `tests/models/test_conformance.py` passes for its name.
"""

import keras

from fetal_tf.registry import Registry

MODELS: Registry[keras.Model] = Registry("model")

from fetal_tf.models import attention_unet as attention_unet  # noqa: E402  (registers itself)
from fetal_tf.models import autoencoder as autoencoder  # noqa: E402  (registers itself)
from fetal_tf.models import deeplab as deeplab  # noqa: E402  (registers itself)
from fetal_tf.models import efficientnet as efficientnet  # noqa: E402  (registers itself)
from fetal_tf.models import mobile_unet as mobile_unet  # noqa: E402  (registers itself)
from fetal_tf.models import resnet_unet as resnet_unet  # noqa: E402  (registers itself)
from fetal_tf.models import unet as unet  # noqa: E402  (registers itself)
