"""Weights from another run: `model.init: RUN` starts where an earlier training has ended."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import keras

from fetal_tf.edge.errors import ConfigError, FetalTFError
from fetal_tf.models.saving import load_model
from fetal_tf.runs.lineage import weights_file

LEAST_SHARE = 0.5  # of the layers; with less, another architecture was named by mistake
BOTTLENECK = "bottleneck"
STEM = "stem"
LEVELLED = ("encoder", "up", "decoder")  # layers of these names count their level, finest first


@dataclass(frozen=True)
class Start:
    """Which layers of a model start with the weights of another.

    Attributes:
        source: the file.
        copied: layers with weights that were taken over.
        fresh: layers with weights that keep their random ones.
        unused: layers with weights of the source that have no place here.
    """

    source: Path
    copied: tuple[str, ...]
    fresh: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        kept = f"; fresh: {', '.join(self.fresh)}" if self.fresh else ""
        lost = f"; not used: {', '.join(self.unused)}" if self.unused else ""
        return f"{len(self.copied)} layers start with the weights of {self.source}{kept}{lost}"


def start_from(model: keras.Model, init: Path) -> Start:
    """Copy the weights of equally named layers; sizes of frames may differ, channels may not.

    The last layer with weights is left fresh where it has another number of classes, and so are
    layers that the source does not have (an Attention U-Net's gates, coming from a U-Net). A deeper
    U-Net may start from a shallower one: what was the bottleneck there is an encoder's level here.
    Where the stem has a larger stride than the source's, each level takes the weights of the level
    with the same grid, and the stem is left fresh.

    Args:
        model: built, with fresh weights; changed in place.
        init: a run's folder, or a `.keras` file.

    Raises:
        ConfigError: no such file, not a model, a layer of another shape, or less than half of the
            layers in common.
    """
    source = weights_file(init)
    if not source.is_file():
        raise ConfigError(
            f"model.init: {source} is not there; train that run first, name another one, or start "
            "afresh with --set model.init=null"
        )
    if source.suffix != ".keras":
        raise ConfigError(
            f"model.init: {source}: an exported model cannot be trained further; name the run, or "
            "its best.keras"
        )
    try:
        stored = {layer.name: layer for layer in load_model(source).layers}
    except FetalTFError as error:
        raise ConfigError(f"model.init: {error}") from error
    stored = _at_depth_of(model, _at_stride_of(model, stored))
    copied, fresh = [], []
    weighted = [layer for layer in model.layers if layer.weights]
    for layer in weighted:
        known = stored.get(layer.name)
        if known is None or not _fits(layer, known, source, last=layer is weighted[-1]):
            fresh.append(layer.name)
            continue
        layer.set_weights(known.get_weights())
        copied.append(layer.name)
    if len(copied) < LEAST_SHARE * len([*copied, *fresh]):
        raise ConfigError(
            f"model.init: {source} has {len(copied)} of this model's {len([*copied, *fresh])} "
            "layers; it is another architecture. Name a run of the same one, or leave model.init "
            "out"
        )
    here = {*copied, *fresh}
    unused = [name for name, layer in stored.items() if layer.weights and name not in here]
    return Start(source, tuple(copied), tuple(fresh), tuple(unused))


def _at_stride_of(model: keras.Model, stored: Mapping[str, keras.Layer]) -> dict[str, keras.Layer]:
    """The stored layers under the names that levels of the same grid have in `model`."""
    here, there = (_stem_stride(layers) for layers in (model.layers, stored.values()))
    finer = (here // there).bit_length() - 1  # levels that the source has above our first
    if finer < 1:
        return dict(stored)
    return {_name_below(name, finer): layer for name, layer in stored.items()}


def _name_below(name: str, finer: int) -> str:
    """A layer's name without the first `finer` levels; their own layers get a name of no layer."""
    level = re.match(rf"({'|'.join(LEVELLED)})_(\d+)", name)
    if name == STEM or (level and int(level[2]) < finer):
        return f"{name} of the finer grid"
    return f"{level[1]}_{int(level[2]) - finer}{name[level.end() :]}" if level else name


def _stem_stride(layers: Iterable[keras.Layer]) -> int:
    """Pixels of the frame to one of the first level's; 1 without a stem."""
    return next((layer.strides[0] for layer in layers if layer.name == STEM), 1)


def _at_depth_of(model: keras.Model, stored: Mapping[str, keras.Layer]) -> dict[str, keras.Layer]:
    """The stored layers under the names that they have in `model`, which may be deeper."""
    levels = _levels(stored)
    if levels >= _levels([layer.name for layer in model.layers]):
        return dict(stored)
    return {name.replace(BOTTLENECK, f"encoder_{levels}"): layer for name, layer in stored.items()}


def _levels(names: Iterable[str]) -> int:
    """How many encoder levels the layers' names count."""
    found = [re.match(r"encoder_(\d+)_", name) for name in names]
    return 1 + max((int(match[1]) for match in found if match), default=-1)


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
