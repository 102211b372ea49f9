"""Layers that more than one model is made of: checked input, convolution block, output head."""

from math import gcd
from typing import Literal

from keras import Input, KerasTensor, layers

from fetal_tf.edge.errors import ConfigError

Norm = Literal["batch", "group", "none"]
Head = Literal["sigmoid", "softmax"]


def scaled_input(
    input_shape: tuple[int, int, int], multiple: int
) -> tuple[KerasTensor, KerasTensor]:
    """The model's input (N, H, W, C), float32 0..255, and the same scaled to 0..1.

    The scaling stays in float32 under every policy: bfloat16 cannot hold 1/255.

    Raises:
        ConfigError: if height or width is not a multiple of `multiple`.
    """
    height, width = input_shape[:2]
    if height % multiple or width % multiple:
        fits = [_nearest_multiples(side, multiple) for side in (height, width)]
        sizes = sorted({f"[{h}, {w}]" for h in fits[0] for w in fits[1]})
        raise ConfigError(
            f"data.image_size: [{height}, {width}] does not suit a model that halves it to "
            f"1/{multiple}: height and width must be multiples of {multiple}; "
            f"nearest that work: {', '.join(sizes)}"
        )
    pixels = Input(input_shape, name="pixels")
    return pixels, layers.Rescaling(1 / 255, dtype="float32", name="scale_0_1")(pixels)


def conv_norm_relu6(
    x: KerasTensor, filters: int, *, name: str, norm: Norm = "batch", kernel: int = 3
) -> KerasTensor:
    """Convolution, normalization, ReLU6: (N, h, w, c) to (N, h, w, filters), same size."""
    conv = layers.Conv2D(
        filters,
        kernel,
        padding="same",
        use_bias=norm == "none",  # the normalization brings its own offset
        kernel_initializer="he_normal",
        name=name,
    )
    return norm_relu6(conv(x), norm=norm, name=name)


def norm_relu6(x: KerasTensor, *, name: str, norm: Norm) -> KerasTensor:
    """Normalization and ReLU6, whose fixed range 0..6 is what int8 quantizes best.

    Batch norm folds into the convolution before it on export. Group norm does not: it leaves
    fourteen more operators per layer in the TFLite file and, in int8, cuts the delegate's part
    into pieces. Train with it where batches are tiny; do not ship it to a tablet.
    """
    if norm == "batch":
        # 0.9, not Keras' 0.99: an epoch here has about 100 steps, and validation after the first
        # one must not run on statistics that still remember their initial values.
        x = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
    elif norm == "group":
        x = layers.GroupNormalization(groups=gcd(8, x.shape[-1]), name=f"{name}_norm")(x)
    return layers.ReLU(max_value=6.0, name=f"{name}_relu6")(x)


def probabilities(x: KerasTensor, classes: int, head: Head) -> KerasTensor:
    """The output (N, H, W, classes), float32 under every policy, named "probabilities".

    `sigmoid` gives independent channels, which may overlap (heart inside thorax) and need no
    background channel. `softmax` gives channels that sum to one, background among them. The bias
    starts at zero: behind normalized features it finds a rare class's rate within some steps.

    Raises:
        ConfigError: if `head` is softmax for a single class, which would be 1 everywhere.
    """
    if head == "softmax" and classes < 2:
        raise ConfigError(
            "model.head: softmax over one class is 1 everywhere; use sigmoid, or list the "
            "background as a class of its own"
        )
    return layers.Conv2D(classes, 1, activation=head, dtype="float32", name="probabilities")(x)


def _nearest_multiples(side: int, multiple: int) -> list[int]:
    """The multiples just below and above `side`, or `side` itself; none below one multiple."""
    below, above = side // multiple * multiple, -(-side // multiple) * multiple
    return sorted({max(below, multiple), above})
