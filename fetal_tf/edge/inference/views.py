"""How much a network contradicts itself: the same frame mirrored, brighter and darker."""

from collections.abc import Sequence

import numpy as np

from fetal_tf.edge.inference.predictor import Predictor

GAMMAS = (0.8, 1.25)  # brighter and darker, as far as a sonographer turns the gain between frames
# What a mirror image shows as another class. The ends of the OFD are the left and the right one;
# those of the BPD are the ones above and below it, which no mirror changes.
_MIRRORED = {"ofd_1": "ofd_2", "ofd_2": "ofd_1"}
# What a mirror image shows the other way about: p becomes 1 - p.
_REVERSED = ("axis_sin",)


def unmirrored(outputs: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """What a network says about mirrored frames, in terms of the frames themselves.

    Args:
        outputs: maps [N, h, w, K], or coordinates [N, P, 2], (x, y) as shares of the frame's width
            and height. Maps may have further channels behind those of `classes`.
        classes: what maps or points mean.

    Returns:
        The same shape and dtype, right and left exchanged: in the frame, and in the classes' names.
    """
    order = [classes.index(_MIRRORED.get(name, name)) for name in classes]
    if outputs.ndim == 3:
        points = outputs[:, order] if classes else outputs
        return np.stack([1 - points[..., 0], points[..., 1]], axis=-1)
    turned = outputs[:, :, ::-1]
    if order != sorted(order):
        turned = turned[..., [*order, *range(len(order), outputs.shape[-1])]]
    reversed_channels = [classes.index(name) for name in _REVERSED if name in classes]
    if reversed_channels:
        turned = turned.copy()
        turned[..., reversed_channels] = 1 - turned[..., reversed_channels]
    return turned


def gamma_table(gamma: float) -> np.ndarray:
    """Gray value to gray value, uint8 (256,); black stays black, and with it the padding."""
    return np.rint(255 * (np.arange(256) / 255) ** gamma).astype(np.uint8)


class WithDisagreement:
    """The network's own probabilities, and as one more channel how far its views disagree.

    The views are the frame itself, its mirror image (un-mirrored afterwards) and two changes of
    intensity. They disagree by the mean over views of ½ Σ_c |p_view - p_mean|, the total variation
    distance: 0 where all say the same, 0.5 where half of them are sure of one class and half of
    another. It costs three more runs of the network.
    """

    def __init__(self, predictor: Predictor):
        self._predictor = predictor

    @property
    def input_shape(self) -> tuple[int, int, int]:
        return self._predictor.input_shape

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Frames uint8 (N, H, W, C), 0..255, to float32 (N, h, w, K + 1).

        The first K channels are the network's output for the unchanged frame, untouched; the last
        one is the disagreement, 0..1.
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
