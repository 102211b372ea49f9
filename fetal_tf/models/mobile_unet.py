"""A U-Net for tablets: the full grid is left at once and comes back in the last layer alone.

An ordinary U-Net spends most of its time on its first level, where features are few and pixels
many. Here a convolution of stride 2 halves the frame first, and what the decoder says on that grid
is interpolated as logits: a measurement that fits an ellipse to a contour between the pixels loses
nothing by it. What is saved goes into width and depth: the deepest features see the whole frame.

Source of the parts: Ronneberger, Fischer, Brox 2015, arXiv 1505.04597, for encoder, decoder and
skips; Sandler et al. 2018, arXiv 1801.04381, for the stem of stride 2 and ReLU6.
"""

from typing import Annotated

import keras
from keras import KerasTensor, layers
from pydantic import Field, PositiveInt

from fetal_tf.models import MODELS
from fetal_tf.models.blocks import (
    Head,
    Upsampling,
    contracting_path,
    conv_block,
    double_size,
    norm_relu6,
    probabilities,
    scaled_input,
)

STEM_STRIDE = 2
CONTEXT_FEATURES = 32
Widths = Annotated[list[PositiveInt], Field(min_length=2, max_length=6)]


@MODELS.register("mobile_unet")
def mobile_unet(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    widths: Widths = [16, 32, 64, 128, 128],  # noqa: B006  (never changed)
    convs_per_block: PositiveInt = 2,
    decoder_convs: PositiveInt = 1,
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    upsampling: Upsampling = "bilinear",
    context: bool = False,
    head: Head = "sigmoid",
) -> keras.Model:
    """A U-Net at half of the frame's resolution, made to be quantized.

    Args:
        input_shape: (height, width, channels), height and width multiples of 2**len(widths).
        classes: number of output channels.
        widths: filters per level, the first at half of the frame's resolution; the last is the
            bottleneck's.
        convs_per_block: 3x3 convolutions per level of the encoder.
        decoder_convs: likewise of the decoder.
        dropout: rate of spatial dropout at the deep end, see `blocks.contracting_path`.
        upsampling: see `unet`.
        context: let the whole frame's mean features scale and shift what the decoder says, for data
            of several centres, see `_in_context`. At first nothing is changed by it, so a run
            without may be the start of one with it.
        head: see `blocks.probabilities`.

    Returns:
        (N, H, W, C) float32 pixels 0..255 to (N, H, W, classes) float32 probabilities.

    Raises:
        ConfigError: a size that is no such multiple, or softmax for one class.
    """
    pixels, x = scaled_input(input_shape, multiple=2 ** len(widths))
    x = layers.Conv2D(
        widths[0],
        3,
        strides=STEM_STRIDE,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name="stem",
    )(x)
    x = norm_relu6(x, norm="batch", name="stem")
    skips, x = contracting_path(
        x, widths, convs_per_block=convs_per_block, norm="batch", dropout=dropout
    )
    style = _style([*skips, x]) if context else None
    for level in reversed(range(len(skips))):
        x = double_size(x, widths[level], norm="batch", upsampling=upsampling, name=f"up_{level}")
        x = layers.Concatenate(name=f"skip_{level}")([x, skips[level]])
        x = conv_block(x, widths[level], convs=decoder_convs, norm="batch", name=f"decoder_{level}")
        if style is not None:
            x = _in_context(x, style, name=f"context_{level}")
    output = probabilities(x, classes, head, enlarge=STEM_STRIDE)
    return keras.Model(pixels, output, name="mobile_unet")


def _style(features: list[KerasTensor]) -> KerasTensor:
    """What the frame looks like as a whole, (N, 1, 1, CONTEXT_FEATURES), in 0..6.

    The means of every level: texture and gain from the fine ones, the scene from the coarse ones.
    """
    # float32: bfloat16 has too few digits for a mean over a whole grid.
    means = [
        layers.GlobalAveragePooling2D(keepdims=True, dtype="float32", name=f"context_mean_{i}")(x)
        for i, x in enumerate(features)
    ]
    x = layers.Concatenate(dtype="float32", name="context_means")(means)
    return layers.Conv2D(CONTEXT_FEATURES, 1, activation="relu6", name="context")(x)


def _in_context(x: KerasTensor, style: KerasTensor, name: str) -> KerasTensor:
    """Features (N, h, w, C) scaled by 0..2 and shifted, channel by channel, as the style asks.

    Where centres draw the same border in different places (outside or in the middle of the skull),
    a net that only looks about a pixel can but answer with the mean of both. Scale and shift begin
    at 1 and 0.

    Source: Perez et al. 2018, "FiLM: visual reasoning with a general conditioning layer",
    arXiv 1709.07871, with the scale bounded, as int8 needs it.
    """
    scale, shift = (
        layers.Conv2D(
            x.shape[-1],
            1,
            activation=activation,
            kernel_initializer="zeros",
            name=f"{name}_{kind}",
        )(style)
        for kind, activation in (("scale", "sigmoid"), ("shift", "linear"))
    )
    twice = layers.Rescaling(2.0, name=f"{name}_twice")(scale)
    scaled = layers.Multiply(name=f"{name}_scaled")([x, twice])
    return layers.Add(name=f"{name}_shifted")([scaled, shift])
