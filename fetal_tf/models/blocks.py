"""Layers that several models share: checked input, convolution blocks, output head."""

from collections.abc import Sequence
from math import gcd
from typing import Literal

from keras import Input, KerasTensor, layers

from fetal_tf.edge.errors import ConfigError

Norm = Literal["batch", "group", "none"]
Head = Literal["sigmoid", "softmax"]
Upsampling = Literal["transpose", "bilinear"]
Enlarging = Literal["bilinear", "sub_pixel"]
InputRange = Literal["zero_one", "minus_one_one"]

IMAGENET_MEAN = (123.675, 116.28, 103.53)  # gray levels 0..255 of red, green, blue
IMAGENET_STD = (58.395, 57.12, 57.375)


def scaled_input(
    input_shape: tuple[int, int, int], multiple: int, input_range: InputRange = "zero_one"
) -> tuple[KerasTensor, KerasTensor]:
    """The model's input (N, H, W, C), float32 0..255, and the same scaled to 0..1 or -1..1.

    The scaling is computed in float32 under every dtype policy: bfloat16 cannot hold 1/255.

    Raises:
        ConfigError: if height or width is not a multiple of `multiple`.
    """
    _check_size(input_shape, multiple)
    x = pixels = Input(input_shape, name="pixels")
    if input_range == "minus_one_one":
        # The shift comes first: int8 then holds every gray level, and the factor folds into the
        # convolution. One Rescaling(1/127.5, -1) would keep two gray levels out of three.
        x = layers.Rescaling(1.0, -127.5, dtype="float32", name="shift")(x)
        x = layers.Rescaling(1 / 127.5, dtype="float32", name="scale_minus1_1")(x)
    else:
        x = layers.Rescaling(1 / 255, dtype="float32", name="scale_0_1")(x)
    return pixels, x


def imagenet_input(
    input_shape: tuple[int, int, int], multiple: int = 1
) -> tuple[KerasTensor, KerasTensor]:
    """The input (N, H, W, 1 or 3), float32 0..255, and (N, H, W, 3) normalized for ImageNet.

    Subtracts the ImageNet mean of red, green and blue and divides by their standard deviation; gray
    is repeated for the three. Computed in float32 under every policy, as in `scaled_input`.

    Raises:
        ConfigError: if height or width is not a multiple of `multiple`.
        ValueError: if there are neither one nor three channels.
    """
    _check_size(input_shape, multiple)
    # One shift for all channels comes before the gray channel is repeated: int8 then holds every
    # gray level. With three shifts after it, the converter gives the pixels the range -124..255.
    middle = sum(IMAGENET_MEAN) / 3
    pixels = Input(input_shape, name="pixels")
    x = layers.Rescaling(1.0, -middle, dtype="float32", name="imagenet_shift")(pixels)
    x = gray_to_rgb(x)
    scale = [1 / std for std in IMAGENET_STD]
    rest = [(middle - m) / std for m, std in zip(IMAGENET_MEAN, IMAGENET_STD, strict=True)]
    return pixels, layers.Rescaling(scale, rest, dtype="float32", name="imagenet_scale")(x)


def gray_to_rgb(x: KerasTensor) -> KerasTensor:
    """(N, H, W, 1), repeated for red, green and blue, or (N, H, W, 3) as it is; float32.

    Raises:
        ValueError: if there are neither one nor three channels.
    """
    if x.shape[-1] == 3:
        return x
    if x.shape[-1] != 1:
        raise ValueError(f"an ImageNet encoder takes 1 or 3 channels, found {x.shape[-1]}")
    return layers.Concatenate(dtype="float32", name="gray_to_rgb")([x, x, x])


def contracting_path(
    x: KerasTensor, widths: Sequence[int], *, convs_per_block: int, norm: Norm, dropout: float
) -> tuple[list[KerasTensor], KerasTensor]:
    """The encoder of a U-Net: one block of convolutions per level, max-pooling between them.

    Args:
        x: (N, H, W, C), height and width multiples of 2**(levels - 1).
        widths: filters per level; the last number is the bottleneck's.
        convs_per_block: 3x3 convolutions per block.
        norm: see `norm_relu6`.
        dropout: rate of spatial dropout (whole feature maps) after the bottleneck and after the
            deepest encoder block, before its skip, as in Ronneberger's paper. The fine levels have
            none: it would blur the border that we measure.

    Returns:
        The skips, finest first, skip i being (N, H / 2**i, W / 2**i, widths[i]), and the
        bottleneck, one more halving below.
    """
    skips = []
    for level, filters in enumerate(widths[:-1]):
        x = conv_block(x, filters, convs=convs_per_block, norm=norm, name=f"encoder_{level}")
        if dropout and level == len(widths) - 2:
            x = layers.SpatialDropout2D(dropout, name=f"encoder_{level}_dropout")(x)
        skips.append(x)
        x = layers.MaxPooling2D(name=f"pool_{level}")(x)
    x = conv_block(x, widths[-1], convs=convs_per_block, norm=norm, name="bottleneck")
    if dropout:
        x = layers.SpatialDropout2D(dropout, name="bottleneck_dropout")(x)
    return skips, x


def conv_block(x: KerasTensor, filters: int, *, convs: int, norm: Norm, name: str) -> KerasTensor:
    """`convs` times 3x3 convolution, normalization, ReLU6: (N, h, w, c) to (N, h, w, filters)."""
    for i in range(convs):
        x = conv_norm_relu6(x, filters, norm=norm, name=f"{name}_conv{i}")
    return x


