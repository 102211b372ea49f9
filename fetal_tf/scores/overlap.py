"""How good a prediction is, in NumPy: overlap, border distance, measurement errors, summary.

These are the figures of `evaluate` and of the parity check. They see masks at the original image
size and numbers with units; which framework predicted them they cannot know.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.ndimage import binary_erosion
from scipy.spatial import KDTree

from fetal_tf.edge.errors import DataError

BOOTSTRAP_RESAMPLES = 2000


def overlap_metrics(pred: np.ndarray, truth: np.ndarray) -> dict[str, float | None]:
    """Overlap of two masks by pixel counts.

    Args:
        pred: bool [H, W], the prediction.
        truth: bool [H, W], the expert's mask.

    Returns:
        `dice`, `iou`, `pixel_accuracy`, `precision`, `recall`, `specificity`, each in [0, 1].
        Where both masks are empty, `dice` and `iou` are 1: nothing to find, nothing found. The
        last three are None where their denominator is zero: `precision` without any predicted
        pixel, `recall` without foreground, `specificity` without background.

    Raises:
        TypeError: a mask that is not bool: probabilities have to be cut first.
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
    """Distances between the borders of two masks, both ways.

    A border is the mask's pixels that have a side neighbour outside it; the frame's edge counts as
    outside. Each border pixel of one mask has a distance, centre to centre, to the nearest border
    pixel of the other.

    Args:
        pred: bool [H, W], the prediction.
        truth: bool [H, W], the expert's mask.

    Returns:
        `hd95_px`: the larger of the two directed 95th percentiles (NumPy's linear interpolation).
        Some tools take one percentile over both directions pooled: smaller, and it can hide a
        bump that covers less than a tenth of one border.
        `mean_surface_distance_px`: the mean over the distances of both directions pooled, the
        average symmetric surface distance (Heimann et al. 2009, IEEE TMI 28(8):1251).
        Both are None where a mask is empty: an empty mask has no border, and no distance to it.

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


def measurement_errors(
    record: Mapping[str, Any], reference: Mapping[str, float], quantities: Iterable[str]
) -> dict[str, float | None]:
    """Each quantity as measured, as the expert has it, and the difference.

    Args:
        record: measured values by name with unit, `{"hc_mm": 172.1, …}`; None or absent where
            nothing was measured.
        reference: the expert's values under the same names; absent where he gave none.
        quantities: names without unit, `("hc", "bpd", "ofd")`.

    Returns:
        For a quantity q: `q_mm`, `q_true_mm`, `q_error_mm` (measured minus true: positive is too
        large), `q_abs_error_mm` and `q_error_percent` (signed, of the true value). What cannot be
        known is None.

    Raises:
        DataError: a reference that is not above zero.
    """
    row: dict[str, float | None] = {}
    for quantity in quantities:
        measured, true = record.get(f"{quantity}_mm"), reference.get(f"{quantity}_mm")
        if true is not None and not true > 0:
            raise DataError(f"reference {quantity}_mm must be above zero, found {true!r}")
        error = None if measured is None or true is None else float(measured - true)
        row[f"{quantity}_mm"] = measured
        row[f"{quantity}_true_mm"] = true
        row[f"{quantity}_error_mm"] = error
        row[f"{quantity}_abs_error_mm"] = None if error is None else abs(error)
        row[f"{quantity}_error_percent"] = (
            None if error is None or true is None else 100 * error / true
        )
    return row


def summarise(
    values: Sequence[float | None], seed: int, groups: Sequence[str] | None = None
) -> dict[str, Any]:
    """Describe one metric over images; None, NaN and infinity are left out, `n` counts the rest.

    Args:
        values: one figure per image.
        seed: of the bootstrap; the same seed gives the same interval.
        groups: the examination or patient of each image. Frames of one group resemble each other,
            so whole groups are drawn (cluster bootstrap; Davison & Hinkley 1997, "Bootstrap
            Methods and their Application", section 3.8); drawn singly, the interval would be too
            narrow. None: every image is its own group.

    Returns:
        `n`, `mean`, `sd` (n - 1), `median`, `min`, `max` and `ci95`, `[low, high]`: the percentile
        bootstrap interval of the mean, 2000 resamples. None where the values cannot tell: the sd
        of one image, the interval of one group, everything of no image.
    """
    all_values = np.array([np.nan if v is None else v for v in values], np.float64)
    known = np.isfinite(all_values)
    kept = all_values[known]
    if not len(kept):
        nothing = dict.fromkeys(("mean", "sd", "median", "min", "max"))
        return {"n": 0, **nothing, "ci95": [None, None]}
    names = np.arange(len(all_values)) if groups is None else np.asarray(groups)
    return {
        "n": len(kept),
        "mean": float(kept.mean()),
        "sd": float(kept.std(ddof=1)) if len(kept) > 1 else None,
        "median": float(np.median(kept)),
        "min": float(kept.min()),
        "max": float(kept.max()),
        "ci95": _bootstrap_interval(kept, names[known], seed),
    }


def cluster_resamples(
    groups: Sequence[str] | np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """Draw whole groups with replacement, `BOOTSTRAP_RESAMPLES` times (see `summarise`).

    Args:
        groups: the group of each image, [N].
        seed: the same seed gives the same draws.

    Returns:
        The number of each image's group, int [N], and the numbers of the groups drawn, int
        [resamples, G]. None where there are fewer than two groups: nothing would vary.
    """
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < 2:
        return None
    shape = (BOOTSTRAP_RESAMPLES, len(names))
    return index, np.random.default_rng(seed).integers(len(names), size=shape)


def percentile_interval(resampled: np.ndarray) -> list[float] | list[None]:
    """The middle 95 % of a statistic's resamples, `[low, high]`.

    Resamples in which the statistic is undefined (NaN) are left out; `[None, None]` where all are.
    """
    defined = resampled[~np.isnan(resampled)]
    if not len(defined):
        return [None, None]
    low, high = np.percentile(defined, [2.5, 97.5])
    return [float(low), float(high)]


def _bootstrap_interval(
    values: np.ndarray, groups: np.ndarray, seed: int
) -> list[float] | list[None]:
    resamples = cluster_resamples(groups, seed)
    if resamples is None:
        return [None, None]
    index, drawn = resamples
    sums, counts = np.bincount(index, weights=values), np.bincount(index)
    return percentile_interval(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1))


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


def finite(value: float | str | None) -> float | None:
    """A number as float; text, None, NaN and infinity as None."""
    if value is None or isinstance(value, str) or not math.isfinite(value):
        return None
    return float(value)
