"""A convolutional autoencoder: reconstructs a frame from a small code."""

from typing import Annotated

import keras
from pydantic import Field, PositiveInt

from fetal_tf.models.blocks import (
    Upsampling,
    contracting_path,
    conv_block,
    conv_norm_relu6,
    double_size,
    probabilities,
    scaled_input,
)
from fetal_tf.models.registry import MODELS

_MAX_FILTERS = 128


@MODELS.register("autoencoder")
def autoencoder(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    base: PositiveInt = 16,
    depth: Annotated[int, Field(ge=1, le=7)] = 4,
    code: PositiveInt = 8,
    upsampling: Upsampling = "transpose",
) -> keras.Model:
    """A U-Net without skips: the output is computed from the code alone.

    One 3x3 convolution, batch norm and ReLU6 per level. The code has `code` channels at 1/2**depth
    of the size: 256x256 pixels become 16x16x8 = 2048 numbers in 0..6, one for 32 pixels.

    Args:
        input_shape: (height, width, channels), height and width multiples of 2**depth.
        classes: number of output channels; 1 reconstructs a gray frame.
        base: filters of the first level; each level below doubles them, up to 128.
        depth: how often the size is halved.
        code: channels of the code.
        upsampling: see `blocks.double_size`.

    Returns:
        (N, H, W, C) float32 pixels 0..255 to (N, H, W, classes) float32 gray values 0..1. The
        output layer is called "probabilities" as in every model; here it holds the reconstruction.

    Raises:
        ConfigError: a size that is no multiple of 2**depth.
    """
    widths = [min(base * 2**level, _MAX_FILTERS) for level in range(depth + 1)]
    pixels, x = scaled_input(input_shape, multiple=2**depth)

    _, x = contracting_path(x, widths, convs_per_block=1, norm="batch", dropout=0)
    x = conv_norm_relu6(x, code, kernel=1, name="code")
    for level in reversed(range(depth)):
        x = double_size(x, widths[level], norm="batch", upsampling=upsampling, name=f"up_{level}")
        x = conv_block(x, widths[level], convs=1, norm="batch", name=f"decoder_{level}")

    return keras.Model(pixels, probabilities(x, classes, "sigmoid"), name="autoencoder")
