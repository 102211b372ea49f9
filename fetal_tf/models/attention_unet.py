"""The Attention U-Net: a U-Net with an attention gate on each skip, driven by the coarser level.

Source: Oktay et al. 2018, "Attention U-Net: Learning Where to Look for the Pancreas",
arXiv 1804.03999; here in two dimensions, with ReLU6 and a static size for int8.
"""

from typing import Annotated, Literal

import keras
from keras import KerasTensor, layers
from pydantic import Field, PositiveInt

from fetal_tf.models.blocks import (
    Head,
    InputRange,
    Norm,
    Upsampling,
    contracting_path,
    conv_block,
    double_size,
    probabilities,
    scaled_input,
)
from fetal_tf.models.registry import MODELS


@MODELS.register("attention_unet")
def attention_unet(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    base: PositiveInt = 64,
    depth: Annotated[int, Field(ge=2, le=7)] = 4,
    convs_per_block: Literal[1, 2] = 2,
    max_filters: PositiveInt = 1024,
    norm: Norm = "batch",
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    upsampling: Upsampling = "transpose",
    head: Head = "softmax",
    input_range: InputRange = "minus_one_one",
) -> keras.Model:
    """A U-Net with an additive attention gate on every skip but the topmost.

    The topmost skip has no gate, as in the paper: its features are too simple to compare with the
    gating signal. Gates are numbered by level, so the first one is `gate_1`;
    `fetal_tf.training.attention_maps` reads and draws their maps.

    Parameters with the defaults, one input channel and four classes: 31,568,327, of which the gates
    have 516,995; with `convs_per_block=1` 15,852,487. A master's thesis that segments the fetal
    brain with an Attention U-Net of base 64 and depth 4 states 15.1 M, as with single ones.

    Args:
        input_shape: (height, width, channels), height and width multiples of 2**depth.
        classes: number of output channels.
        base: filters of the first level; each level below doubles them.
        depth: how often the size is halved; at least 2, because with 1 there is no gate.
        convs_per_block: 3x3 convolutions per block.
        max_filters: upper limit of the doubling.
        norm: of the convolution blocks, see `blocks.norm_relu6`; the gates have none.
        dropout: rate of spatial dropout at the deepest levels, see `blocks.contracting_path`.
        upsampling: see `unet.unet`.
        head: see `blocks.probabilities`.
        input_range: of the pixels after the first layer.

    Returns:
        (N, H, W, C) float32 pixels 0..255 to (N, H, W, classes) float32 probabilities.

    Raises:
        ConfigError: a size that is no multiple of 2**depth, or softmax for one class.
    """
    widths = [min(base * 2**level, max_filters) for level in range(depth + 1)]
    pixels, x = scaled_input(input_shape, multiple=2**depth, input_range=input_range)
    skips, x = contracting_path(
        x, widths, convs_per_block=convs_per_block, norm=norm, dropout=dropout
    )
    for level in reversed(range(depth)):
        skip = attention_gate(skips[level], x, name=f"gate_{level}") if level else skips[level]
        x = double_size(x, widths[level], norm=norm, upsampling=upsampling, name=f"up_{level}")
        x = layers.Concatenate(name=f"skip_{level}")([x, skip])
        x = conv_block(x, widths[level], convs=convs_per_block, norm=norm, name=f"decoder_{level}")
    return keras.Model(pixels, probabilities(x, classes, head), name="attention_unet")


def attention_gate(skip: KerasTensor, signal: KerasTensor, *, name: str) -> KerasTensor:
    """Additive attention gate: the skip, each pixel times a weight from skip and coarser level.

    With x the skip and g the signal: a = sigmoid(psi(relu6(W_x x + W_g g + b_g)) + b_psi), and the
    result is x times a. W_x and W_g map to half of the skip's channels. W_x takes every second
    pixel, so a is computed on the signal's grid; it is then interpolated to the skip's.

    Args:
        skip: x, (N, 2h, 2w, c).
        signal: g, (N, h, w, any), the decoder's output one level below, or the bottleneck.
        name: of the gate; the map a, (N, 2h, 2w, 1) in 0..1, is the output of `<name>_map`.

    Returns:
        (N, 2h, 2w, c), in the range of the skip.

    Source: Oktay et al. 2018, eq. 1-2, the gate's grid from figure 2. ReLU6 instead of ReLU.
    """
    between = max(1, skip.shape[-1] // 2)
    # Pooling instead of a strided 1x1 convolution, whose gradient corrupts memory in TensorFlow
    # 2.21 on the CPU for fewer than 16 channels and odd batches.
    every_second = layers.MaxPooling2D(1, strides=2, name=f"{name}_every_second")(skip)
    of_skip = layers.Conv2D(
        between, 1, use_bias=False, kernel_initializer="he_normal", name=f"{name}_wx"
    )(every_second)
    of_signal = layers.Conv2D(between, 1, kernel_initializer="he_normal", name=f"{name}_wg")(signal)
    x = layers.Add(name=f"{name}_add")([of_skip, of_signal])
    x = layers.ReLU(max_value=6.0, name=f"{name}_relu6")(x)
    x = layers.Conv2D(1, 1, activation="sigmoid", name=f"{name}_psi")(x)
    attention = layers.UpSampling2D(interpolation="bilinear", name=f"{name}_map")(x)
    return layers.Multiply(name=f"{name}_gated")([skip, attention])
