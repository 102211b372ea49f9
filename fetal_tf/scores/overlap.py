"""Overlap and surface distances of two masks at the original image size, in NumPy."""

import numpy as np
from scipy.ndimage import binary_erosion
from scipy.spatial import KDTree


def overlap_metrics(pred: np.ndarray, truth: np.ndarray) -> dict[str, float | None]:
    """Overlap scores of two masks.

    Args:
        pred: bool [H, W], the prediction.
        truth: bool [H, W], the expert's mask.

    Returns:
        `dice`, `iou`, `pixel_accuracy`, `precision`, `recall`, `specificity`, each in [0, 1].
        If both masks are empty, `dice` and `iou` are 1. The last three are None where their
        denominator is zero: `precision` without a predicted pixel, `recall` without foreground,
        `specificity` without background.

    Raises:
        TypeError: a mask that is not bool; threshold probabilities first.
        ValueError: masks of different shape, or not two-dimensional.
    """
    _check_masks(pred, truth)
    true_positive = int(np.count_nonzero(pred & truth))
    predicted, actual = int(np.count_nonzero(pred)), int(np.count_nonzero(truth))
    false_positive, false_negative = predicted - true_positive, actual - true_positive
    true_negative = pred.size - predicted - false_negative
    dice = _ratio(2 * true_positive, predicted + actual)
    iou = _ratio(true_positive, predicted + false_negative)
    return {
        "dice": 1.0 if dice is None else dice,
        "iou": 1.0 if iou is None else iou,
        "pixel_accuracy": (true_positive + true_negative) / pred.size,
        "precision": _ratio(true_positive, predicted),
        "recall": _ratio(true_positive, actual),
        "specificity": _ratio(true_negative, true_negative + false_positive),
    }


def surface_distances_px(pred: np.ndarray, truth: np.ndarray) -> dict[str, float | None]:
    """Surface distances between two masks in pixels: HD95 and the symmetric mean.

    The border of a mask is its pixels with a 4-neighbour outside it; the frame's edge counts as
    outside. Distances run from each border pixel to the nearest one of the other mask, centre to
    centre.

    Args:
        pred: bool [H, W], the prediction.
        truth: bool [H, W], the expert's mask.

    Returns:
        `hd95_px`: the larger of the two directed 95th percentiles (NumPy's linear interpolation).
        Some tools pool both directions before taking the percentile: that is smaller, and can hide
        a bump on less than a tenth of one border.
        `mean_surface_distance_px`: the mean over the distances of both directions pooled, the
        average symmetric surface distance (Heimann et al. 2009, IEEE TMI 28(8):1251).
        Both are None where a mask is empty.

    Raises:
        TypeError: a mask that is not bool.
        ValueError: masks of different shape or not two-dimensional.
    """
    _check_masks(pred, truth)
    if not pred.any() or not truth.any():
        return {"hd95_px": None, "mean_surface_distance_px": None}
    borders = _border_points(pred), _border_points(truth)
    to_truth, _ = KDTree(borders[1]).query(borders[0])
    to_pred, _ = KDTree(borders[0]).query(borders[1])
    return {
        "hd95_px": float(max(np.percentile(to_truth, 95), np.percentile(to_pred, 95))),
        "mean_surface_distance_px": float(np.concatenate([to_truth, to_pred]).mean()),
    }


def surface_distances_mm(
    pred: np.ndarray, truth: np.ndarray, mm_per_pixel: float
) -> dict[str, float | None]:
    """`surface_distances_px` in mm: `hd95_mm`, `mean_surface_distance_mm`.

    Args:
        pred: bool [H, W], the prediction.
        truth: bool [H, W], the expert's mask.
        mm_per_pixel: size of a pixel, the same both ways.

    Raises:
        TypeError: a mask that is not bool.
        ValueError: masks of different shape or not two-dimensional, or a pixel size not above zero.
    """
    if not (np.isfinite(mm_per_pixel) and mm_per_pixel > 0):
        raise ValueError(f"mm_per_pixel must be above zero, found {mm_per_pixel!r}")
    return {
        f"{name.removesuffix('px')}mm": None if value is None else value * mm_per_pixel
        for name, value in surface_distances_px(pred, truth).items()
    }


def _border_points(mask: np.ndarray) -> np.ndarray:
    """Centres of the border pixels, float64 [N, 2], (row, column)."""
    return np.argwhere(mask & ~binary_erosion(mask)).astype(np.float64)


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _check_masks(pred: np.ndarray, truth: np.ndarray) -> None:
    for name, mask in (("pred", pred), ("truth", truth)):
        if mask.dtype != np.bool_:
            raise TypeError(
                f"{name} must be a bool mask, found {mask.dtype}; cut it first (>= 0.5)"
            )
        if mask.ndim != 2:
            raise ValueError(f"{name} must be [height, width], found shape {mask.shape}")
    if pred.shape != truth.shape:
        raise ValueError(f"pred is {pred.shape}, truth is {truth.shape}: compare them at one size")
