"""U-Net and DeepLabV3+ on the backbones of keras-cv, as models of plain Keras layers.

The only file that imports keras_cv (extra `keras-cv`), and only to build: a saved model loads,
trains and exports without it. keras_cv imports TensorFlow, so a model is built on that backend; its
file loads on any.
"""

import warnings
from pathlib import Path
from typing import Annotated, Any

import keras
from keras import KerasTensor, layers
from pydantic import Field, PositiveInt

from fetal_tf.edge.errors import ConfigError
from fetal_tf.edge.extras import require
from fetal_tf.models.blocks import (
    Head,
    Upsampling,
    conv_block,
    double_size,
    gray_to_rgb,
    probabilities,
    scaled_input,
)
from fetal_tf.models.registry import MODELS

Arguments = dict[str, Any]  # of a constructor
DecoderWidths = Annotated[list[PositiveInt], Field(min_length=5, max_length=5)]

_RESNETS = {
    18: ("basic_block", [2, 2, 2, 2]),
    34: ("basic_block", [3, 4, 6, 3]),
    50: ("block", [3, 4, 6, 3]),
    101: ("block", [3, 4, 23, 3]),
    152: ("block", [3, 8, 36, 3]),
}
_EFFICIENTNET_LITES = {  # width, depth
    "b0": (1.0, 1.0),
    "b1": (1.0, 1.1),
    "b2": (1.1, 1.2),
    "b3": (1.2, 1.4),
    "b4": (1.4, 1.8),
}
# Names and sizes are those of keras-cv's presets, whose own constructors ask the network.
_NAMED: dict[str, tuple[str, Arguments]] = {
    **{
        f"resnet{depth}{suffix}": (
            f"ResNet{suffix.strip('_').upper()}Backbone",
            {
                "stackwise_filters": [64, 128, 256, 512],
                "stackwise_blocks": blocks,
                "stackwise_strides": [1, 2, 2, 2],
                "block_type": block_type,
            },
        )
        for depth, (block_type, blocks) in _RESNETS.items()
        for suffix in ("", "_v2")
    },
    **{
        f"efficientnetlite_{size}": (
            "EfficientNetLiteBackbone",
            {
                "width_coefficient": width,
                "depth_coefficient": depth,
                "stackwise_kernel_sizes": [3, 3, 5, 3, 5, 5, 3],
                "stackwise_num_repeats": [1, 2, 2, 3, 3, 4, 1],
                "stackwise_input_filters": [32, 16, 24, 40, 80, 112, 192],
                "stackwise_output_filters": [16, 24, 40, 80, 112, 192, 320],
                "stackwise_expansion_ratios": [1, 6, 6, 6, 6, 6, 6],
                "stackwise_strides": [1, 2, 2, 2, 1, 2, 1],
            },
        )
        for size, (width, depth) in _EFFICIENTNET_LITES.items()
    },
    "mobilenet_v3_small": (
        "MobileNetV3Backbone",
        {
            "stackwise_expansion": [1, 72 / 16, 88 / 24, 4, 6, 6, 3, 3, 6, 6, 6],
            "stackwise_filters": [16, 24, 24, 40, 40, 40, 48, 48, 96, 96, 96],
            "stackwise_kernel_size": [3] * 3 + [5] * 8,
            "stackwise_stride": [2, 2, 1, 2, 1, 1, 1, 1, 2, 1, 1],
            "stackwise_se_ratio": [0.25, None, None] + [0.25] * 8,
            "stackwise_activation": ["relu"] * 3 + ["hard_swish"] * 8,
        },
    ),
    "mobilenet_v3_large": (
        "MobileNetV3Backbone",
        {
            "stackwise_expansion": [1, 4, 3, 3, 3, 3, 6, 2.5, 2.3, 2.3, 6, 6, 6, 6, 6],
            "stackwise_filters": [16, 24, 24, 40, 40, 40, 80, 80, 80, 80, 112, 112, 160, 160, 160],
            "stackwise_kernel_size": [3] * 3 + [5] * 3 + [3] * 6 + [5] * 3,
            "stackwise_stride": [1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1],
            "stackwise_se_ratio": [None] * 3 + [0.25] * 3 + [None] * 4 + [0.25] * 5,
            "stackwise_activation": ["relu"] * 6 + ["hard_swish"] * 9,
        },
    ),
}


