"""Residual networks as encoders: what a decoder needs is their features at every size.

Source: He, Zhang, Ren, Sun 2015, "Deep Residual Learning for Image Recognition", arXiv 1512.03385:
convolution, batch norm and ReLU in its first form (v1), whose strides sit in a block's first
convolution. Padding and layer names are those of keras.applications, so that its weights fit.

Written here because the libraries would cost more than these lines: KerasCV, which has them, is no
longer developed, and pulls in TensorFlow Datasets; KerasHub installs `tensorflow` over
`tensorflow-cpu`; neither imports without TensorFlow.
"""

import re
from collections.abc import Sequence
from typing import Literal

import keras
from keras import KerasTensor, layers

from fetal_tf.edge.errors import ConfigError

RESNET_34 = RESNET_50 = (3, 4, 6, 3)  # blocks of the four stages
PUBLISHED_BASE = 64


def resnet(
    x: KerasTensor,
    blocks: Sequence[int],
    *,
    bottleneck: bool,
    base: int = PUBLISHED_BASE,
    output_stride: Literal[16, 32] = 32,
) -> list[KerasTensor]:
    """The features of a residual network at 1/2, 1/4, 1/8, 1/16 and 1/32 of the size.

    Plain ReLU, not the ReLU6 of our own blocks: that is how ImageNet weights were trained.

    Args:
        x: (N, H, W, c), normalized pixels.
        blocks: residual blocks per stage.
        bottleneck: blocks of 1x1, 3x3, 1x1 with four times the filters at their end (ResNet-50 and
            deeper) instead of two 3x3 (ResNet-18 and -34).
        base: filters of the first stage; each stage doubles them. The paper's 64 fits published
            weights, less trains faster.
        output_stride: 16 keeps the last stage at 1/16 and dilates its 3x3 convolutions, so that it
            sees as much as before on a finer grid (Chen et al. 2017, arXiv 1706.05587). Only for
            bottlenecks.

    Returns:
        Five tensors, finest first: (N, H/2, W/2, base), then one per stage.

    Raises:
        ValueError: output stride 16 without bottlenecks.
    """
    if output_stride == 16 and not bottleneck:
        raise ValueError("output_stride 16 is for bottleneck blocks")
    x = layers.ZeroPadding2D(3, name="conv1_pad")(x)
    x = _conv_norm(x, base, 7, stride=2, padding="valid", name="conv1")
    x = layers.ReLU(name="conv1_relu")(x)
    features = [x]
    x = layers.ZeroPadding2D(1, name="pool1_pad")(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool1_pool")(x)
    size = 4
    for stage, count in enumerate(blocks):
        stride = 1 if stage == 0 or size == output_stride else 2
        dilation = 2 if stage > 0 and stride == 1 else 1
        size *= stride
        filters = base * 2**stage
        for number in range(count):
            step = stride if number == 0 else 1
            name = f"conv{stage + 2}_block{number + 1}"
            if bottleneck:
                x = _bottleneck(x, filters, stride=step, dilation=dilation, name=name)
            else:
                x = _basic(x, filters, stride=step, name=name)
        features.append(x)
    return features


def check_base(weights: object, base: int) -> None:
    """ConfigError where published weights are asked for with another width than theirs."""
    if weights is not None and base != PUBLISHED_BASE:
        raise ConfigError(
            f"model.weights: published ones are for base {PUBLISHED_BASE}, found base {base}"
        )


def encoder_layers(model: keras.Model) -> list[keras.Layer]:
    """The layers of `model` that `resnet` has made."""
    return [layer for layer in model.layers if re.match(r"conv[1-5]_|pool1_", layer.name)]


def _bottleneck(
    x: KerasTensor, filters: int, *, stride: int, dilation: int, name: str
) -> KerasTensor:
    x = _every_second(x, stride, name)
    shortcut = x
    if x.shape[-1] != 4 * filters:
        shortcut = _conv_norm(x, 4 * filters, 1, name=f"{name}_0")
    x = layers.ReLU(name=f"{name}_1_relu")(_conv_norm(x, filters, 1, name=f"{name}_1"))
    x = _conv_norm(x, filters, 3, dilation=dilation, name=f"{name}_2")
    x = layers.ReLU(name=f"{name}_2_relu")(x)
    x = _conv_norm(x, 4 * filters, 1, name=f"{name}_3")
    x = layers.Add(name=f"{name}_add")([shortcut, x])
    return layers.ReLU(name=f"{name}_out")(x)


def _basic(x: KerasTensor, filters: int, *, stride: int, name: str) -> KerasTensor:
    shortcut = x
    if stride > 1 or x.shape[-1] != filters:
        shortcut = _conv_norm(_every_second(x, stride, name), filters, 1, name=f"{name}_0")
    if stride > 1:  # padded on all sides: "same" would shift the grid by half a pixel a stage
        x = layers.ZeroPadding2D(1, name=f"{name}_1_pad")(x)
    padding = "valid" if stride > 1 else "same"
    x = _conv_norm(x, filters, 3, stride=stride, padding=padding, name=f"{name}_1")
    x = layers.ReLU(name=f"{name}_1_relu")(x)
    x = _conv_norm(x, filters, 3, name=f"{name}_2")
    x = layers.Add(name=f"{name}_add")([shortcut, x])
    return layers.ReLU(name=f"{name}_out")(x)


def _every_second(x: KerasTensor, stride: int, name: str) -> KerasTensor:
    """What a strided 1x1 convolution sees, whose own gradient `attention_gate` warns of."""
    if stride == 1:
        return x
    return layers.MaxPooling2D(1, strides=stride, name=f"{name}_every_second")(x)


def _conv_norm(
    x: KerasTensor,
    filters: int,
    kernel: int,
    *,
    name: str,
    stride: int = 1,
    dilation: int = 1,
    padding: str = "same",
) -> KerasTensor:
    x = layers.Conv2D(
        filters,
        kernel,
        strides=stride,
        dilation_rate=dilation,
        padding=padding,
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    # The momentum of `blocks.norm_relu6`, for its reason.
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(x)
