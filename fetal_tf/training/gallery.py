"""Validation pictures for TensorBoard: the same frames every time, and the worst of this epoch."""

from collections.abc import Callable

import keras
import numpy as np

from fetal_tf.data.pipeline.dataset import FrameCache
from fetal_tf.edge.geometry.letterbox import Letterbox, letterboxed
from fetal_tf.edge.io.images import read_gray
from fetal_tf.tasks.task import Task
from fetal_tf.training.attention_maps import draw_gates, gate_maps, has_gates

TILE = (480, 640)  # (height, width) of one picture
SHOWN = 4  # fixed frames, and as many of the worst


def validation_gallery(
    cache: FrameCache, task: Task, predictor: Callable[[keras.Model], object]
) -> Callable[[keras.Model], dict[str, np.ndarray]]:
    """A function that draws a model's output on fixed validation frames, and on its worst ones.

    It returns RGB uint8 [n, h, w, 3] as `validation/fixed` and `validation/worst`; of a model with
    attention gates also their maps over the fixed frames, as `validation/gates`. "Worst" is judged
    at network size by the overlap 1 - sum|p - t| / sum(p + t), which needs no threshold; the
    pictures show the original frame.
    """

    def draw(model: keras.Model) -> dict[str, np.ndarray]:
        frames = np.stack([cache[i].image for i in range(len(cache))])
        targets = np.stack([cache.encode(cache[i].target) for i in range(len(cache))])
        outputs = predictor(model).predict(frames)  # type: ignore[attr-defined]
        # A target may hold a further channel: the weight of its pixels.
        overlap = soft_overlap(outputs, targets[..., : outputs.shape[-1]])
        count = min(SHOWN, len(cache))
        fixed = np.linspace(0, len(cache) - 1, count).astype(int)
        pictures = {
            "validation/fixed": _pictures(fixed, outputs, cache, task),
            "validation/worst": _pictures(np.argsort(overlap)[:count], outputs, cache, task),
        }
        if has_gates(model):
            pictures["validation/gates"] = _gates(model, fixed, cache)
        return pictures

    return draw


def soft_overlap(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """1 - sum|p - t| / sum(p + t) for each frame of two arrays [N, h, w, K]; 1 = identical."""
    axes = tuple(range(1, outputs.ndim))
    difference = np.abs(outputs - targets).sum(axis=axes)
    return 1 - difference / np.maximum((outputs + targets).sum(axis=axes), 1e-6)


def _pictures(indices, outputs, cache: FrameCache, task: Task) -> np.ndarray:
    pictures = []
    for index in indices:
        image, letterbox = _original(cache, index)
        drawn = task.draw(image, outputs[index], letterbox, cache.samples[index])
        pictures.append(_tile(drawn))
    return np.stack(pictures)


def _gates(model: keras.Model, indices, cache: FrameCache) -> np.ndarray:
    """What each attention gate lets through, drawn over the fixed frames."""
    frames = np.stack([cache[i].image for i in indices]).astype(np.float32)
    # Not `predict`: TensorFlow warns of a function that is made anew at every epoch.
    maps = {name: np.asarray(v) for name, v in gate_maps(model)(frames, training=False).items()}
    pictures = []
    for place, index in enumerate(indices):
        one = {name: np.asarray(values[place]) for name, values in maps.items()}
        image, letterbox = _original(cache, index)
        pictures.append(_tile(draw_gates(image, one, letterbox)))
    return np.stack(pictures)


def _original(cache: FrameCache, index: int) -> tuple[np.ndarray, Letterbox]:
    image = read_gray(cache.samples[index].image_path)
    return image, letterboxed(image, cache[index].image.shape)[1]


def _tile(picture: np.ndarray) -> np.ndarray:
    return Letterbox(picture.shape[0], picture.shape[1], *TILE).apply(picture)
