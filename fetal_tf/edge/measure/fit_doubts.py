"""Refuse or flag an ellipse fitted to the mask of any structure."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fetal_tf.edge.flag import Flag, beyond
from fetal_tf.edge.geometry.contours import EllipseFit

LEVEL = 0.5  # probability from which a pixel belongs to a structure


@dataclass(frozen=True)
class FitLimits:
    """When a structure's ellipse is refused or flagged.

    Attributes:
        min_area_share: refused below this share of the image.
        min_iou: refused below this IoU of mask and ellipse.
        good_iou: flagged below.
        max_residual_percent: flagged above, root mean square distance of the contour to the
            ellipse in per cent of its mean radius.
        max_border_fraction: flagged above, share of the ellipse on or beyond the image's edge.
    """

    min_area_share: float
    min_iou: float
    good_iou: float
    max_residual_percent: float
    max_border_fraction: float


def check_mm_per_pixel(mm_per_pixel: float | None) -> None:
    """Check that a pixel size is a positive number, or None for unknown.

    Raises:
        ValueError: it is not.
    """
    if mm_per_pixel is not None and not (math.isfinite(mm_per_pixel) and mm_per_pixel > 0):
        raise ValueError(f"mm_per_pixel must be a positive number or None, found {mm_per_pixel}")


def refusal(
    name: str, content: np.ndarray, fit: EllipseFit | None, limits: FitLimits
) -> Flag | None:
    """Why a fit is refused as structure `name`, with the code no_NAME, or None.

    `content` is the map float32 (h, w) without padding that was fitted.
    """
    code = f"no_{name}"
    if fit is None:
        highest = float(content.max())
        if highest >= LEVEL:
            return Flag(code, f"what looks like a {name} has no outline that an ellipse fits")
        found, limit = beyond(highest, LEVEL, 2)
        return Flag(
            code,
            f"nothing in the frame looks like a {name}: the highest probability is {found}, "
            f"{limit} is needed",
        )
    share = fit.area_px / content.size
    if share < limits.min_area_share:
        found, limit = beyond(100 * share, 100 * limits.min_area_share, 2)
        return Flag(
            code,
            f"what looks like a {name} covers only {found} % of the image, at least {limit} % are "
            "needed",
        )
    if fit.iou < limits.min_iou:
        found, limit = beyond(fit.iou, limits.min_iou, 2)
        return Flag(
            code,
            f"what looks like a {name} is no ellipse: IoU {found}, at least {limit} is needed",
        )
    return None


def fit_flags(fit: EllipseFit, limits: FitLimits, name: str = "") -> Iterator[Flag]:
    """Flags of a fit; `name` tells several structures apart."""
    of = f"{name} " if name else ""
    if fit.border_fraction > limits.max_border_fraction:
        yield border_flag(f"{of}outline", fit.border_fraction, limits.max_border_fraction)
    misfits = []
    if fit.residual_percent > limits.max_residual_percent:
        found, limit = beyond(fit.residual_percent, limits.max_residual_percent)
        misfits.append(f"it is {found} % of the radius away on average (limit {limit})")
    if fit.iou < limits.good_iou:
        found, limit = beyond(fit.iou, limits.good_iou, 3)
        misfits.append(f"IoU {found} (limit {limit})")
    if misfits:
        yield Flag(
            "poor_ellipse_fit",
            f"the {of}outline follows no ellipse well: {', '.join(misfits)}; look whether the "
            "drawn line lies where it should",
        )
    if fit.components > 1:
        yield Flag(
            "fragmented",
            f"the {of}mask has {fit.components} separate parts, the largest is measured; is it "
            "the whole?",
        )


def border_flag(outline: str, share: float, limit: float) -> Flag:
    """The flag of an outline of which too large a share lies on the edge of the image."""
    found, stated = beyond(100 * share, 100 * limit, 0)
    return Flag(
        "touches_border",
        f"{found} % of the {outline} lies on or beyond the edge of the image (limit {stated} %); "
        "take a frame that shows all of it",
    )
