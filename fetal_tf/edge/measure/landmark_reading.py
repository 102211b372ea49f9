"""Read the four landmarks from a network's maps or coordinates, in pixels of the image."""

from dataclasses import dataclass

import numpy as np

from fetal_tf.edge.geometry.landmarks import AXES, LANDMARKS, decode_heatmaps, from_shares
from fetal_tf.edge.geometry.letterbox import Letterbox

# Peaks nearer to each other than this share of the map's longer side are the same end. The shortest
# BPD in HC18 is four times as long.
_ONE_END_SHARE = 0.05


@dataclass(frozen=True)
class Reading:
    """The landmarks in a network's output, before any check.

    Attributes:
        points: float64 [4, 2], (x, y) in pixels of the original image in the order of LANDMARKS;
            the ends of an axis are in the net's order. NaN where the net gave no number.
        peaks: float64 [4], height of each map's peak, 0..1; None for coordinates.
        mask: the head's map, float32 [h, w] of the letterboxed frame; None without one.
    """

    points: np.ndarray
    peaks: np.ndarray | None = None
    mask: np.ndarray | None = None


def check_classes(classes: tuple[str, ...]) -> None:
    """Check that `classes` are the four LANDMARKS in order, with or without `head` before them.

    Raises:
        ValueError: they are not.
    """
    if classes not in (LANDMARKS, ("head", *LANDMARKS)):
        raise ValueError(
            f"classes {', '.join(classes) or 'none'}: landmarks are {', '.join(LANDMARKS)}, in "
            "this order, and head before them where there is a mask"
        )


def read_landmarks(output: np.ndarray, classes: tuple[str, ...], letterbox: Letterbox) -> Reading:
    """Read the landmarks from a network's output.

    Args:
        output: maps float32 [h, w, K] in 0..1, named by `classes`, or coordinates [4, 2], shares of
            the letterboxed frame's width and height in the order of LANDMARKS.
        classes: see `check_classes`.
        letterbox: how the frame was fitted into the net's; its padding is ignored.

    Raises:
        ValueError: other classes, an output that is neither, or maps of another size.
    """
    check_classes(classes)
    frame = (letterbox.target_height, letterbox.target_width)
    if output.shape == (len(LANDMARKS), 2) and classes == LANDMARKS:
        return Reading(letterbox.to_source(from_shares(output, *frame)))
    if output.shape != (*frame, len(classes)):
        raise ValueError(
            f"maps {(*frame, len(classes))} (height, width, classes) or coordinates "
            f"({len(LANDMARKS)}, 2) of landmarks alone are expected, not {output.shape}"
        )
    maps = output[..., -len(LANDMARKS) :]
    points, peaks = decode_heatmaps(maps, letterbox.content)
    for ends in AXES.values():
        points[ends], peaks[ends] = _apart(
            maps[..., ends], points[ends], peaks[ends], letterbox.content
        )
    mask = output[..., 0] if "head" in classes else None
    return Reading(letterbox.to_source(points), peaks, mask)


def _apart(
    maps: np.ndarray, points: np.ndarray, peaks: np.ndarray, content: tuple[slice, slice]
) -> tuple[np.ndarray, np.ndarray]:
    """Separate two ends [2, 2] with peaks [2] where both maps [h, w, 2] have the same highest peak.

    In an upright axis the net cannot tell which end is the left one, and both maps show both ends.
    Then one map takes its second peak: the choice with the higher product of peaks.
    """
    radius = _ONE_END_SHARE * max(maps.shape[:2])
    if not np.hypot(*(points[1] - points[0])) < radius:
        return points, peaks
    y, x = np.indices(maps.shape[:2])
    near = np.hypot(x - points[:, 0].mean(), y - points[:, 1].mean()) < radius
    others, other_peaks = decode_heatmaps(np.where(near[..., None], 0, maps), content)
    if peaks[0] * other_peaks[1] >= other_peaks[0] * peaks[1]:
        return np.stack([points[0], others[1]]), np.array([peaks[0], other_peaks[1]])
    return np.stack([others[0], points[1]]), np.array([other_peaks[0], peaks[1]])
