"""DeepLabV3+: its size, the grids it works on, its pyramid, and what it refuses."""

import keras
import numpy as np
import pytest

from fetal_tf.edge.errors import ConfigError
from fetal_tf.models import MODELS
from fetal_tf.models.blocks import probabilities
from fetal_tf.models.resnet import encoder_layers


def deeplab(shape=(64, 96, 1), classes=1, **parameters) -> keras.Model:
    return MODELS.build("model", {"name": "deeplabv3plus_resnet50", **parameters}, shape, classes)


@pytest.fixture(scope="module")
def small() -> keras.Model:
    return deeplab(base=8)


def test_parameters_are_those_of_the_docstring():
    model = deeplab((32, 32, 1))
    described = MODELS.get("model", "deeplabv3plus_resnet50").__doc__ or ""
    assert f"{model.count_params():,}" in described
    encoder = sum(layer.count_params() for layer in encoder_layers(model))
    assert f"{encoder:,}" in described
    # torchvision's ResNet-50 has 25,557,032 with its classifier, which has no running means.
    trained = sum(np.prod(w.shape) for la in encoder_layers(model) for w in la.trainable_weights)
    assert trained + 2048 * 1000 + 1000 == 25_557_032


def test_features_lie_at_a_sixteenth_and_the_decoder_at_a_quarter(small):
    assert small.get_layer("conv5_block3_out").output.shape[1:] == (4, 6, 256)
    joined, fine = small.get_layer("skip").input
    assert joined.shape[1:] == (16, 24, 32) and fine.shape[1:] == (16, 24, 6)
    assert small.get_layer("fine").input is small.get_layer("conv2_block3_out").output


def test_the_pyramid_has_the_papers_rates_and_the_mean_of_the_frame(small):
    rates = [small.get_layer(f"pyramid_rate{rate}").dilation_rate for rate in (6, 12, 18)]
    assert rates == [(6, 6), (12, 12), (18, 18)]
    views = small.get_layer("pyramid").input
    assert [view.shape[1:] for view in views] == [(4, 6, 32)] * 5
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 64, 96, 1))
    spread = np.asarray(keras.Model(small.input, views[-1])(pixels))
    assert np.ptp(spread, axis=(1, 2)).max() < 1e-5 and spread.max() > 0


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


def test_dropout_can_be_left_out(small):
    assert small.get_layer("pyramid_dropout").rate == 0.1
    plain = deeplab(base=8, dropout=0.0)
    assert not any(isinstance(layer, keras.layers.Dropout) for layer in plain.layers)


def test_a_size_that_is_no_multiple_of_sixteen_is_refused():
    with pytest.raises(ConfigError, match=r"data\.image_size: \[64, 88\].*multiples of 16"):
        deeplab((64, 88, 1), base=8)


def test_published_weights_are_for_the_published_width():
    with pytest.raises(ConfigError, match=r"model\.weights: .* base 64, found base 16"):
        deeplab(base=16, weights="imagenet")
