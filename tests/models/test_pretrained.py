"""Published weights: found where Keras keeps them, the same function afterwards, clear refusals."""

import json
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest

from fetal_tf.edge.errors import ConfigError
from fetal_tf.models import MODELS
from fetal_tf.models.blocks import imagenet_input
from fetal_tf.models.pretrained import load_encoder
from fetal_tf.models.resnet import RESNET_34, RESNET_50, encoder_layers, resnet

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


def test_resnet_50_is_that_of_keras(tmp_path):
    published = keras.applications.ResNet50(
        include_top=False, weights=None, input_shape=(32, 32, 3)
    )
    randomize(published)
    published.save(tmp_path / "resnet50.h5")
    x = keras.Input((32, 32, 3))
    ours = keras.Model(x, resnet(x, RESNET_50, bottleneck=True)[-1])
    load_encoder(encoder_layers(ours), "resnet50", str(tmp_path / "resnet50.h5"))
    caffe = np.asarray(keras.applications.resnet.preprocess_input(colors(2)))
    expected = np.asarray(published(caffe))
    assert expected.std() > 0.01
    np.testing.assert_allclose(
        ours(caffe[..., ::-1] / (255 * STD)), expected, rtol=1e-3, atol=1e-3 * expected.std()
    )
    # Our means are rounded otherwise: less than half a gray level apart.
    pixels, scaled = imagenet_input((32, 32, 3))
    normalized = np.asarray(keras.Model(pixels, scaled)(colors(1)))
    difference = caffe[:1, ..., ::-1] / (255 * STD) - normalized
    assert np.abs(difference * 255 * STD).max() < 0.5


def write_safetensors(path: Path, tensors: dict[str, np.ndarray]) -> None:
    table, content = {"__metadata__": {"format": "pt"}}, b""
    for name, tensor in tensors.items():
        kind = {"float32": "F32", "int64": "I64"}[str(tensor.dtype)]
        ends = [len(content), len(content) + tensor.nbytes]
        table[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": ends}
        content += tensor.tobytes()
    head = json.dumps(table).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + content)


def torch_resnet_34(width: int) -> dict[str, np.ndarray]:
    """A state as torchvision saves it, at `width` instead of 64 filters."""
    random = np.random.default_rng(3)
    state: dict[str, np.ndarray] = {}

    def conv_norm(conv: str, norm: str, out: int, into: int, kernel: int) -> None:
        shape = (out, into, kernel, kernel)
        state[f"{conv}.weight"] = random.normal(size=shape).astype(np.float32)
        for part in ("weight", "bias", "running_mean", "running_var"):
            state[f"{norm}.{part}"] = random.uniform(0.5, 1.5, out).astype(np.float32)
        state[f"{norm}.num_batches_tracked"] = np.array(7)

    conv_norm("conv1", "bn1", width, 3, 7)
    into = width
    for stage, count in enumerate((3, 4, 6, 3), start=1):
        out = width * 2 ** (stage - 1)
        for block in range(count):
            name = f"layer{stage}.{block}"
            conv_norm(f"{name}.conv1", f"{name}.bn1", out, into, 3)
            conv_norm(f"{name}.conv2", f"{name}.bn2", out, out, 3)
            if into != out:
                conv_norm(f"{name}.downsample.0", f"{name}.downsample.1", out, into, 1)
            into = out
    state["fc.weight"] = random.normal(size=(10, into)).astype(np.float32)
    state["fc.bias"] = np.zeros(10, np.float32)
    return state


def small_resnet_34() -> keras.Model:
    x = keras.Input((32, 32, 3))
    return keras.Model(x, resnet(x, RESNET_34, bottleneck=False, base=8)[-1])


def test_resnet_34_takes_every_array_of_torchvisions(tmp_path):
    state = torch_resnet_34(width=8)
    write_safetensors(tmp_path / "net.safetensors", state)
    model = small_resnet_34()
    load_encoder(encoder_layers(model), "resnet34", str(tmp_path / "net.safetensors"))
    for torch_name, name in {
        "conv1": "conv1_conv",
        "layer1.2.conv2": "conv2_block3_2_conv",
        "layer3.0.downsample.0": "conv4_block1_0_conv",
    }.items():
        kernel = np.asarray(model.get_layer(name).kernel)
        np.testing.assert_array_equal(kernel[0, 0].T, state[f"{torch_name}.weight"][:, :, 0, 0])
        np.testing.assert_array_equal(kernel[0, -1].T, state[f"{torch_name}.weight"][:, :, 0, -1])
    for torch_name, name in {
        "bn1": "conv1_bn",
        "layer2.3.bn1": "conv3_block4_1_bn",
        "layer4.0.downsample.1": "conv5_block1_0_bn",
    }.items():
        norm = model.get_layer(name)
        for part, weight in zip(
            ("weight", "bias", "running_mean", "running_var"), norm.weights, strict=True
        ):
            np.testing.assert_array_equal(weight, state[f"{torch_name}.{part}"])
    stored = sum(a.size for name, a in state.items() if name[:3] != "fc." and a.ndim)
    assert model.count_params() == stored


def test_a_file_of_another_width_is_refused(tmp_path):
    path = tmp_path / "wide.safetensors"
    write_safetensors(path, torch_resnet_34(width=16))
    with pytest.raises(ConfigError, match=r"not hold resnet34: layer conv1_conv .*model\.init"):
        load_encoder(encoder_layers(small_resnet_34()), "resnet34", str(path))


def test_a_path_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"model\.weights: .*none\.h5 is not there"):
        load_encoder([], "efficientnetb0", str(tmp_path / "none.h5"))


def test_another_kind_of_file_is_refused(tmp_path):
    (tmp_path / "net.h5").touch()
    with pytest.raises(ConfigError, match=r"resnet34 takes a file that ends in \.safetensors"):
        load_encoder([], "resnet34", str(tmp_path / "net.h5"))


@pytest.mark.parametrize("name", ["net.h5", "net.keras", "net.safetensors"])
def test_a_damaged_file_is_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"not weights")
    backbone = "resnet34" if name.endswith("safetensors") else "efficientnetb0"
    with pytest.raises(ConfigError, match=rf"{name} cannot be read as {backbone}: "):
        load_encoder([], backbone, str(tmp_path / name))


def test_a_truncated_file_is_named(tmp_path):
    path = tmp_path / "net.safetensors"
    write_safetensors(path, torch_resnet_34(width=8))
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ConfigError, match=r"net\.safetensors cannot be read as resnet34: "):
        load_encoder([], "resnet34", str(path))
