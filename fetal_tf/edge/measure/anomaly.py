"""How unusual a brain is without an expert: shape against a reference, disagreement of views."""

import math
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from fetal_tf.edge.measure.structures import Features

MIN_CALIBRATION = 20  # values from which the tail that a threshold cuts off is more than one frame
# What makes a descriptor, and what people call it.
_WORDS = {
    "area": "area",
    "along": "position along the brain",
    "across": "distance from the midline",
    "axis_ratio": "axis ratio",
    "solidity": "solidity",
    "width_share": "width against the brain's",
    "width_mm": "width",
}
_WINDOW = 0.1  # radius of the disc that disagreement is averaged over, share of the brain's radius
_BORDER = 0.08  # depth of the brain's border that no disc looks at, share of the brain's radius


def shape_descriptors(
    structures: Mapping[str, Features | None], mm_per_pixel: float | None
) -> dict[str, float]:
    """What the shapes and places of the structures say, whatever the frame's size and direction.

    Of the brain: `axis_ratio` (logarithm of short over long axis) and `solidity`, structures inside
    counted as brain. Of every structure that is present: `area` (logarithm of the mean fragment's
    share of the brain); of one in a single piece `axis_ratio`, `solidity`, and `along` and
    `across`, the distance of its centroid from the brain's centre along and across the brain's long
    axis, in its semi-axes (without a sign: a frame may be mirrored, and either end may be the
    front). Of the lateral ventricle `width_share` (logarithm of its width over the brain's short
    axis) and, with a pixel size, `width_mm`. That a structure is absent is no descriptor: most
    normal planes miss one.

    Args:
        structures: features by class name, of the brain's parenchyma as `brain`; None = absent.
        mm_per_pixel: of the frame, or None.

    Returns:
        Descriptors as `csp_area`, `lv_width_mm` …; empty where there is no brain.
    """
    brain = structures.get("brain")
    if brain is None:
        return {}
    inner = {name: f for name, f in structures.items() if name != "brain" and f is not None}
    semi_major, semi_minor = brain_semi_axes(structures)
    area_px = math.pi * semi_major * semi_minor
    found = {
        "brain_axis_ratio": math.log(semi_minor / semi_major),
        # The hull's pixels follow from the parenchyma's own solidity.
        "brain_solidity": area_px * brain.solidity / brain.area_px,
    }
    for name, structure in inner.items():
        found[f"{name}_area"] = math.log(structure.area_px / structure.fragments / area_px)
        if structure.fragments == 1:  # the middle of two is in neither, their hull spans the brain
            found[f"{name}_axis_ratio"] = math.log(_axis_ratio(structure))
            found[f"{name}_solidity"] = structure.solidity
            found[f"{name}_along"], found[f"{name}_across"] = brain_coordinates(structures, name)
        if name == "lv":
            found["lv_width_share"] = math.log(structure.width_px / (2 * semi_minor))
            if mm_per_pixel is not None:
                found["lv_width_mm"] = structure.width_px * mm_per_pixel
    return found


def brain_semi_axes(structures: Mapping[str, Features | None]) -> tuple[float, float]:
    """Long and short semi-axis of the brain, px.

    They are those of the ellipse with the parenchyma's axis ratio, and with the area of the brain
    and all structures in it. Raises ValueError where there is no brain.
    """
    ratio = _axis_ratio(_present(structures, "brain"))
    area_px = sum(f.area_px for f in structures.values() if f is not None)
    semi_major = math.sqrt(area_px / (math.pi * ratio))
    return semi_major, semi_major * ratio


def brain_coordinates(structures: Mapping[str, Features | None], name: str) -> tuple[float, float]:
    """Where a structure's centroid lies along and across the brain's long axis, in semi-axes.

    0 is the brain's centre, 1 its border; without a sign. Raises ValueError where there is no
    brain or no such structure.
    """
    brain, structure = _present(structures, "brain"), _present(structures, name)
    semi_major, semi_minor = brain_semi_axes(structures)
    # The parenchyma has its centre beside the brain's where a structure is missing in it.
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
    """A descriptor's name for people: `csp_area` is "csp area"."""
    structure, _, what = descriptor.partition("_")
    return f"{structure} {_WORDS.get(what, what.replace('_', ' '))}"


def z_scores(
    descriptors: Mapping[str, float], reference: Mapping[str, Mapping[str, float]]
) -> dict[str, float]:
    """Robust standard deviations above the reference, of the descriptors that both know.

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
    """The largest mean disagreement in any disc of a tenth of the brain's radius, 0..1.

    A disc is about as large as a cavum: it reaches a high mean where views disagree about a whole
    structure, shown or not, not where they disagree about its outline. The brain's own border, on
    which views always disagree a little, does not count (as 0, so that no small remainder of a
    disc weighs much), and neither does the size of the frame.

    Args:
        disagreement: float [h, w], 0..1.
        inside: bool [h, w], the brain with all that lies in it.

    Returns:
        The score, None where there is no brain.
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
    # A large kernel goes through a Fourier transform, which leaves crumbs of either sign.
    return float(np.clip(means.max(), 0, 1))
