"""Clean a label map of a brain: close gaps, fill holes, remove fragments."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import cv2
import numpy as np

from fetal_tf.edge.geometry.masks import bounding_box, hull_corners, outer_contours
from fetal_tf.edge.measure.structures import BACKGROUND, BRAIN, STRUCTURES

_MAX_PASSES = 10  # two are enough for a brain; a bound for other masks


@dataclass(frozen=True)
class Cleaning:
    """Limits of the cleaning, in units of the brain, so that the frame's size does not matter.

    The unit of area is the area of the brain's convex hull, the unit of length the radius of the
    circle with that area. Closing and filling do not change the hull.

    Attributes:
        closing: radius of the closing; it bridges gaps up to about twice this. 0 = off.
        min_area: smaller fragments of a structure are removed. A cavum is about 1 % of the brain;
            smaller fragments are more often noise than anatomy.
        top_k: class name → how many fragments of a structure are kept, the largest first. Other
            classes keep all.
        margin: structures are cut off beyond the brain's hull grown by this.

    Raises:
        ValueError: a number outside [0, 1), a `top_k` that is no positive integer.
    """

    closing: float = 0.02
    min_area: float = 0.004
    top_k: Mapping[str, int] = field(default_factory=lambda: {"csp": 1, "lv": 2})
    margin: float = 0.05

    def __post_init__(self) -> None:
        for name in ("closing", "min_area", "margin"):
            value = getattr(self, name)
            if not (math.isfinite(value) and 0 <= value < 1):
                raise ValueError(f"cleaning.{name} must be at least 0 and below 1, found {value}")
        for name, count in self.top_k.items():
            if name not in STRUCTURES:
                raise ValueError(
                    f"cleaning.top_k.{name}: no such structure; known: {', '.join(STRUCTURES)}"
                )
            if not isinstance(count, int) or count < 1:
                raise ValueError(f"cleaning.top_k.{name} must be 1 or more, found {count!r}")


def clean(labels: np.ndarray, classes: tuple[str, ...], cleaning: Cleaning) -> np.ndarray:
    """Clean a label map; a clean one stays as it is.

    The brain is the connected part with the most brain pixels, where structures count as brain. Its
    gaps are closed and its holes filled. Of each structure the largest fragments inside the (grown)
    brain are kept. Removed pixels become brain inside the brain, and background elsewhere.

    Args:
        labels: uint8 [H, W], indices into `classes`.
        classes: background, brain, then the structures.
        cleaning: limits.

    Returns:
        uint8 [H, W]; all background where no pixel is brain.
    """
    for _ in range(_MAX_PASSES):
        # Each pass moves the brain's outline, on which all limits depend.
        cleaned = _cleaned_once(labels, classes, cleaning)
        if np.array_equal(cleaned, labels):
            break
        labels = cleaned
    return cleaned


def _cleaned_once(labels: np.ndarray, classes: tuple[str, ...], cleaning: Cleaning) -> np.ndarray:
    cleaned = np.zeros_like(labels)
    box = bounding_box(labels != BACKGROUND)
    if box is None:
        return cleaned
    found = labels[box]
    main = _with_most_brain(found != BACKGROUND, found == BRAIN)
    if main is None:
        return cleaned
    hull = _hull(main & (found == BRAIN))
    area_px = float(np.count_nonzero(hull))
    radius_px = math.sqrt(area_px / math.pi)
    outside = (~hull).astype(np.uint8)
    reach_px = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    near = reach_px <= cleaning.margin * radius_px
    kept = {
        index: _kept_fragments(
            (found == index) & near,
            cleaning.closing * radius_px,
            cleaning.min_area * area_px,
            cleaning.top_k.get(classes[index]),
        )
        for index in range(BRAIN + 1, len(classes))
    }
    solid = (found == BRAIN) | ((found != BACKGROUND) & hull)
    solid = _closed(np.logical_or.reduce([solid, *kept.values()]), cleaning.closing * radius_px)
    whole = _with_most_brain(solid, found == BRAIN)
    assert whole is not None  # closing keeps every brain pixel
    result = np.zeros_like(found)
    result[_filled(whole)] = BRAIN
    for index, mask in kept.items():
        result[mask & (result <= BRAIN)] = index
    # Where closed structures overlap, a pixel keeps its own class.
    for index, mask in kept.items():
        result[mask & (found == index)] = index
    cleaned[box] = result
    return cleaned


def _kept_fragments(
    mask: np.ndarray, closing_px: float, min_area_px: float, count: int | None
) -> np.ndarray:
    """The largest `count` fragments of at least `min_area_px`, closed and without holes."""
    if not mask.any():
        return mask
    closed = _filled(_closed(mask, closing_px))
    number, parts, stats, _ = cv2.connectedComponentsWithStats(closed.astype(np.uint8))
    areas = stats[:, cv2.CC_STAT_AREA]
    order = [i for i in np.argsort(-areas[1:], kind="stable") + 1 if areas[i] >= min_area_px]
    chosen = np.zeros(number, bool)
    chosen[order[:count]] = True
    return chosen[parts]


def _with_most_brain(mask: np.ndarray, brain: np.ndarray) -> np.ndarray | None:
    """The connected part of `mask` with the most pixels of `brain`; None where none has any."""
    number, parts = cv2.connectedComponents(mask.astype(np.uint8))
    held = np.bincount(parts[brain & mask], minlength=number)
    return parts == int(held.argmax()) if held.any() else None


def _closed(mask: np.ndarray, radius_px: float) -> np.ndarray:
    """Morphological closing by a disc; the mask is not joined to the frame's edge."""
    reach = int(radius_px)
    if reach < 1:
        return mask
    y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    disc = (x * x + y * y <= radius_px * radius_px).astype(np.uint8)
    padded = np.pad(mask.astype(np.uint8), reach)
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, disc)
    return closed[reach:-reach, reach:-reach].astype(bool)


def _filled(mask: np.ndarray) -> np.ndarray:
    """Fill holes, also those that touch the background only at a corner."""
    filled = np.zeros(mask.shape, np.uint8)
    cv2.drawContours(filled, outer_contours(mask), -1, 1, cv2.FILLED)
    return filled.astype(bool)


def _hull(mask: np.ndarray) -> np.ndarray:
    """Pixels of the convex hull of the mask, bool."""
    hull = np.zeros(mask.shape, np.uint8)
    cv2.fillConvexPoly(hull, hull_corners(mask), 1)
    return hull.astype(bool) | mask
