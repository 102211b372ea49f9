"""Keras functional models, by name.

A new model is one builder with a `@MODELS.register(name)` line, and one import below. It is done
when `tests/models/test_conformance.py` passes for its name.
"""

from fetal_tf.models import attention_unet as attention_unet
from fetal_tf.models import autoencoder as autoencoder
from fetal_tf.models import efficientnet as efficientnet
from fetal_tf.models import keras_cv_encoder as keras_cv_encoder
from fetal_tf.models import mobile_unet as mobile_unet
from fetal_tf.models import unet as unet
from fetal_tf.models.registry import MODELS as MODELS
