"""Landmarks as coordinates: an EfficientNet encoder and a dense layer for the whole frame.

Source of the encoder: Tan, Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional
Neural Networks", arXiv 1905.11946, as keras.applications has it.
"""

from typing import Annotated, Literal

import keras
from keras import layers
from pydantic import Field, PositiveInt

from fetal_tf.edge.errors import ConfigError
from fetal_tf.models.blocks import imagenet_input
from fetal_tf.models.pretrained import Backbone, Weights, load_encoder
from fetal_tf.models.registry import MODELS

_SMALLEST = 32  # px, of keras.applications
_PUBLISHED: dict[str, Backbone] = {"b0": "efficientnetb0", "b3": "efficientnetb3"}


@MODELS.register("efficientnetb3_regressor")
def efficientnetb3_regressor(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    backbone: Literal["b0", "b3"] = "b3",
    weights: Weights = None,
    dense_units: PositiveInt = 256,
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3,
) -> keras.Model:
    """EfficientNet-B3, global average pooling, a dense layer with dropout, x and y per landmark.

    The encoder has 10,783,528 parameters with "b3" (the paper's 12 M less the classifier) and
    4,049,564 with "b0"; the dense layers add 395,528 and 329,992 at four landmarks. The momentum of
    its batch norms is 0.9 instead of 0.99, for the reason given in `blocks.norm_relu6`.

    Args:
        input_shape: (height, width, channels), height and width at least 32, channels 1 or 3.
        classes: number of landmarks.
        backbone: "b3" as published, or "b0", a quarter of the computation.
        weights: of the encoder: "imagenet" from Keras' cache, the path of a .h5 or .keras file, or
            null for random ones; see `pretrained.load_encoder`.
        dense_units: neurons between the pooled features and the coordinates.
        dropout: rate after the dense layer.

    Returns:
        (N, H, W, C) float32 pixels 0..255 to (N, classes, 2) float32, x and y as shares of width
        and height; the output layer is called "landmarks" and is linear. An untrained model
        answers near (0.5, 0.5).

    Raises:
        ConfigError: a frame below 32x32, or weights of something else.
    """
    if min(input_shape[:2]) < _SMALLEST:
        raise ConfigError(
            f"data.image_size: {list(input_shape[:2])} is too small for an EfficientNet: at least "
            f"[{_SMALLEST}, {_SMALLEST}]"
        )
    pixels, x = imagenet_input(input_shape)
    encoder = _encoder(backbone, input_shape)
    load_encoder(encoder.layers, _PUBLISHED[backbone], weights)
    x = encoder(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dense(dense_units, activation="relu", name="dense")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    # In float32 under every policy: bfloat16 would round to two pixels in a frame of 512.
    x = layers.Dense(
        2 * classes,
        # With Glorot's larger weights the first answers would lie outside of the frame.
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
        bias_initializer=keras.initializers.Constant(0.5),
        dtype="float32",
        name="coordinates",
    )(x)
    x = layers.Reshape((classes, 2), dtype="float32", name="pairs")(x)
    x = layers.Activation("linear", dtype="float32", name="landmarks")(x)
    return keras.Model(pixels, x, name="efficientnetb3_regressor")


def _encoder(backbone: Literal["b0", "b3"], input_shape: tuple[int, int, int]) -> keras.Model:
    """keras.applications' net without its rescaling layers, which `imagenet_input` replaces.

    Those are right only with the ImageNet file, which holds the means, and compute in half
    precision under a mixed policy.
    """
    builders = {"b0": keras.applications.EfficientNetB0, "b3": keras.applications.EfficientNetB3}
    whole = builders[backbone](include_top=False, weights=None, input_shape=(*input_shape[:2], 3))
    for layer in whole.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.9
    stem = whole.get_layer("stem_conv_pad").input
    return keras.Model(stem, whole.output, name=_PUBLISHED[backbone])
