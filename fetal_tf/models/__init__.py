"""Keras functional models, by name.

A model is one builder here with one `@MODELS.register(name)` line and one import below; it is done
when `tests/models/test_conformance.py` passes for its name.
"""

from fetal_tf.models import attention_unet as attention_unet
from fetal_tf.models import autoencoder as autoencoder
from fetal_tf.models import deeplab as deeplab
from fetal_tf.models import efficientnet as efficientnet
from fetal_tf.models import mobile_unet as mobile_unet
from fetal_tf.models import resnet_unet as resnet_unet
from fetal_tf.models import unet as unet
from fetal_tf.models.registry import MODELS as MODELS
