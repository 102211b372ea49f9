"""The U-Nets' own promises: published layout, parameters that do what they say, clean int8."""

import keras
import numpy as np
import pytest

from fetal_tf.edge.errors import ConfigError
from fetal_tf.models import MODELS
from tests.models.int8_operators import int8_operators

SHAPE = (32, 48, 1)


def unet(shape=SHAPE, classes=1, **parameters) -> keras.Model:
    return MODELS.build("model", {"name": "unet", **parameters}, shape, classes)


def convolutions(model: keras.Model) -> list[tuple[str, int, tuple[int, int]]]:
    kinds = (keras.layers.Conv2D, keras.layers.Conv2DTranspose)
    found = [layer for layer in model.layers if isinstance(layer, kinds)]
    return [(type(layer).__name__, layer.filters, layer.kernel_size) for layer in found]


def test_small_unet_is_the_published_one():
    model = MODELS.build("model", {"name": "small_unet"}, (128, 128, 1), 1)
    conv = lambda filters: [("Conv2D", filters, (3, 3))] * 2  # noqa: E731
    up = lambda filters: [("Conv2DTranspose", filters, (2, 2))]  # noqa: E731
    assert convolutions(model) == [
        *conv(16), *conv(32), *conv(64), *up(32), *conv(32), *up(16), *conv(16),
        ("Conv2D", 1, (1, 1)),
    ]  # fmt: skip
    assert sum(isinstance(layer, keras.layers.MaxPooling2D) for layer in model.layers) == 2
    assert not any("norm" in layer.name for layer in model.layers)
    assert model.layers[-1].activation is keras.activations.sigmoid
    # Weights plus biases, by hand: (k * k * in + 1) * out for each convolution above.
    pairs = [(1, 16), (16, 16), (16, 32), (32, 32), (32, 64), (64, 64), (64, 32), (32, 32),
             (32, 16), (16, 16)]  # fmt: skip
    three, two = sum((9 * i + 1) * o for i, o in pairs), (4 * 64 + 1) * 32 + (4 * 32 + 1) * 16
    assert model.count_params() == three + two + 17


def test_filters_double_up_to_the_cap():
    model = unet(base=4, depth=4, max_filters=16, convs_per_block=1)
    filters = [f for kind, f, _ in convolutions(model) if kind == "Conv2D"]
    assert filters == [4, 8, 16, 16, 16, 16, 16, 8, 4, 1]


def test_depth_halves_that_often():
    model = unet(base=4, depth=3)
    assert model.get_layer("bottleneck_conv1").output.shape == (None, 4, 6, 32)


def test_scales_pixels_to_unit_range():
    model = unet(base=4, depth=1)
    scaled = keras.Model(model.input, model.get_layer("scale_0_1").output)
    pixels = np.array([0, 51, 255], np.float32)[None, :, None, None] * np.ones((1, 1, 48, 1))
    pixels = np.repeat(pixels, 11, axis=1)[:, :32]
    expected = np.repeat([0, 0.2, 1], 11)[:32]
    np.testing.assert_allclose(np.asarray(scaled(pixels))[0, :, 0, 0], expected, atol=1e-7)


def test_convolutions_before_a_norm_have_no_bias():
    for norm, with_bias in (("batch", False), ("group", False), ("none", True)):
        model = unet(base=4, depth=2, norm=norm)
        inner = [
            la for la in model.layers if hasattr(la, "use_bias") and la is not model.layers[-1]
        ]
        assert inner and all(layer.use_bias is with_bias for layer in inner), norm
    assert model.layers[-1].use_bias


def test_activations_end_at_six():
    model = unet(base=4, depth=2)
    relus = [layer for layer in model.layers if isinstance(layer, keras.layers.ReLU)]
    assert len(relus) == 12  # 5 blocks of two, 2 up-samplings
    assert all(layer.max_value == 6 for layer in relus)


def test_group_norm_suits_any_width():
    unet(base=12, depth=1, norm="group")(np.zeros((1, *SHAPE)))


def test_dropout_sits_at_the_deep_end_and_only_in_training():
    model = unet(base=4, depth=3, dropout=0.5)
    drops = [la for la in model.layers if isinstance(la, keras.layers.SpatialDropout2D)]
    assert [layer.name for layer in drops] == ["encoder_2_dropout", "bottleneck_dropout"]
    assert {layer.rate for layer in drops} == {0.5}
    pixels = np.random.default_rng(0).uniform(0, 255, (1, *SHAPE))
    np.testing.assert_array_equal(model(pixels), model(pixels))
    plain = unet(base=4, depth=3)
    assert not any(isinstance(la, keras.layers.SpatialDropout2D) for la in plain.layers)


def test_softmax_channels_sum_to_one_and_sigmoid_channels_do_not():
    pixels = np.random.default_rng(0).uniform(0, 255, (1, *SHAPE))
    softmax = np.asarray(unet(classes=3, base=4, depth=1, head="softmax")(pixels))
    sigmoid = np.asarray(unet(classes=3, base=4, depth=1, head="sigmoid")(pixels))
    np.testing.assert_allclose(softmax.sum(axis=-1), 1, atol=1e-5)
    assert np.abs(sigmoid.sum(axis=-1) - 1).max() > 0.01


def test_softmax_for_one_class_is_refused():
    with pytest.raises(ConfigError, match=r"model\.head: softmax over one class"):
        unet(base=4, depth=1, head="softmax")


def test_an_odd_size_names_the_sizes_that_work():
    with pytest.raises(ConfigError) as caught:
        unet((190, 288, 1), base=4, depth=4)
    message = str(caught.value)
    assert message.startswith("data.image_size: [190, 288] ")
    assert message.endswith("nearest that work: [176, 288], [192, 288]")


def test_a_size_below_one_multiple_is_never_answered_with_zero():
    with pytest.raises(ConfigError, match=r"work: \[32, 32\], \[32, 64\]$"):
        unet((16, 40, 1), base=4, depth=5)


@pytest.mark.parametrize(
    "wrong",
    [{"base": 0}, {"depth": 0}, {"dropout": 1.0}, {"norm": "layer"}, {"upsampling": "nearest"}],
)
def test_senseless_parameters_are_refused(wrong):
    with pytest.raises(ConfigError, match=rf"model\.{next(iter(wrong))}: "):
        unet(**wrong)


@pytest.mark.parametrize("upsampling", ["transpose", "bilinear"])
def test_int8_holds_nothing_but_convolutions_and_their_glue(upsampling):
    """Norms, activations and the scaling fold away; any rest would cost time on a tablet."""
    model = unet(base=4, depth=2, upsampling=upsampling)
    up = "TRANSPOSE_CONV" if upsampling == "transpose" else "RESIZE_BILINEAR"
    assert int8_operators(model) == {
        "QUANTIZE",
        "CONV_2D",
        "MAX_POOL_2D",
        up,
        "CONCATENATION",
        "LOGISTIC",
    }