def conv_norm_relu6(
    x: KerasTensor,
    filters: int,
    *,
    name: str,
    norm: Norm = "batch",
    kernel: int = 3,
    dilation: int = 1,
) -> KerasTensor:
    """Convolution, normalization, ReLU6: (N, h, w, c) to (N, h, w, filters), same size."""
    conv = layers.Conv2D(
        filters,
        kernel,
        padding="same",
        dilation_rate=dilation,
        use_bias=norm == "none",  # the normalization brings its own offset
        kernel_initializer="he_normal",
        name=name,
    )
    return norm_relu6(conv(x), norm=norm, name=name)


def norm_relu6(x: KerasTensor, *, name: str, norm: Norm) -> KerasTensor:
    """Normalization and ReLU6, whose fixed range 0..6 suits int8.

    On export, batch norm folds into the convolution before it. Group norm does not: it adds
    fourteen operators per layer to the TFLite file, and in int8 they split the part that a delegate
    runs. Train with it where batches are tiny; do not ship it to a tablet.
    """
    if norm == "batch":
        # Momentum 0.9, not Keras' 0.99: an epoch here has about 100 steps, and the statistics must
        # have left their initial values before the first validation.
        x = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
    elif norm == "group":
        x = layers.GroupNormalization(groups=gcd(8, x.shape[-1]), name=f"{name}_norm")(x)
    return layers.ReLU(max_value=6.0, name=f"{name}_relu6")(x)


def double_size(
    x: KerasTensor, filters: int, *, norm: Norm, upsampling: Upsampling, name: str
) -> KerasTensor:
    """(N, h, w, c) to (N, 2h, 2w, filters), with values in 0..6 like the skip to join it with.

    If both have one range, the int8 concatenation copies instead of rescaling.
    """
    if upsampling == "bilinear":
        # The 1x1 convolution comes first: at a quarter of the pixels it costs a quarter.
        x = conv_norm_relu6(x, filters, kernel=1, norm=norm, name=name)
        return layers.UpSampling2D(interpolation="bilinear", name=f"{name}_resize")(x)
    up = layers.Conv2DTranspose(
        filters,
        2,
        strides=2,
        use_bias=norm == "none",
        kernel_initializer="he_normal",
        name=name,
    )
    return norm_relu6(up(x), norm=norm, name=name)


def probabilities(
    x: KerasTensor,
    classes: int,
    head: Head,
    *,
    enlarge: int = 1,
    enlarging: Enlarging = "bilinear",
) -> KerasTensor:
    """The output (N, H, W, classes), float32 under every policy, named "probabilities".

    `sigmoid` gives independent channels, which may overlap (heart inside thorax) and need no
    background channel. `softmax` gives channels that sum to one, background among them. The bias
    starts at zero: after normalized features it learns the rate of a rare class in a few steps.

    Args:
        x: (N, H / enlarge, W / enlarge, any), the decoder's last features.
        classes: channels of the output.
        head: see above.
        enlarge: for a decoder that ends on a coarser grid: the logits are enlarged by this factor,
            before the activation.
        enlarging: `bilinear` interpolates the logits. `sub_pixel` computes logits of their own for
            the enlarge x enlarge pixels of a cell, which is finer, and faster on a tablet: TFLite
            interpolates few channels slowly.

    Raises:
        ConfigError: if `head` is softmax for a single class, which would be 1 everywhere.
    """
    if head == "softmax" and classes < 2:
        raise ConfigError(
            "model.head: softmax over one class is 1 everywhere; use sigmoid, or list the "
            "background as a class of its own"
        )
    if enlarge == 1:
        return layers.Conv2D(classes, 1, activation=head, dtype="float32", name="probabilities")(x)
    if enlarging == "bilinear":
        x = layers.Conv2D(classes, 1, dtype="float32", name="logits")(x)
        x = layers.UpSampling2D(
            enlarge, interpolation="bilinear", dtype="float32", name="logits_resize"
        )(x)
    else:
        x = layers.Conv2D(enlarge**2 * classes, 1, dtype="float32", name="logits")(x)
        x = _pixels_of_cells(x, enlarge)
    return layers.Activation(head, dtype="float32", name="probabilities")(x)


def _pixels_of_cells(x: KerasTensor, size: int) -> KerasTensor:
    """(N, h, w, size * size * K), row by row of a cell's pixels, to (N, h * size, w * size, K)."""
    _, height, width, channels = x.shape
    row = channels // size  # of one cell: its pixels with all their channels lie side by side
    x = layers.Reshape((height, width, size, row), dtype="float32", name="logits_rows")(x)
    x = layers.Permute((1, 3, 2, 4), dtype="float32", name="logits_turned")(x)
    shape = (height * size, width * size, row // size)
    return layers.Reshape(shape, dtype="float32", name="logits_pixels")(x)


def _check_size(input_shape: tuple[int, int, int], multiple: int) -> None:
    """Raises ConfigError if height or width is not a multiple of `multiple`."""
    height, width = input_shape[:2]
    if height % multiple or width % multiple:
        fits = [_nearest_multiples(side, multiple) for side in (height, width)]
        sizes = sorted({f"[{h}, {w}]" for h in fits[0] for w in fits[1]})
        raise ConfigError(
            f"data.image_size: [{height}, {width}] does not suit a model that halves it to "
            f"1/{multiple}: height and width must be multiples of {multiple}; "
            f"nearest that work: {', '.join(sizes)}"
        )


def _nearest_multiples(side: int, multiple: int) -> list[int]:
    """The multiples just below and above `side`, or `side` itself; none below one multiple."""
    below, above = side // multiple * multiple, -(-side // multiple) * multiple
    return sorted({max(below, multiple), above})
