"""What the gates of an Attention U-Net let through: read out of a model, drawn over a frame."""

import re
from collections.abc import Mapping

import cv2
import keras
import numpy as np

from fetal_tf.edge.draw.heatmap import heatmap
from fetal_tf.edge.draw.panels import Panel
from fetal_tf.edge.draw.picture import Maps, draw
from fetal_tf.edge.errors import ConfigError
from fetal_tf.edge.geometry.letterbox import Letterbox

_MIN_WIDTH = 960  # of the frame; the gates' panels below it have a third of this


def has_gates(model: keras.Model) -> bool:
    """Whether the model has attention gates whose maps can be read."""
    return bool(_map_layers(model))


def gate_maps(model: keras.Model) -> keras.Model:
    """A model that shares `model`'s weights and answers what each attention gate lets through.

    Args:
        model: built by `attention_unet`, or loaded from its file.

    Returns:
        (N, H, W, C) float32 pixels 0..255 to `{"gate_1": (N, H/2, W/2, 1), "gate_2": …}`, float32
        in 0..1 under every policy. A gate has the number of its level: level 0 is not gated.

    Raises:
        ConfigError: a model without gates.
    """
    layers = _map_layers(model)
    if not layers:
        raise ConfigError(
            f"model.name: {model.name} has no attention gates, so there are no maps to read; "
            "attention_unet has them"
        )
    outputs = {
        name: keras.layers.Identity(dtype="float32", name=name)(layer.output)
        for name, layer in layers.items()
    }
    return keras.Model(model.input, outputs, name=f"{model.name}_gates")


def draw_gates(
    image: np.ndarray, maps: Mapping[str, np.ndarray], letterbox: Letterbox
) -> np.ndarray:
    """Draw the frame, each gate's map as a heatmap over it, and the scale of the colours below.

    Args:
        image: the original frame, uint8 (H, W).
        maps: float (h, w) or (h, w, 1) in 0..1 by the gate's name, one frame's part of what
            `gate_maps` answers; each side a whole fraction of the letterbox's target.
        letterbox: from this frame to the network's input.

    Returns:
        RGB uint8. Every panel is titled with the gate's name, its grid (height x width) and the
        least and greatest value within the frame, padding left out; all share one scale, 0 to 1.

    Raises:
        ValueError: no map, a map that does not fit the letterbox, or a value outside 0..1.
    """
    if not maps:
        raise ValueError("draw_gates: there is no map to draw")
    gates = [_panel(image, name, values, letterbox) for name, values in maps.items()]
    scale = "attention (0: skip shut, 1: open)"
    return draw(image, (), maps=Maps("frame", gates, scale, _MIN_WIDTH))


def _map_layers(model: keras.Model) -> dict[str, keras.Layer]:
    """The layers that hold the maps by the gate's name, finest level first."""
    found = {}
    for layer in model.layers:
        if match := re.fullmatch(r"gate_(\d+)_map", layer.name):
            found[int(match[1])] = layer
    return {f"gate_{level}": found[level] for level in sorted(found)}


def _panel(image: np.ndarray, name: str, values: np.ndarray, letterbox: Letterbox) -> Panel:
    values = _checked(name, values, letterbox)
    size = (letterbox.target_width, letterbox.target_height)
    # As the network sees it: bilinear, pixel centres half a step in.
    on_frame = letterbox.restore(cv2.resize(values, size, interpolation=cv2.INTER_LINEAR))
    grid = f"{values.shape[0]}x{values.shape[1]}"
    title = f"{name} ({grid}): {on_frame.min():.2f} to {on_frame.max():.2f}"
    return Panel(title, heatmap(image, on_frame))


def _checked(name: str, values: np.ndarray, letterbox: Letterbox) -> np.ndarray:
    """The map as float32 (h, w)."""
    values = np.asarray(values, np.float32)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    target = (letterbox.target_height, letterbox.target_width)
    sides = values.shape if values.ndim == 2 and values.size else (0, 0)
    if 0 in sides or target[0] % sides[0] or target[1] % sides[1]:
        raise ValueError(
            f"{name}: a map of shape {values.shape} is no whole fraction of the network's input "
            f"{target}; give one frame's map (h, w), from a network of that input"
        )
    if not (values.min() >= 0 and values.max() <= 1):
        raise ValueError(
            f"{name}: values {values.min():g} to {values.max():g}, a gate's lie in 0..1"
        )
    return values
