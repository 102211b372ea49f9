"""The mobile U-Net's own promises: a coarse first grid, logits interpolated last, clean int8."""

import cv2
import keras
import numpy as np
import pytest

from fetal_tf.edge.errors import ConfigError
from fetal_tf.models import MODELS
from fetal_tf.models.blocks import probabilities
from tests.models.int8_operators import int8_operators

SHAPE = (32, 48, 1)
# What joins convolutions in a clean 8-bit file.
GLUE = {"QUANTIZE", "MAX_POOL_2D", "RESIZE_BILINEAR", "CONCATENATION", "LOGISTIC"}


def mobile(shape=SHAPE, classes=1, **parameters) -> keras.Model:
    keras.utils.set_random_seed(1)
    spec = {"name": "mobile_unet", "widths": [4, 6, 8], **parameters}
    return MODELS.build("model", spec, shape, classes)


def convolutions(model: keras.Model) -> list[tuple[str, int, tuple[int, int], tuple[int, int]]]:
    kinds = (keras.layers.Conv2D, keras.layers.Conv2DTranspose)
    found = [layer for layer in model.layers if isinstance(layer, kinds)]
    return [(la.name, la.filters, la.kernel_size, la.strides) for la in found]


def pixels(count=1, shape=SHAPE):
    return np.random.default_rng(0).uniform(0, 255, (count, *shape)).astype(np.float32)


def test_the_layout_by_hand():
    conv = lambda name, filters: (name, filters, (3, 3), (1, 1))  # noqa: E731
    point = lambda name, filters: (name, filters, (1, 1), (1, 1))  # noqa: E731
    assert convolutions(mobile(classes=3)) == [
        ("stem", 4, (3, 3), (2, 2)),
        conv("encoder_0_conv0", 4), conv("encoder_0_conv1", 4),
        conv("encoder_1_conv0", 6), conv("encoder_1_conv1", 6),
        conv("bottleneck_conv0", 8), conv("bottleneck_conv1", 8),
        point("up_1", 6), conv("decoder_1_conv0", 6),
        point("up_0", 4), conv("decoder_0_conv0", 4),
        point("logits", 3),
    ]  # fmt: skip


def test_convolutions_per_block_are_counted_on_each_side():
    names = [name for name, *_ in convolutions(mobile(convs_per_block=1, decoder_convs=3))]
    assert sum(name.startswith(("encoder", "bottleneck")) for name in names) == 3
    assert sum(name.startswith("decoder") for name in names) == 6


def test_upsampling_may_be_learnt():
    found = {name: (filters, kernel) for name, filters, kernel, _ in convolutions(
        mobile(upsampling="transpose"))}  # fmt: skip
    assert (found["up_1"], found["up_0"]) == ((6, (2, 2)), (4, (2, 2)))


def test_no_feature_is_computed_on_the_full_grid():
    model = mobile()
    full = {layer.name for layer in model.layers if layer.output.shape[1:3] == SHAPE[:2]}
    assert full == {"pixels", "scale_0_1", "logits_resize", "probabilities"}
    assert model.get_layer("encoder_0_conv0").output.shape == (None, 16, 24, 4)
    assert model.get_layer("bottleneck_conv1").output.shape == (None, 4, 6, 8)
    deep = mobile((32, 64, 1), widths=[4] * 5)
    assert deep.get_layer("bottleneck_conv1").output.shape == (None, 1, 2, 4)


def test_a_stem_of_stride_4_leaves_the_finest_level_out():
    """Its levels are those of stride 2 from the second on, so that one may start from the other."""
    spec = {"widths": [6, 8], "stem_stride": 4, "stem_filters": 4, "classes": 3}
    ours = convolutions(mobile(**spec))
    assert ours[0] == ("stem", 4, (4, 4), (4, 4))
    assert [layer[1:] for layer in ours[1:-1]] == [
        layer[1:]
        for layer in convolutions(mobile(classes=3))[1:-1]
        if "encoder_0" not in layer[0] and not layer[0].startswith(("up_0", "decoder_0"))
    ]
    model = mobile(**spec)
    assert model.get_layer("encoder_0_conv0").output.shape == (None, 8, 12, 6)
    assert model.output_shape == (None, *SHAPE[:2], 3)


def test_the_stem_has_the_first_level_s_filters_unless_told():
    assert mobile(stem_stride=4).get_layer("stem").filters == 4
    assert mobile(stem_filters=10).get_layer("stem").filters == 10


