"""A U-Net for tablets, which works at 1/2 or 1/4 of the frame's resolution.

An ordinary U-Net spends most of its time on its first level, where features are few and pixels
many. Here a convolution of stride 2 or 4 reduces the frame first, and the last layer enlarges the
decoder's logits to the frame's size. An ellipse fitted to a sub-pixel contour loses little by it.
The time saved pays for more filters and levels, or for a larger frame.

Sources: Ronneberger, Fischer, Brox 2015, arXiv 1505.04597, for encoder, decoder and skips; Sandler
et al. 2018, arXiv 1801.04381, for the stem of stride 2 and ReLU6; Shi et al. 2016, arXiv
1609.05158, for sub-pixel enlarging.
"""

from typing import Annotated, Literal

import keras
from keras import layers
from pydantic import Field, PositiveInt

from fetal_tf.models.blocks import (
    Enlarging,
    Head,
    Upsampling,
    contracting_path,
    conv_block,
    double_size,
    norm_relu6,
    probabilities,
    scaled_input,
)
from fetal_tf.models.registry import MODELS

Widths = Annotated[list[PositiveInt], Field(min_length=2, max_length=6)]


@MODELS.register("mobile_unet")
def mobile_unet(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    widths: Widths = [16, 32, 64, 128, 128],  # noqa: B006  (never changed)
    convs_per_block: PositiveInt = 2,
    decoder_convs: PositiveInt = 1,
    stem_stride: Literal[2, 4] = 2,
    stem_filters: PositiveInt | None = None,
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    upsampling: Upsampling = "bilinear",
    enlarging: Enlarging = "bilinear",
    head: Head = "sigmoid",
) -> keras.Model:
    """A U-Net at a half or a quarter of the frame's resolution, made to be quantized.

    Args:
        input_shape: (height, width, channels), height and width multiples of
            stem_stride * 2**(len(widths) - 1).
        classes: number of output channels.
        widths: filters per level, finest first; the last number is the bottleneck's.
        convs_per_block: 3x3 convolutions per level of the encoder.
        decoder_convs: 3x3 convolutions per level of the decoder.
        stem_stride: by how much the stem reduces height and width; with 4 its 4x4 kernels do not
            overlap.
        stem_filters: filters of the stem; null for as many as the first level has.
        dropout: rate of spatial dropout at the deepest levels, see `blocks.contracting_path`.
        upsampling: see `unet`.
        enlarging: of the logits to the frame's grid, see `blocks.probabilities`.
        head: see `blocks.probabilities`.

    Returns:
        (N, H, W, C) float32 pixels 0..255 to (N, H, W, classes) float32 probabilities.

    Raises:
        ConfigError: a size that is no such multiple, or softmax for one class.
    """
    pixels, x = scaled_input(input_shape, multiple=stem_stride * 2 ** (len(widths) - 1))
    x = layers.Conv2D(
        stem_filters or widths[0],
        max(3, stem_stride),
        strides=stem_stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name="stem",
    )(x)
    x = norm_relu6(x, norm="batch", name="stem")
    skips, x = contracting_path(
        x, widths, convs_per_block=convs_per_block, norm="batch", dropout=dropout
    )
    for level in reversed(range(len(skips))):
        x = double_size(x, widths[level], norm="batch", upsampling=upsampling, name=f"up_{level}")
        x = layers.Concatenate(name=f"skip_{level}")([x, skips[level]])
        x = conv_block(x, widths[level], convs=decoder_convs, norm="batch", name=f"decoder_{level}")
    output = probabilities(x, classes, head, enlarge=stem_stride, enlarging=enlarging)
    return keras.Model(pixels, output, name="mobile_unet")
