"""U-Nets for segmentation: the small one of the student study, and one of any size.

Source: Ronneberger, Fischer, Brox 2015, arXiv 1505.04597, with "same" padding, so that the output
has the size of the input.
"""

from typing import Annotated

import keras
from keras import KerasTensor, layers
from pydantic import Field, PositiveInt

from fetal_tf.models.blocks import (
    Head,
    Norm,
    Upsampling,
    contracting_path,
    conv_block,
    double_size,
    probabilities,
    scaled_input,
)
from fetal_tf.models.registry import MODELS


@MODELS.register("small_unet")
def small_unet(
    input_shape: tuple[int, int, int], classes: int, *, head: Head = "sigmoid"
) -> keras.Model:
    """The student study's U-Net: filters 16-32, bottleneck 64, then 32-16; 0.12 M parameters.

    Two 3x3 convolutions with ReLU per block, max-pooling, 2x2 transposed convolutions, no
    normalization. Kept as published, for comparison; use `unet` for new work.

    Args:
        input_shape: (height, width, channels), height and width multiples of 4.
        classes: number of output channels.
        head: see `blocks.probabilities`.

    Returns:
        (N, H, W, C) float32 pixels 0..255 to (N, H, W, classes) float32 probabilities.

    Raises:
        ConfigError: a size that is no multiple of 4, or softmax for one class.
    """
    pixels, x = scaled_input(input_shape, multiple=4)
    skips = []
    for level, filters in enumerate((16, 32)):
        x = _plain_block(x, filters, f"encoder_{level}")
        skips.append(x)
        x = layers.MaxPooling2D(name=f"pool_{level}")(x)
    x = _plain_block(x, 64, "bottleneck")
    for level, filters in ((1, 32), (0, 16)):
        x = layers.Conv2DTranspose(filters, 2, strides=2, name=f"up_{level}")(x)
        x = layers.Concatenate(name=f"skip_{level}")([x, skips[level]])
        x = _plain_block(x, filters, f"decoder_{level}")
    return keras.Model(pixels, probabilities(x, classes, head), name="small_unet")


@MODELS.register("unet")
def unet(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    base: PositiveInt = 16,
    depth: Annotated[int, Field(ge=1, le=7)] = 4,
    convs_per_block: PositiveInt = 2,
    max_filters: PositiveInt = 256,
    norm: Norm = "batch",
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    upsampling: Upsampling = "transpose",
    head: Head = "sigmoid",
) -> keras.Model:
    """A U-Net for quantization: bias-free convolution, batch norm, ReLU6, static size.

    Args:
        input_shape: (height, width, channels), height and width multiples of 2**depth.
        classes: number of output channels.
        base: filters of the first level; each level below doubles them.
        depth: how often the size is halved.
        convs_per_block: 3x3 convolutions per block.
        max_filters: upper limit of the doubling.
        norm: "group" for tiny batches, but it quantizes badly: see `blocks.norm_relu6`.
        dropout: rate of spatial dropout at the deepest levels, see `blocks.contracting_path`.
        upsampling: "transpose" learns a 2x2 kernel; "bilinear" interpolates after a 1x1
            convolution, with fewer parameters and no checkerboard.
        head: see `blocks.probabilities`.

    Returns:
        (N, H, W, C) float32 pixels 0..255 to (N, H, W, classes) float32 probabilities.

    Raises:
        ConfigError: a size that is no multiple of 2**depth, or softmax for one class.
    """
    widths = [min(base * 2**level, max_filters) for level in range(depth + 1)]
    pixels, x = scaled_input(input_shape, multiple=2**depth)

    skips, x = contracting_path(
        x, widths, convs_per_block=convs_per_block, norm=norm, dropout=dropout
    )
    for level in reversed(range(depth)):
        x = double_size(x, widths[level], norm=norm, upsampling=upsampling, name=f"up_{level}")
        x = layers.Concatenate(name=f"skip_{level}")([x, skips[level]])
        x = conv_block(x, widths[level], convs=convs_per_block, norm=norm, name=f"decoder_{level}")

    return keras.Model(pixels, probabilities(x, classes, head), name="unet")


def _plain_block(x: KerasTensor, filters: int, name: str) -> KerasTensor:
    for i in range(2):
        x = layers.Conv2D(
            filters,
            3,
            padding="same",
            activation="relu",
            kernel_initializer="he_normal",  # Ronneberger's; Glorot's stalls at "all background"
            name=f"{name}_conv{i}",
        )(x)
    return x