@MODELS.register("keras_cv_unet")
def keras_cv_unet(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    backbone: str = "resnet34",
    arguments: Arguments = {},  # noqa: B006  (never changed)
    weights: str | None = None,
    widths: DecoderWidths = [16, 32, 64, 128, 256],  # noqa: B006
    upsampling: Upsampling = "bilinear",
    head: Head = "sigmoid",
) -> keras.Model:
    """A U-Net whose encoder is a keras-cv backbone.

    The decoder joins the backbone's features at 1/16, 1/8, 1/4 and 1/2 of the size, in bias-free
    convolutions, batch norm and ReLU6; the backbone keeps its own activations. With "resnet34", one
    gray channel and one class it has 23,846,161 parameters, of which the encoder has 21,301,696.
    Examples in a config::

        model: {name: keras_cv_unet, backbone: mobilenet_v3_small, widths: [16, 24, 32, 48, 64]}
        model:
          name: keras_cv_unet
          backbone: DenseNetBackbone
          arguments: {stackwise_num_repeats: [6, 12, 24, 16]}

    Args:
        input_shape: (height, width, channels), height and width multiples of 32, channels 1 or 3.
        classes: number of output channels.
        backbone: the name of a keras-cv preset (ResNet v1 and v2, EfficientNet-Lite, MobileNetV3),
            or of a class of `keras_cv.models` whose constructor takes `arguments`.
        arguments: of the backbone's constructor, in place of or beside those of its name.
        weights: of the backbone: a `.weights.h5` or `.keras` file that it was saved to, or null for
            random ones.
        widths: filters of the decoder at 1/1, 1/2, 1/4, 1/8 and 1/16 of the size.
        upsampling: see `unet.unet`.
        head: see `blocks.probabilities`.

    Returns:
        (N, H, W, C) float32 pixels 0..255 to (N, H, W, classes) float32 probabilities. Gray is
        repeated for red, green and blue, scaled to 0..1, which keras-cv's own weights expect.

    Raises:
        ConfigError: a size that is no multiple of 32, softmax for one class, a backbone that is
            unknown, refuses its arguments or keeps layers of keras-cv's own, or other weights.
        MissingExtraError: keras-cv is not installed.

    Sources: Ronneberger et al. 2015, arXiv 1505.04597; https://keras.io/keras_cv for the backbones.
    The decoder's widths are those of the segmentation_models library.
    """
    pixels, x = scaled_input(input_shape, multiple=32)
    encoder = _backbone(backbone, arguments, weights, input_shape)
    maps = {operation.name: operation.output for operation in encoder.operations}
    levels = [maps[name] for name in encoder.pyramid_level_inputs.values()]
    *skips, x = _plain(keras.Model(encoder.input, levels)).call(gray_to_rgb(x))
    for level in reversed(range(5)):
        x = double_size(x, widths[level], norm="batch", upsampling=upsampling, name=f"up_{level}")
        if level > 0:  # the encoder has nothing at full size
            x = layers.Concatenate(name=f"skip_{level}")([x, skips[level - 1]])
        x = conv_block(x, widths[level], convs=2, norm="batch", name=f"decoder_{level}")
    model = keras.Model(pixels, probabilities(x, classes, head), name="keras_cv_unet")
    return _rebuilt(model, backbone)


@MODELS.register("keras_cv_deeplabv3plus")
def keras_cv_deeplabv3plus(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    backbone: str = "resnet50",
    arguments: Arguments = {},  # noqa: B006  (never changed)
    weights: str | None = None,
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1,
    head: Head = "sigmoid",
) -> keras.Model:
    """DeepLabV3+ of keras-cv, with a decoder of two 3x3 convolutions at 1/4 of the size.

    As keras-cv has it, the atrous pyramid works at 1/32 of the size; the paper's ResNet is dilated
    to 1/16. The paper's decoder stands for keras-cv's head, which is one 1x1 convolution. With
    "resnet50", one gray channel and one class it has 40,404,353 parameters, of which the encoder
    has 23,561,152.

    Args:
        input_shape: (height, width, channels), height and width multiples of 32, channels 1 or 3.
        classes: number of output channels.
        backbone: see `keras_cv_unet`.
        arguments: see `keras_cv_unet`.
        weights: see `keras_cv_unet`.
        dropout: rate behind the pyramid, the authors' 0.1.
        head: see `blocks.probabilities`.

    Returns, Raises: see `keras_cv_unet`.

    Source: Chen et al. 2018, arXiv 1802.02611.
    """
    pixels, x = scaled_input(input_shape, multiple=32)
    encoder = _backbone(backbone, arguments, weights, input_shape)
    import keras_cv

    with warnings.catch_warnings():  # keras-cv calls a model of one input as if it took a list
        warnings.filterwarnings("ignore", "The structure of `inputs`", UserWarning)
        deeplab = keras_cv.models.DeepLabV3Plus(
            encoder,
            classes,
            spatial_pyramid_pooling=keras_cv.layers.SpatialPyramidPooling(
                dilation_rates=[6, 12, 18], dropout=dropout
            ),
            segmentation_head=layers.Identity(name="joined"),
        )
        x = _plain(deeplab).call(gray_to_rgb(x))
    x = conv_block(x, 256, convs=2, norm="batch", name="decoder")
    output = probabilities(x, classes, head, enlarge=4)
    return _rebuilt(keras.Model(pixels, output, name="keras_cv_deeplabv3plus"), backbone)


