"""ImageNet weights of EfficientNets, from local files only.

Nothing is downloaded here. `weights: imagenet` looks into the folder where Keras keeps its own
downloads; if the file is not there, a warning names the command that fetches it.
"""

import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import keras

from fetal_tf.edge.errors import ConfigError

Backbone = Literal["efficientnetb0", "efficientnetb3"]
Weights = str | None  # a parameter of a model: "imagenet", the path of a file, or random

_SUFFIXES = (".h5", ".keras")
_URL = "https://storage.googleapis.com/keras-applications"


def load_encoder(layers: Iterable[keras.Layer], backbone: Backbone, weights: Weights) -> None:
    """Set the layers of an encoder to published weights, or leave them random.

    Args:
        layers: of the encoder, named as in keras.applications; changed in place.
        backbone: the encoder's name.
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
        published = _published(backbone, source)
        stored = {layer.name: layer.get_weights() for layer in published.layers}
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
    """The file that `weights` means; None for random weights."""
    if weights is None:
        return None
    if weights == "imagenet":
        source = _keras_cache() / f"{backbone}_notop.h5"
        if source.is_file():
            return source
        warnings.warn(
            f"model.weights: {source} is not there, so {backbone} starts from random weights. "
            f"To get the ImageNet weights: curl -L --create-dirs -o {source} {_URL}/{source.name}",
            stacklevel=2,
        )
        return None
    source = Path(weights).expanduser()
    if not source.is_file():
        raise ConfigError(f"model.weights: {source} is not there; allowed: imagenet, or a file")
    if source.suffix not in _SUFFIXES:
        raise ConfigError(
            f"model.weights: {source}: {backbone} takes a file that ends in "
            f"{' or '.join(_SUFFIXES)}"
        )
    return source


def _keras_cache() -> Path:
    """Where keras.utils.get_file keeps weights."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path.home() / ".keras") / "models"


def _published(backbone: Backbone, source: Path) -> keras.Model:
    """The model of keras.applications, with the weights of `source`."""
    if source.suffix == ".keras":
        return keras.saving.load_model(source, compile=False, safe_mode=True)
    builder = {
        "efficientnetb0": keras.applications.EfficientNetB0,
        "efficientnetb3": keras.applications.EfficientNetB3,
    }[backbone]
    published = builder(include_top=False, weights=None, input_shape=(32, 32, 3))
    published.load_weights(source)
    return published


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
