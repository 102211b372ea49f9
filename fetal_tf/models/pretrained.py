"""ImageNet weights for the encoders that were published with them: from local files only.

Nothing is downloaded here. `weights: imagenet` looks where Keras keeps its own downloads; what is
not there is said, with the line that fetches it.
"""

import json
import os
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import keras
import numpy as np

from fetal_tf.edge.errors import ConfigError
from fetal_tf.models.blocks import IMAGENET_STD

Backbone = Literal["efficientnetb0", "efficientnetb3", "resnet34", "resnet50"]
Weights = str | None  # a parameter of a model: "imagenet", the path of a file, or random

_GOOGLE = "https://storage.googleapis.com"
_RESNET_50_FILE = "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"


@dataclass(frozen=True)
class _Release:
    """One file of published weights.

    Attributes:
        file: its name in Keras' cache.
        url: where it comes from.
        suffixes: of the files that can be read in its place.
    """

    file: str
    url: str
    suffixes: tuple[str, ...] = (".h5", ".keras")


_RELEASES: dict[Backbone, _Release] = {
    **{
        name: _Release(f"{name}_notop.h5", f"{_GOOGLE}/keras-applications/{name}_notop.h5")
        for name in ("efficientnetb0", "efficientnetb3")
    },
    "resnet50": _Release(
        _RESNET_50_FILE, f"{_GOOGLE}/tensorflow/keras-applications/resnet/{_RESNET_50_FILE}"
    ),
    # Keras has no ResNet-34. These are torchvision's, in a format without code.
    "resnet34": _Release(
        "resnet34.tv_in1k.safetensors",
        "https://huggingface.co/timm/resnet34.tv_in1k/resolve/main/model.safetensors",
        (".safetensors",),
    ),
}


def load_encoder(layers: Iterable[keras.Layer], backbone: Backbone, weights: Weights) -> None:
    """Give the layers of an encoder their published weights, or leave them random.

    Args:
        layers: the encoder's, under the names of keras.applications; changed in place.
        backbone: which encoder they are.
        weights: "imagenet" for the file in Keras' cache, the path of a local file, or None.

    Raises:
        ConfigError: a path that is not there, or a file that does not hold this encoder.

    Warns:
        UserWarning: where "imagenet" is not in the cache; the weights stay random.
    """
    source = _weights_file(backbone, weights)
    if source is None:
        return
    try:
        stored = _stored_weights(backbone, source)
    except (OSError, TypeError, ValueError, KeyError) as error:
        raise ConfigError(
            f"model.weights: {source} cannot be read as {backbone}: {_first_line(error)}"
        ) from error
    for layer in layers:
        if not layer.weights:
            continue
        here = [tuple(weight.shape) for weight in layer.weights]
        if [array.shape for array in stored.get(layer.name, [])] != here:
            raise ConfigError(
                f"model.weights: {source} does not hold {backbone}: layer {layer.name} needs "
                f"{here}; for the model of an earlier run, use model.init"
            )
        layer.set_weights(stored[layer.name])


def _weights_file(backbone: Backbone, weights: Weights) -> Path | None:
    release = _RELEASES[backbone]
    if weights is None:
        return None
    if weights == "imagenet":
        source = _keras_cache() / release.file
        if source.is_file():
            return source
        warnings.warn(
            f"model.weights: {source} is not there, so {backbone} starts from random weights. "
            f"To get the ImageNet weights: curl -L --create-dirs -o {source} {release.url}",
            stacklevel=2,
        )
        return None
    source = Path(weights).expanduser()
    if not source.is_file():
        raise ConfigError(f"model.weights: {source} is not there; allowed: imagenet, or a file")
    if source.suffix not in release.suffixes:
        raise ConfigError(
            f"model.weights: {source}: {backbone} takes a file that ends in "
            f"{' or '.join(release.suffixes)}"
        )
    return source