def _backbone(
    name: str, arguments: Arguments, weights: str | None, input_shape: tuple[int, int, int]
) -> keras.Model:
    """The backbone for RGB pixels in 0..1, from its constructor, with the names of five levels."""
    require("keras-cv")
    import keras_cv

    class_name, usual = _NAMED.get(name, (name, {}))
    builder = getattr(keras_cv.models, class_name, None)
    # A class with a __new__ of its own is a preset's, which asks the network.
    if not class_name.endswith("Backbone") or builder is None or "__new__" in vars(builder):
        raise ConfigError(
            f"model.backbone: {name} is not known; allowed: {', '.join(_NAMED)}, or a class of "
            "keras_cv.models (ResNetBackbone, DenseNetBackbone …) with model.arguments"
        )
    shape = (*input_shape[:2], 3)
    try:
        model = builder(include_rescaling=False, input_shape=shape, **(usual | arguments))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"model.arguments: {class_name}: {_one_line(error)}") from error
    if weights is not None:
        try:
            # Keras only warns where it leaves out a layer.
            with warnings.catch_warnings(action="error", category=UserWarning):
                model.load_weights(Path(weights).expanduser())
        except (OSError, ValueError, UserWarning) as error:
            raise ConfigError(
                f"model.weights: {weights} cannot be read as {name}: {_one_line(error)}; allowed: "
                "a .weights.h5 or .keras file of this backbone, or null"
            ) from error
    model.pyramid_level_inputs = _levels(model)
    return model


def _levels(backbone: keras.Model) -> dict[str, str]:
    """The names of its maps at 1/2, 1/4 … 1/32 of the size: {"P1": …, "P2": … "P5": …}."""
    operations = {operation.name: operation.output for operation in backbone.operations}
    # By height: the last map of each, or the one that keras-cv names; for a ResNet none at 1/2.
    names = {tensor.shape[1]: name for name, tensor in operations.items() if len(tensor.shape) == 4}
    named = backbone.pyramid_level_inputs.values()
    names |= {operations[name].shape[1]: name for name in named}
    heights = {f"P{level}": backbone.input_shape[1] // 2**level for level in range(1, 6)}
    if not names.keys() >= {*heights.values()}:
        raise ConfigError(
            f"model.backbone: {type(backbone).__name__} has no features at one of 1/2, 1/4, 1/8, "
            "1/16 and 1/32 of the size, which the decoder takes; choose another"
        )
    return {level: names[height] for level, height in heights.items()}


def _plain(model: keras.Model) -> keras.Model:
    """The same function of the same weights: keras-cv's layers and inner models taken apart."""

    def call(layer: keras.Layer, *args: Any, **kwargs: Any) -> KerasTensor:
        if isinstance(layer, layers.Resizing):
            # Its `training` is True by default, and all layers behind it inherit that.
            (x,) = args
            size = (layer.height // x.shape[1], layer.width // x.shape[2])
            return layers.UpSampling2D(size, interpolation=layer.interpolation)(x)
        if type(layer).__name__ in ("ConvertToTensor", "Cast"):  # left by calls of inner models
            return args[0]
        if not _is_composed(layer):
            return layer(*args, **kwargs)
        excite = getattr(layer, "excite_conv", None)  # of squeeze and excite in MobileNetV3
        if excite is not None and _is_of_keras_cv(excite.activation):
            excite.activation = keras.activations.hard_sigmoid  # the same, by Keras' name
        return layer.call(*args)

    flat = keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)
    return _plain(flat) if any(_is_composed(layer) for layer in flat.layers) else flat


def _is_composed(layer: keras.Layer) -> bool:
    return isinstance(layer, keras.Model) or _is_of_keras_cv(layer)


def _rebuilt(model: keras.Model, backbone: str) -> keras.Model:
    """The model from its own config, as a file gives it back: each layer belongs to one graph."""
    model = _plain(model)
    try:
        rebuilt = keras.Model.from_config(model.get_config())
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"model.backbone: {backbone} does not come apart into plain Keras layers, and would "
            f"not load without keras-cv; choose another: {_one_line(error)}"
        ) from error
    for layer in rebuilt.layers:
        layer.set_weights(model.get_layer(layer.name).get_weights())
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.9  # for the reason in `blocks.norm_relu6`
    return rebuilt


def _is_of_keras_cv(thing: object) -> bool:
    return type(thing).__module__.startswith("keras_cv.")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
