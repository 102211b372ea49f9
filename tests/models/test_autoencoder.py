"""The autoencoder's own promises: everything passes the code, and it learns to copy."""

import keras
import numpy as np
import pytest

from fetal_tf.edge.errors import ConfigError
from fetal_tf.models import MODELS


def autoencoder(shape=(32, 48, 1), classes=1, **parameters) -> keras.Model:
    return MODELS.build("model", {"name": "autoencoder", **parameters}, shape, classes)


def test_the_code_is_as_small_as_it_says():
    model = autoencoder((256, 256, 1), base=2, depth=5, code=16)
    code = model.get_layer("code_relu6").output
    assert code.shape == (None, 8, 8, 16)
    assert 256 * 256 / (8 * 8 * 16) == 64


def test_nothing_passes_beside_the_code():
    """Two halves, split at the code, are the whole: a skip would leave the second one open."""
    keras.utils.set_random_seed(0)
    model = autoencoder(base=4, depth=2)
    code = model.get_layer("code_relu6").output
    encoder, decoder = keras.Model(model.input, code), keras.Model(code, model.output)
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 32, 48, 1)).astype(np.float32)
    np.testing.assert_allclose(
        np.asarray(decoder(encoder(pixels))), np.asarray(model(pixels)), atol=1e-6
    )


def test_filters_double_up_to_the_cap():
    model = autoencoder((64, 64, 1), base=32, depth=4)
    encoder = [model.get_layer(f"encoder_{level}_conv0").filters for level in range(4)]
    assert encoder == [32, 64, 128, 128]
    decoder = [model.get_layer(f"decoder_{level}_conv0").filters for level in range(4)]
    assert decoder == encoder


@pytest.mark.parametrize("upsampling", ["transpose", "bilinear"])
def test_it_learns_to_tell_a_bright_side_from_a_dark_one(upsampling):
    keras.utils.set_random_seed(1)
    model = autoencoder((16, 16, 1), base=4, depth=2, upsampling=upsampling)
    frames = np.full((8, 16, 16, 1), 40, np.float32)
    frames[::2, :, :8], frames[1::2, :, 8:] = 220, 220
    model.compile(keras.optimizers.Adam(0.02), "mse")
    losses = [float(model.train_on_batch(frames, frames / 255)) for _ in range(60)]
    assert losses[-1] < 0.2 * losses[0]


def test_a_size_that_does_not_halve_is_refused():
    with pytest.raises(ConfigError, match=r"data\.image_size.*multiples of 16"):
        autoencoder((40, 48, 1))
