"""Published weights: found where Keras keeps them, the same function afterwards, clear refusals."""

import warnings
from pathlib import Path

import keras
import numpy as np
import pytest

from fetal_tf.edge.errors import ConfigError
from fetal_tf.models import MODELS
from fetal_tf.models.pretrained import load_encoder

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """Keras' folder of weights, empty."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def randomize(model: keras.Model) -> None:
    """Weights that carry a signal through, batch norms and biases that are not the identity."""
    random = np.random.default_rng(0)
    for weight in model.weights:
        if weight.name == "kernel":
            spread = np.sqrt(1 / np.prod(weight.shape[:-1]))
            weight.assign(random.normal(0, spread, weight.shape).astype(np.float32))
        elif len(weight.shape) == 1:
            weight.assign(random.uniform(0.5, 1.5, weight.shape))


def colors(count: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, 32, 32, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def efficientnet() -> keras.Model:
    """EfficientNet-B0 as weights make it: its normalization holds the means and variances."""
    published = keras.applications.EfficientNetB0(
        include_top=False, weights=None, input_shape=(32, 32, 3)
    )
    randomize(published)
    normalization = next(
        la for la in published.layers if isinstance(la, keras.layers.Normalization)
    )
    normalization.set_weights([MEAN, STD**2, np.array(0)])
    return published


def regressor(**parameters) -> keras.Model:
    spec = {"name": "efficientnetb3_regressor", "backbone": "b0", **parameters}
    return MODELS.build("model", spec, (32, 32, 3), 4)


def assert_same_features(model: keras.Model, published: keras.Model) -> None:
    features = keras.Model(model.input, model.get_layer("pool").output)(colors(2))
    expected = np.asarray(published(colors(2))).mean(axis=(1, 2))
    assert expected.std() > 0.01
    np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-3 * expected.std())


def test_imagenet_is_taken_from_keras_cache_and_scaled_as_it_was_trained(cache, efficientnet):
    efficientnet.save(cache / "efficientnetb0_notop.h5")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model = regressor(weights="imagenet")
    assert_same_features(model, efficientnet)


def test_a_keras_file_is_read_by_its_path(tmp_path, efficientnet):
    efficientnet.save(tmp_path / "mine.keras")
    assert_same_features(regressor(weights=str(tmp_path / "mine.keras")), efficientnet)


def test_without_a_file_it_is_random_and_says_so_once(cache):
    with pytest.warns(UserWarning) as caught:
        load_encoder([], "efficientnetb0", "imagenet")
    (message,) = [str(w.message) for w in caught if "model.weights" in str(w.message)]
    path = cache / "efficientnetb0_notop.h5"
    assert message.startswith(f"model.weights: {path} is not there, so efficientnetb0 starts from ")
    assert f"curl -L --create-dirs -o {path} https://storage.googleapis.com/" in message


def test_none_is_random_without_a_word():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        load_encoder([], "efficientnetb0", None)


def test_a_file_of_another_width_is_refused(tmp_path, efficientnet):
    efficientnet.save(tmp_path / "b0.keras")
    with pytest.raises(
        ConfigError, match=r"not hold efficientnetb3: layer stem_conv .*model\.init"
    ):
        regressor(backbone="b3", weights=str(tmp_path / "b0.keras"))


def test_a_path_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"model\.weights: .*none\.h5 is not there"):
        load_encoder([], "efficientnetb0", str(tmp_path / "none.h5"))


def test_another_kind_of_file_is_refused(tmp_path):
    (tmp_path / "net.pt").touch()
    with pytest.raises(ConfigError, match=r"b0 takes a file that ends in \.h5 or \.keras"):
        load_encoder([], "efficientnetb0", str(tmp_path / "net.pt"))


@pytest.mark.parametrize("name", ["net.h5", "net.keras"])
def test_a_damaged_file_is_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"not weights")
    with pytest.raises(ConfigError, match=rf"{name} cannot be read as efficientnetb0: "):
        load_encoder([], "efficientnetb0", str(tmp_path / name))
