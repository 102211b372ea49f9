"""The U-Net on ResNet-34: its size, its joints, and what it refuses."""

import numpy as np
import pytest

from fetal_tf.edge.errors import ConfigError
from fetal_tf.models import MODELS
from fetal_tf.models.resnet import encoder_layers


def resnet34_unet(shape=(64, 96, 1), classes=1, **parameters):
    return MODELS.build("model", {"name": "resnet34_unet", **parameters}, shape, classes)


def test_parameters_are_those_of_the_docstring():
    model = resnet34_unet((64, 64, 1))
    described = MODELS.get("model", "resnet34_unet").__doc__ or ""
    assert f"{model.count_params():,}" in described
    encoder = sum(layer.count_params() for layer in encoder_layers(model))
    assert f"{encoder:,}" in described
    # He et al.: 21.8 M with the classifier of 1000 classes; batch norm's running means are extra.
    trained = sum(np.prod(w.shape) for la in encoder_layers(model) for w in la.trainable_weights)
    assert trained + 513_000 == 21_797_672


def test_each_level_is_joined_with_the_features_of_its_size():
    model = resnet34_unet(base=8)
    for level, (name, size) in enumerate(
        [
            ("conv1_relu", (32, 48)),
            ("conv2_block3_out", (16, 24)),
            ("conv3_block4_out", (8, 12)),
            ("conv4_block6_out", (4, 6)),
        ],
        start=1,
    ):
        joined, skip = model.get_layer(f"skip_{level}").input
        assert skip is model.get_layer(name).output
        assert joined.shape[1:3] == skip.shape[1:3] == size
    assert model.get_layer("decoder_0_conv1_relu6").output.shape[1:3] == (64, 96)


@pytest.mark.parametrize("upsampling", ["transpose", "bilinear"])
def test_softmax_and_both_upsamplings(upsampling):
    model = resnet34_unet(classes=3, base=8, upsampling=upsampling, head="softmax")
    output = np.asarray(model(np.random.default_rng(0).uniform(0, 255, (1, 64, 96, 1))))
    np.testing.assert_allclose(output.sum(axis=-1), 1, atol=1e-5)


def test_a_size_that_does_not_halve_five_times_is_refused():
    with pytest.raises(ConfigError, match=r"data\.image_size: \[64, 80\].*multiples of 32"):
        resnet34_unet((64, 80, 1), base=8)


def test_published_weights_are_for_the_published_width():
    with pytest.raises(ConfigError, match=r"model\.weights: .* base 64, found base 16"):
        resnet34_unet(base=16, weights="imagenet")