def test_logits_are_interpolated_not_probabilities():
    model = mobile(classes=2)
    coarse = keras.Model(model.input, model.get_layer("logits").output)
    logits = 5 * np.asarray(coarse(pixels()))[0]
    model.get_layer("logits").set_weights([5 * w for w in model.get_layer("logits").get_weights()])
    assert logits.shape == (16, 24, 2) and np.ptp(logits) > 1
    enlarged = cv2.resize(logits, SHAPE[1::-1], interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(model(pixels())[0], 1 / (1 + np.exp(-enlarged)), atol=1e-5)


def test_pixels_from_channels_are_a_cell_s_pixels_row_by_row():
    """Each 1x1 convolution of a cell's features is one of its pixels: counted out by hand."""
    model = mobile(classes=2, stem_stride=4, enlarging="sub_pixel")
    cells = keras.Model(model.input, model.get_layer("logits").output)
    logits = np.asarray(cells(pixels()))[0]
    assert logits.shape == (8, 12, 32) and np.ptp(logits) > 0.1
    by_hand = np.zeros((*SHAPE[:2], 2))
    for y in range(SHAPE[0]):
        for x in range(SHAPE[1]):
            for k in range(2):
                by_hand[y, x, k] = logits[y // 4, x // 4, 2 * (4 * (y % 4) + x % 4) + k]
    np.testing.assert_allclose(model(pixels())[0], 1 / (1 + np.exp(-by_hand)), atol=1e-6)


def test_convolutions_before_a_norm_have_no_bias():
    model = mobile()
    for layer in model.layers:
        if hasattr(layer, "use_bias"):
            assert layer.use_bias is (layer.name == "logits"), layer.name


def test_every_norm_ends_at_six():
    model = mobile()
    relus = [layer for layer in model.layers if isinstance(layer, keras.layers.ReLU)]
    norms = [la for la in model.layers if isinstance(la, keras.layers.BatchNormalization)]
    assert len(relus) == len(norms) == 11  # every convolution but that of the logits
    assert all(layer.max_value == 6 for layer in relus)


def test_dropout_sits_at_the_deep_end_and_only_in_training():
    model = mobile(dropout=0.5)
    drops = [la for la in model.layers if isinstance(la, keras.layers.SpatialDropout2D)]
    assert [layer.name for layer in drops] == ["encoder_1_dropout", "bottleneck_dropout"]
    assert {layer.rate for layer in drops} == {0.5}
    np.testing.assert_array_equal(model(pixels()), model(pixels()))
    assert not any(isinstance(la, keras.layers.SpatialDropout2D) for la in mobile().layers)


def test_softmax_channels_sum_to_one_and_sigmoid_channels_do_not():
    softmax = np.asarray(mobile(classes=3, head="softmax")(pixels()))
    sigmoid = np.asarray(mobile(classes=3)(pixels()))
    np.testing.assert_allclose(softmax.sum(axis=-1), 1, atol=1e-5)
    assert np.abs(sigmoid.sum(axis=-1) - 1).max() > 0.01


def test_softmax_for_one_class_is_refused():
    with pytest.raises(ConfigError, match=r"model\.head: softmax over one class"):
        mobile(head="softmax")


def test_an_odd_size_names_the_sizes_that_work():
    """The stem halves once more than the levels below the first."""
    with pytest.raises(ConfigError) as caught:
        mobile((36, 48, 1))
    message = str(caught.value)
    assert message.startswith("data.image_size: [36, 48] ")
    assert message.endswith("nearest that work: [32, 48], [40, 48]")
    with pytest.raises(ConfigError, match=r"multiples of 16; nearest that work: \[16, 48\]"):
        mobile((24, 48, 1), stem_stride=4)


@pytest.mark.parametrize(
    "wrong",
    [
        {"widths": [8]},
        {"widths": [4] * 7},
        {"widths": [4, 0]},
        {"convs_per_block": 0},
        {"decoder_convs": 0},
        {"stem_stride": 3},
        {"stem_filters": 0},
        {"dropout": 1.0},
        {"upsampling": "nearest"},
        {"enlarging": "nearest"},
        {"head": "linear"},
    ],
)
def test_senseless_parameters_are_refused(wrong):
    with pytest.raises(ConfigError, match=rf"model\.{next(iter(wrong))}"):
        mobile(**wrong)


def test_int8_holds_nothing_but_convolutions_and_their_glue():
    """Norms, activations and the scaling fold away; any rest would cost time on a tablet."""
    model = mobile(classes=3)
    assert int8_operators(model) == {"CONV_2D", *GLUE}


def test_int8_turns_cells_into_pixels_without_arithmetic():
    model = mobile(classes=3, stem_stride=4, enlarging="sub_pixel")
    assert int8_operators(model) == {"CONV_2D", "RESHAPE", "TRANSPOSE", *GLUE}


def test_logits_are_enlarged_before_the_activation():
    x = keras.Input((2, 3, 5))
    model = keras.Model(x, probabilities(x, 2, "softmax", enlarge=4))
    features = np.random.default_rng(0).normal(0, 3, (1, 2, 3, 5)).astype(np.float32)
    kernel, bias = (np.asarray(w) for w in model.get_layer("logits").weights)
    logits = features @ kernel[0, 0] + bias
    output = np.asarray(model(features))
    assert output.shape == (1, 8, 12, 2)
    np.testing.assert_allclose(output.sum(axis=-1), 1, atol=1e-6)
    # Pixel (2, 2) lies 1/8 of a coarse pixel beyond the centre of (0, 0), in both directions.
    weights = np.outer([7 / 8, 1 / 8], [7 / 8, 1 / 8])
    between = (weights[..., None] * logits[0, :2, :2]).sum(axis=(0, 1))
    expected = np.exp(between) / np.exp(between).sum()
    np.testing.assert_allclose(output[0, 2, 2], expected, atol=1e-5)
    with pytest.raises(ConfigError, match="softmax over one class"):
        probabilities(x, 1, "softmax", enlarge=4)
