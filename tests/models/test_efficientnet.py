"""The coordinate regressor: its size, its scaling done once, its answer in float32."""

import keras
import numpy as np
import pytest

from fetal_tf.edge.errors import ConfigError
from fetal_tf.models import MODELS
from fetal_tf.models.blocks import imagenet_input


def regressor(shape=(32, 48, 1), classes=4, **parameters) -> keras.Model:
    spec = {"name": "efficientnetb3_regressor", **parameters}
    return MODELS.build("model", spec, shape, classes)


@pytest.fixture(scope="module")
def small() -> keras.Model:
    return regressor(backbone="b0")


def frames(count: int, shape=(32, 48, 1)) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (count, *shape)).astype(np.float32)


@pytest.mark.parametrize("backbone", ["b0", "b3"])
def test_parameters_are_those_of_the_docstring(backbone, small):
    model = small if backbone == "b0" else regressor()
    described = MODELS.get("model", "efficientnetb3_regressor").__doc__ or ""
    encoder = model.get_layer(f"efficientnet{backbone}").count_params()
    assert f"{encoder:,}" in described
    assert f"{model.count_params() - encoder:,}" in described
    published = {"b0": 4_049_571, "b3": 10_783_535}[backbone]  # with 7 numbers of a normalization
    assert encoder == published - 7


def test_layers_are_those_of_the_published_head(small):
    names = [layer.name for layer in small.layers]
    assert names[-7:] == [
        "efficientnetb0", "pool", "dense", "dropout", "coordinates", "pairs", "landmarks",
    ]  # fmt: skip
    assert small.get_layer("dropout").rate == 0.3
    assert small.layers[-1].activation is keras.activations.linear


def test_four_points_in_shares_that_begin_about_the_middle(small):
    answer = np.asarray(small(frames(2)))
    assert answer.shape == (2, 4, 2) and answer.dtype == np.float32
    assert np.abs(answer - 0.5).max() < 0.2
    training = np.asarray(small(frames(8), training=True))
    assert np.abs(training - 0.5).max() < 0.5


def test_pairs_are_x_then_y_of_one_landmark_after_the_other(small):
    before = small.get_layer("coordinates").get_weights()
    small.get_layer("coordinates").set_weights([0 * before[0], np.arange(8, dtype=np.float32)])
    try:
        np.testing.assert_allclose(small(frames(1))[0], [[0, 1], [2, 3], [4, 5], [6, 7]])
    finally:
        small.get_layer("coordinates").set_weights(before)


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_are_normalized_once_as_imagenet_is(channels):
    pixels, scaled = imagenet_input((2, 2, channels))
    value = np.full((1, 2, 2, channels), 51.0, np.float32)
    found = np.asarray(keras.Model(pixels, scaled)(value))[0, 0, 0]
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(found, (0.2 - mean) / std, atol=1e-5)


def test_the_encoder_scales_nothing_itself(small):
    inner = small.get_layer("efficientnetb0").layers
    kinds = (keras.layers.Rescaling, keras.layers.Normalization)
    assert not any(isinstance(layer, kinds) for layer in inner)
    norms = [layer for layer in inner if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(norms) > 40 and {layer.momentum for layer in norms} == {0.9}


def test_an_unknown_number_of_channels_is_refused():
    with pytest.raises(ValueError, match="1 or 3 channels, found 2"):
        imagenet_input((32, 32, 2))


def test_coordinates_are_computed_in_float32_under_a_mixed_policy():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = regressor(backbone="b0")
    finally:
        keras.config.set_dtype_policy(before)
    for name in ("imagenet_shift", "imagenet_scale", "coordinates", "pairs", "landmarks"):
        assert model.get_layer(name).compute_dtype == "float32", name
    assert model.get_layer("dense").compute_dtype == "bfloat16"


def test_a_frame_below_the_encoders_smallest_is_refused():
    with pytest.raises(ConfigError, match=r"data\.image_size: \[16, 64\] .* at least \[32, 32\]"):
        regressor((16, 64, 1), backbone="b0")


@pytest.mark.parametrize("wrong", [{"backbone": "b7"}, {"dense_units": 0}, {"dropout": 1.0}])
def test_senseless_parameters_are_refused(wrong):
    with pytest.raises(ConfigError, match=rf"model\.{next(iter(wrong))}: "):
        regressor(**wrong)
