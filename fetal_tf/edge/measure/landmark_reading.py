"""What a network says about the four ends: from maps or coordinates to pixels of the image."""

from dataclasses import dataclass

import numpy as np

from fetal_tf.edge.geometry.landmarks import AXES, LANDMARKS, decode_heatmaps, from_shares
from fetal_tf.edge.geometry.letterbox import Letterbox

# Peaks nearer than this share of the map's longer side are one end. The shortest BPD in HC18 is
# four times as long, and no peak that a net was taught is as wide.
_ONE_END_SHARE = 0.05


@dataclass(frozen=True)
class Reading:
    """Where a network sees the landmarks, whether or not that is a head.

    Attributes:
        points: float64 [4, 2], (x, y) in pixels of the original image, named as the net names
            them: in the order of LANDMARKS, ends not sorted. NaN where it gave no number.
        peaks: float64 [4], how high each map is at its peak, 0..1; None for coordinates.
        mask: float32 [h, w] of the letterboxed frame, the head's map, where the net has one.
    """

    points: np.ndarray
    peaks: np.ndarray | None = None
    mask: np.ndarray | None = None


def check_classes(classes: tuple[str, ...]) -> None:
    """Make sure that `classes` are the four landmarks in their order, a head's mask before or not.

    Raises:
        ValueError: they are not.
    """
    if classes not in (LANDMARKS, ("head", *LANDMARKS)):
        raise ValueError(
            f"classes {', '.join(classes) or 'none'}: landmarks are {', '.join(LANDMARKS)}, in "
            "this order, and head before them where there is a mask"
        )


def read_landmarks(output: np.ndarray, classes: tuple[str, ...], letterbox: Letterbox) -> Reading:
    """Take the landmarks from a network's output.

    Args:
        output: maps float32 [h, w, K] in 0..1, named by `classes`, or coordinates [4, 2], shares of
            the letterboxed frame's width and height in the order of LANDMARKS.
        classes: see `check_classes`.
        letterbox: how the frame was fitted into the net's; its padding is not looked at.

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
    """Two ends [2, 2] and their peaks [2], where both maps [h, w, 2] peak at the same one.

    Of an upright axis the net cannot tell which end is the left one: both maps hold both. One of
    them then gives way to its second peak, so that the two together are as high as can be.
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
