"""Scores that tell an unusual brain without an expert: shape, and disagreement of views."""

import math
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from fetal_tf.edge.measure.structures import Features

MIN_CALIBRATION = 20  # values that a threshold needs: with fewer, 5 % is less than one frame
# Kind of descriptor → its name in sentences.
_WORDS = {
    "area": "area",
    "along": "position along the brain",
    "across": "distance from the midline",
    "axis_ratio": "axis ratio",
    "solidity": "solidity",
    "width_share": "width against the brain's",
    "width_mm": "width",
}
_WINDOW = 0.1  # radius of the disc over which disagreement is averaged, share of brain's radius
_BORDER = 0.08  # depth of the brain's border that is left out, share of the brain's radius


def shape_descriptors(
    structures: Mapping[str, Features | None], mm_per_pixel: float | None
) -> dict[str, float]:
    """Describe shape and place of the structures, independent of the frame's size and direction.

    Brain: `axis_ratio` (logarithm of short over long axis) and `solidity`; structures inside count
    as brain.
    Every structure that is present: `area` (logarithm of the mean fragment's share of the brain).
    Where it is in one piece also `axis_ratio`, `solidity`, `along` and `across`: the distance of
    its centroid from the brain's centre along and across the brain's long axis, in semi-axes. They
    have no sign, because a frame may be mirrored and either end may be the front.
    Lateral ventricle: `width_share` (logarithm of its width over the brain's short axis) and, with
    a pixel size, `width_mm`.
    The absence of a structure is no descriptor: most normal planes miss one.

    Args:
        structures: features by class name, `brain` is the parenchyma; None = absent.
        mm_per_pixel: of the frame, or None.

    Returns:
        Descriptors named `csp_area`, `lv_width_mm` …; empty without a brain.
    """
    brain = structures.get("brain")
    if brain is None:
        return {}
    inner = {name: f for name, f in structures.items() if name != "brain" and f is not None}
    semi_major, semi_minor = brain_semi_axes(structures)
    area_px = math.pi * semi_major * semi_minor
    found = {
        "brain_axis_ratio": math.log(semi_minor / semi_major),
        # area of the hull = parenchyma's area / parenchyma's solidity
        "brain_solidity": area_px * brain.solidity / brain.area_px,
    }
    for name, structure in inner.items():
        found[f"{name}_area"] = math.log(structure.area_px / structure.fragments / area_px)
        if structure.fragments == 1:  # the centroid of two lies in neither
            found[f"{name}_axis_ratio"] = math.log(_axis_ratio(structure))
            found[f"{name}_solidity"] = structure.solidity
            found[f"{name}_along"], found[f"{name}_across"] = brain_coordinates(structures, name)
        if name == "lv":
            found["lv_width_share"] = math.log(structure.width_px / (2 * semi_minor))
            if mm_per_pixel is not None:
                found["lv_width_mm"] = structure.width_px * mm_per_pixel
    return found


def brain_semi_axes(structures: Mapping[str, Features | None]) -> tuple[float, float]:
    """Long and short semi-axis of the brain, px; ValueError without a brain.

    The ellipse has the axis ratio of the parenchyma, and the area of the brain with its structures.
    """
    ratio = _axis_ratio(_present(structures, "brain"))
    area_px = sum(f.area_px for f in structures.values() if f is not None)
    semi_major = math.sqrt(area_px / (math.pi * ratio))
    return semi_major, semi_major * ratio


def brain_coordinates(structures: Mapping[str, Features | None], name: str) -> tuple[float, float]:
    """A structure's distance from the brain's centre along and across the long axis, in semi-axes.

    0 is the centre, 1 the border; there is no sign. ValueError without a brain or the structure.
    """
    brain, structure = _present(structures, "brain"), _present(structures, name)
    semi_major, semi_minor = brain_semi_axes(structures)
    # Centre of all parts: the parenchyma alone lacks the structures and has another centre.
    parts = [f for f in structures.values() if f is not None]
    areas = [f.area_px for f in parts]
    x = structure.centroid_x_px - np.average([f.centroid_x_px for f in parts], weights=areas)
    y = structure.centroid_y_px - np.average([f.centroid_y_px for f in parts], weights=areas)
    angle = math.radians(brain.orientation_deg)
    cos, sin = math.cos(angle), math.sin(angle)
    return float(abs(x * cos + y * sin) / semi_major), float(abs(y * cos - x * sin) / semi_minor)


def _present(structures: Mapping[str, Features | None], name: str) -> Features:
    structure = structures.get(name)
    if structure is None:
        raise ValueError(f"no {name} was seen")
    return structure


def _axis_ratio(structure: Features) -> float:
    """Short over long axis of the ellipse of the same second moments, 0..1."""
    return math.sqrt(max(1e-6, 1 - structure.eccentricity**2))


def in_words(descriptor: str) -> str:
    """A descriptor's name in a sentence: "lv_width_share" → "lv width against the brain's"."""
    structure, _, what = descriptor.partition("_")
    return f"{structure} {_WORDS.get(what, what.replace('_', ' '))}"


def z_scores(
    descriptors: Mapping[str, float], reference: Mapping[str, Mapping[str, float]]
) -> dict[str, float]:
    """Robust z-scores of the descriptors that the reference holds.

    Raises:
        ValueError: a reference without a finite median and a positive scale.
    """
    found = {}
    for name, value in descriptors.items():
        if name in reference and math.isfinite(value):
            median, scale = (_number(reference[name], name, key) for key in ("median", "scale"))
            if scale <= 0:
                raise ValueError(f"reference.{name}.scale must be positive, found {scale}")
            found[name] = (value - median) / scale
    return found


def _number(entry: Mapping[str, Any], name: str, key: str) -> float:
    value = entry.get(key) if isinstance(entry, Mapping) else None
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"reference.{name}.{key} must be a finite number, found {value!r}")
    return float(value)


def disagreement_score(disagreement: np.ndarray, inside: np.ndarray) -> float | None:
    """The largest mean disagreement over discs of a tenth of the brain's radius, 0..1.

    A disc is about as large as a cavum: its mean is high where views disagree about a whole
    structure, and low where they disagree about an outline. On the brain's border views always
    disagree a little, so the border counts as 0. The size of the frame does not matter.

    Args:
        disagreement: float [h, w], 0..1.
        inside: bool [h, w], the brain with all that lies in it.

    Returns:
        The score, None without a brain.
    """
    if not inside.any():
        return None
    radius_px = math.sqrt(np.count_nonzero(inside) / math.pi)
    padded = np.pad(inside, 1).astype(np.uint8)
    depth_px = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    values = np.where(depth_px > _BORDER * radius_px, disagreement, 0).astype(np.float32)
    reach = max(1, round(_WINDOW * radius_px))
    y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    disc = (x * x + y * y <= reach * reach).astype(np.float32)
    means = cv2.filter2D(values, -1, disc / disc.sum(), borderType=cv2.BORDER_CONSTANT)
    # OpenCV filters large kernels by Fourier transform, which can leave 0..1 by rounding.
    return float(np.clip(means.max(), 0, 1))
