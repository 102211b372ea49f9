"""Views of a frame: predict its mirror image and map back; measure how far views disagree."""

from collections.abc import Sequence

import numpy as np

from fetal_tf.edge.geometry.landmarks import AXES, LANDMARKS
from fetal_tf.edge.inference.predictor import Predictor

GAMMAS = (0.8, 1.25)  # brighter and darker, as far as a sonographer turns the gain between frames
_REVERSED = ("axis_sin",)  # a mirrored axis has 1 - p in these maps, see `edge.geometry.axis`


def unmirrored(outputs: np.ndarray, own: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Map a network's output for mirrored frames back to the frames themselves.

    Which end of an axis a network calls the first in a mirror image depends on how it was trained:
    the left one, or the one that the label file names. So the ends of each axis are ordered like
    those in `own`: the order with the smaller sum of squared differences is taken.

    Args:
        outputs: for the mirrored frames: maps [N, h, w, K], or coordinates [N, P, 2], (x, y) as
            shares of the frame's width and height. Maps may have channels after those of `classes`.
        own: for the frames themselves, the same shape.
        classes: names of the maps or points.

    Returns:
        A new array of the same shape and dtype.
    """
    if outputs.ndim == 3:
        turned = np.stack([1 - outputs[..., 0], outputs[..., 1]], axis=-1)
        found, wanted = turned, own
    else:
        turned = outputs[:, :, ::-1].copy()
        reversed_channels = [classes.index(name) for name in _REVERSED if name in classes]
        turned[..., reversed_channels] = 1 - turned[..., reversed_channels]
        found, wanted = np.moveaxis(turned, -1, 1), np.moveaxis(own, -1, 1)
    for names in (LANDMARKS[ends] for ends in AXES.values()):
        if set(names) <= set(classes):
            ends = [classes.index(name) for name in names]
            kept, exchanged = found[:, ends], found[:, ends[::-1]]
            is_other = _squares(exchanged - wanted[:, ends]) < _squares(kept - wanted[:, ends])
            found[np.flatnonzero(is_other)[:, None], ends] = exchanged[is_other]
    return turned


def _squares(differences: np.ndarray) -> np.ndarray:
    """Sum of squares of each frame, [N, …] to [N]."""
    return (differences.reshape(len(differences), -1) ** 2).sum(axis=1)


def gamma_table(gamma: float) -> np.ndarray:
    """Look-up table of a gamma curve, uint8 (256,); black padding stays black."""
    return np.rint(255 * (np.arange(256) / 255) ** gamma).astype(np.uint8)


class WithDisagreement:
    """Append to a network's probabilities a channel with the disagreement of four views.

    The views are the frame, its mirror image (mapped back), a brighter and a darker copy. Their
    disagreement is the mean over views of ½ Σ_c |p_view - p_mean|, the total variation distance: 0
    where all agree, 0.5 where half of them are sure of one class and half of another. It takes
    three more runs of the network.
    """

    def __init__(self, predictor: Predictor):
        self._predictor = predictor
        self.input_shape = predictor.input_shape

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Frames uint8 (N, H, W, C), 0..255, to float32 (N, h, w, K + 1).

        The first K channels are the network's output for the frame itself, the last one is the
        disagreement, 0..1.
        """
        own = self._predictor.predict(images)
        mirrored = self._predictor.predict(np.ascontiguousarray(images[:, :, ::-1]))
        views = [own, mirrored[:, :, ::-1]]
        views += [self._predictor.predict(table[images]) for table in _TABLES]
        mean = sum(views[1:], start=views[0]) / np.float32(len(views))
        distances = [np.abs(view - mean).sum(axis=-1, keepdims=True) / 2 for view in views]
        disagreement = sum(distances[1:], start=distances[0]) / np.float32(len(views))
        # Quantized probabilities do not add up to 1 exactly.
        disagreement = np.clip(disagreement, 0, 1)
        return np.concatenate([own, disagreement], axis=-1, dtype=np.float32)


_TABLES = tuple(gamma_table(gamma) for gamma in GAMMAS)
