"""Weights from another run: `model.init: RUN` starts where an earlier training has ended."""

from dataclasses import dataclass
from pathlib import Path

import keras

from fetal_tf.checkpoint import load_model
from fetal_tf.edge.errors import ConfigError, FetalTFError

LEAST_SHARE = 0.5  # of the parameters; with less, another architecture was named by mistake


@dataclass(frozen=True)
class Start:
    """What a model took over.

    Attributes:
        source: the file.
        copied: layers with weights that were taken over.
        fresh: layers with weights that keep their random ones.
    """

    source: Path
    copied: tuple[str, ...]
    fresh: tuple[str, ...]

    def __str__(self) -> str:
        kept = f"; fresh: {', '.join(self.fresh)}" if self.fresh else ""
        return f"{len(self.copied)} layers start with the weights of {self.source}{kept}"


def weights_file(init: Path) -> Path:
    """The file that `model.init` names: a run's best.keras, or the `.keras` file itself."""
    return init / "best.keras" if init.is_dir() else init


def start_from(model: keras.Model, init: Path) -> Start:
    """Copy the weights of equally named layers; sizes of frames may differ, channels may not.

    The output layer is left fresh where it has another number of classes, and so are layers that
    the source does not have (an Attention U-Net's gates, coming from a U-Net).

    Args:
        model: built, with fresh weights; changed in place.
        init: a run's folder, or a `.keras` file.

    Raises:
        ConfigError: no such file, not a model, a layer of another shape, or less than half of the
            parameters in common.
    """
    source = weights_file(init)
    try:
        stored = {layer.name: layer for layer in load_model(source).layers}
    except FetalTFError as error:
        raise ConfigError(f"model.init: {error}") from error
    copied, fresh = [], []
    for layer in (layer for layer in model.layers if layer.weights):
        known = stored.get(layer.name)
        if known is None or not _fits(layer, known, source, last=layer is model.layers[-1]):
            fresh.append(layer.name)
            continue
        layer.set_weights(known.get_weights())
        copied.append(layer.name)
    share = sum(model.get_layer(n).count_params() for n in copied) / max(1, model.count_params())
    if share < LEAST_SHARE:
        raise ConfigError(
            f"model.init: {source} gives {share:.0%} of this model's parameters; it is another "
            "architecture. Name a run of the same one, or leave model.init out"
        )
    return Start(source, tuple(copied), tuple(fresh))


def _fits(layer: keras.Layer, known: keras.Layer, source: Path, *, last: bool) -> bool:
    here, there = ([tuple(w.shape) for w in side.weights] for side in (layer, known))
    if here == there:
        return True
    if last:
        return False
    raise ConfigError(
        f"model.init: {source}: layer {layer.name} holds {_shapes(there)} there and "
        f"{_shapes(here)} here; give the model the parameters of that run"
    )


def _shapes(shapes: list[tuple]) -> str:
    return ", ".join("x".join(map(str, shape)) for shape in shapes) or "nothing"