def _keras_cache() -> Path:
    """Where keras.utils.get_file keeps weights."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path.home() / ".keras") / "models"


def _stored_weights(backbone: Backbone, source: Path) -> Mapping[str, list[np.ndarray]]:
    """The file's arrays by layer, as our encoder of that name wants them."""
    if backbone == "resnet34":
        return _from_torch(_read_safetensors(source))
    published = _published(backbone, source)
    stored = {layer.name: layer.get_weights() for layer in published.layers if layer.weights}
    return _without_biases(stored) if backbone == "resnet50" else stored


def _published(backbone: Backbone, source: Path) -> keras.Model:
    """The encoder as keras.applications has it, with the weights of `source`."""
    if source.suffix == ".keras":
        return keras.saving.load_model(source, compile=False, safe_mode=True)
    builder = {
        "efficientnetb0": keras.applications.EfficientNetB0,
        "efficientnetb3": keras.applications.EfficientNetB3,
        "resnet50": keras.applications.ResNet50,
    }[backbone]
    published = builder(include_top=False, weights=None, input_shape=(32, 32, 3))
    published.load_weights(source)
    return published


def _without_biases(stored: Mapping[str, list[np.ndarray]]) -> dict[str, list[np.ndarray]]:
    """Keras' ResNet-50 for convolutions without bias, and for our normalized RGB.

    A bias before batch norm is a shift of the running mean. Keras' net sees blue, green, red with
    only the means taken off: the first kernel is turned round and takes the division over. Its
    means differ from ours by less than half a gray level, which is left.
    """
    free = {name: list(arrays) for name, arrays in stored.items()}
    for name, arrays in stored.items():
        if name.endswith("_conv"):
            kernel, bias = arrays
            gamma, beta, mean, variance = stored[name.removesuffix("conv") + "bn"]
            free[name] = [kernel]
            free[name.removesuffix("conv") + "bn"] = [gamma, beta, mean - bias, variance]
    std = np.array(IMAGENET_STD, np.float32)[:, None]
    free["conv1_conv"] = [free["conv1_conv"][0][:, :, ::-1] * std]
    return free


def _read_safetensors(source: Path) -> dict[str, np.ndarray]:
    """The float32 tensors of a file: a length, a JSON table of contents, and the bytes.

    Source: https://huggingface.co/docs/safetensors, "Format".
    """
    content = source.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    table = json.loads(content[8:start])
    tensors = {}
    for name, entry in table.items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            first, last = entry["data_offsets"]
            values = np.frombuffer(content[start + first : start + last], "<f4")
            tensors[name] = values.reshape(entry["shape"])
    return tensors


def _from_torch(tensors: Mapping[str, np.ndarray]) -> dict[str, list[np.ndarray]]:
    """A basic-block ResNet of torchvision's under the layer names of keras.applications."""
    stored = {}
    for name in {key.rpartition(".")[0] for key in tensors}:
        if f"{name}.running_mean" in tensors:
            parts = ("weight", "bias", "running_mean", "running_var")
            stored[_keras_name(name)] = [tensors[f"{name}.{part}"] for part in parts]
        elif tensors[f"{name}.weight"].ndim == 4:
            kernel = tensors[f"{name}.weight"].transpose(2, 3, 1, 0)
            stored[_keras_name(name)] = [np.ascontiguousarray(kernel)]
    return stored


def _keras_name(torch_name: str) -> str:
    """layer2.0.bn1 → conv3_block1_1_bn, layer2.0.downsample.0 → conv3_block1_0_conv."""
    name = torch_name.replace("downsample.0", "conv0").replace("downsample.1", "bn0")
    inner = re.fullmatch(r"layer(\d)\.(\d+)\.(conv|bn)(\d)", name)
    if inner:
        stage, block, kind, number = inner.groups()
        return f"conv{int(stage) + 1}_block{int(block) + 1}_{number}_{kind}"
    return {"conv1": "conv1_conv", "bn1": "conv1_bn"}.get(name, torch_name)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
