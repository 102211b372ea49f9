"""Validation pictures for TensorBoard: the same frames every time, and the worst of this epoch."""

from collections.abc import Callable

import keras
import numpy as np

from fetal_tf.data.pipeline import FrameCache
from fetal_tf.edge.images import read_gray
from fetal_tf.edge.preprocess import Letterbox
from fetal_tf.tasks.task import Task

TILE = (360, 540)  # (height, width) of one picture
SHOWN = 4  # fixed frames, and as many of the worst


def validation_gallery(
    cache: FrameCache, task: Task, predictor: Callable[[keras.Model], object]
) -> Callable[[keras.Model], dict[str, np.ndarray]]:
    """A function of a model that draws `fixed` and `worst` frames, RGB uint8 [n, h, w, 3] each.

    "Worst" is judged at network size by the overlap 1 - sum|p - t| / sum(p + t), which needs no
    threshold; the pictures themselves are drawn in the original frame.
    """

    def draw(model: keras.Model) -> dict[str, np.ndarray]:
        frames = np.stack([cache[i].image for i in range(len(cache))])
        targets = np.stack([cache[i].target for i in range(len(cache))]) / np.float32(255)
        outputs = predictor(model).predict(frames)  # type: ignore[attr-defined]
        overlap = soft_overlap(outputs, targets)
        count = min(SHOWN, len(cache))
        fixed = np.linspace(0, len(cache) - 1, count).astype(int)
        return {
            "validation/fixed": _pictures(fixed, outputs, cache, task),
            "validation/worst": _pictures(np.argsort(overlap)[:count], outputs, cache, task),
        }

    return draw


def soft_overlap(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """1 - sum|p - t| / sum(p + t) for each frame of two arrays [N, h, w, K]; 1 = identical."""
    axes = tuple(range(1, outputs.ndim))
    difference = np.abs(outputs - targets).sum(axis=axes)
    return 1 - difference / np.maximum((outputs + targets).sum(axis=axes), 1e-6)


def _pictures(indices, outputs, cache: FrameCache, task: Task) -> np.ndarray:
    pictures = []
    for index in indices:
        sample = cache.samples[index]
        image = read_gray(sample.image_path)
        letterbox = Letterbox(image.shape[0], image.shape[1], *outputs.shape[1:3])
        drawn = task.draw(image, outputs[index], letterbox, sample)
        pictures.append(Letterbox(drawn.shape[0], drawn.shape[1], *TILE).apply(drawn))
    return np.stack(pictures)
