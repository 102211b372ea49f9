"""Refuse or flag an ellipse fitted to the mask of any structure."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

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
) -> str | None:
    """Why a fit is refused as structure `name`, "no_NAME: sentence", or None.

    `content` is the map float32 (h, w) without padding that was fitted.
    """
    if fit is None:
        highest = float(content.max())
        if highest >= LEVEL:
            return f"no_{name}: what is above {LEVEL:.2f} has no outline that an ellipse fits"
        return (
            f"no_{name}: no structure above {LEVEL:.2f}, the highest probability is {highest:.2f}"
        )
    share = fit.area_px / content.size
    if share < limits.min_area_share:
        return (
            f"no_{name}: the largest structure covers {100 * share:.2f} % of the image, "
            f"at least {100 * limits.min_area_share:g} % are needed"
        )
    if fit.iou < limits.min_iou:
        return (
            f"no_{name}: the structure is no ellipse, IoU {fit.iou:.2f}, "
            f"at least {limits.min_iou:g} is needed"
        )
    return None


def fit_flags(fit: EllipseFit, limits: FitLimits, name: str = "") -> Iterator[str]:
    """Flags of a fit, "code: sentence"; `name` tells several structures apart."""
    of = f"{name} " if name else ""
    if fit.border_fraction > limits.max_border_fraction:
        yield (
            f"touches_border: {100 * fit.border_fraction:.0f} % of the {of}outline lies on or "
            "beyond the edge of the image"
        )
    residual = fit.residual_percent
    if residual > limits.max_residual_percent or fit.iou < limits.good_iou:
        yield (
            f"poor_ellipse_fit: {of}residual {residual:.1f} % of the radius (limit "
            f"{limits.max_residual_percent:g}), IoU {fit.iou:.3f} (limit {limits.good_iou:g})"
        )
    if fit.components > 1:
        yield f"fragmented: the {of}mask has {fit.components} separate parts"
