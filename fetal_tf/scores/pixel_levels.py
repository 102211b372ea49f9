"""Pixelwise ROC, precision-recall and calibration, pooled over the pixels of many images.

Probabilities are rounded to 256 levels and counted in two histograms per image: pixels of the
structure, and all others. Histograms add up over images, so a bootstrap over patients is cheap.
Rounding moves a probability by at most 1/510, and never across 0.5.
"""

from typing import Any

import numpy as np

from fetal_tf.scores.statistics import (
    cluster_resamples,
    divide,
    float_or_none,
    percentile_interval,
)

LEVELS = 256
CUT = 128  # probabilities >= 0.5 have this level or a higher one
BINS = 10
CURVE_POINTS = 101


class PixelLevels:
    """Histograms of the predicted probability of one structure, by patient.

    Example::

        levels = PixelLevels()
        levels.add("patient_1", probability, truth)  # {"roc_auc": 0.99, "pr_auc": 0.97}
        levels.summary(seed=0)["dice"]
    """

    def __init__(self) -> None:
        self._by_group: dict[str, np.ndarray] = {}  # int64 [2, 256]: others, the structure's
        self._images = 0

    def add(
        self, group: str, probability: np.ndarray, truth: np.ndarray
    ) -> dict[str, float | None]:
        """Count the pixels of one image.

        Args:
            group: its patient or examination; whole groups are resampled.
            probability: float [H, W], in [0, 1].
            truth: bool [H, W], the expert's mask.

        Returns:
            This image's `roc_auc` and `pr_auc` (see `average_precision`); None where the truth is
            empty or covers the whole image.

        Raises:
            TypeError: a truth that is not bool, or probabilities that are not floats.
            ValueError: different shapes, or a probability outside [0, 1].
        """
        counts = level_counts(probability, truth)
        self._by_group[group] = self._by_group.get(group, 0) + counts
        self._images += 1
        return {
            "roc_auc": float_or_none(roc_auc(counts)),
            "pr_auc": float_or_none(average_precision(counts)),
        }

    @property
    def counts(self) -> np.ndarray:
        """Pixels per level over all images, int64 [2, 256]: other pixels, the structure's."""
        return sum(self._by_group.values(), np.zeros((2, LEVELS), np.int64))

    def summary(self, seed: int) -> dict[str, Any]:
        """All scores pooled over the pixels of all images, in JSON types.

        Args:
            seed: of the bootstrap.

        Returns:
            `images`, `pixels`; `roc_auc` and `pr_auc`, each `value` and `ci95`, the percentile
            bootstrap interval over groups (see `fetal_tf.scores.statistics.summarise`);
            `dice`, `iou`, `sensitivity`, `specificity` of the mask at threshold 0.5;
            `expected_calibration_error`;
            `curves`: `roc` (`fpr`, `tpr`) and `pr` (`recall`, `precision`), at most 101 points of
            each, and `calibration`, see `calibration`. None, or a curve without points, where
            undefined.
        """
        counts = self.counts
        bins = calibration(counts)
        return {
            "images": self._images,
            "pixels": int(counts.sum()),
            **self._areas(seed),
            **cut_metrics(counts),
            "expected_calibration_error": expected_calibration_error(counts),
            "curves": {
                "roc": _thinned(roc_curve(counts), ("fpr", "tpr")),
                "pr": _thinned(pr_curve(counts), ("recall", "precision")),
                "calibration": {name: _json_list(values) for name, values in bins.items()},
            },
        }

    def _areas(self, seed: int) -> dict[str, Any]:
        resamples = cluster_resamples(list(self._by_group), seed) if self._by_group else None
        resampled = None
        if resamples is not None:
            index, drawn = resamples
            per_group = np.empty((len(index), 2 * LEVELS))
            per_group[index] = [counts.ravel() for counts in self._by_group.values()]
            # The draws as a matrix of how often: [R, G] @ [G, 512] instead of an array [R, G, 512].
            times = np.zeros(drawn.shape)
            np.add.at(times, (np.arange(len(drawn))[:, None], drawn), 1)
            resampled = (times @ per_group).reshape(-1, 2, LEVELS)
        return {
            name: {
                "value": float_or_none(area(self.counts)),
                "ci95": [None, None] if resampled is None else percentile_interval(area(resampled)),
            }
            for name, area in (("roc_auc", roc_auc), ("pr_auc", average_precision))
        }


def level_counts(probability: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Count pixels per level round(255 p), int64 [2, 256]: outside the structure, inside.

    Raises:
        TypeError, ValueError: see `PixelLevels.add`.
    """
    if truth.dtype != np.bool_ or not np.issubdtype(probability.dtype, np.floating):
        raise TypeError(
            f"probability must be float and truth bool, found {probability.dtype} and {truth.dtype}"
        )
    if probability.shape != truth.shape:
        raise ValueError(f"probability is {probability.shape}, truth is {truth.shape}")
    # `not (…)`, so that NaN is refused too
    if probability.size and not (probability.min() >= 0 and probability.max() <= 1):
        raise ValueError(
            f"probabilities lie in 0..1, found {probability.min()} to {probability.max()}"
        )
    # Half to even: 0.5 · 255 = 127.5 becomes 128, so p >= 0.5 and level >= CUT are the same.
    # In float64 the product is exact.
    levels = np.rint(probability * np.float64(255)).astype(np.intp)
    return np.bincount((levels + LEVELS * truth).ravel(), minlength=2 * LEVELS).reshape(2, LEVELS)


def roc_curve(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """False and true positive rates, highest threshold first, from (0, 0) to (1, 1).

    Args:
        counts: [2, 256], from `level_counts`.

    Returns:
        Two float64 [257]; empty without pixels inside or without pixels outside the structure.
    """
    false, true = _reached(counts)
    if not counts.sum(axis=-1).all():
        return np.empty(0), np.empty(0)
    return tuple(np.r_[0.0, hits / hits[-1]] for hits in (false, true))


def pr_curve(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Recall and precision, highest threshold first, from the first that some pixel reaches.

    Args:
        counts: [2, 256], from `level_counts`.

    Returns:
        Two float64 [N <= 256]; empty without pixels inside or without pixels outside the structure.
    """
    false, true = _reached(counts)
    if not counts.sum(axis=-1).all():
        return np.empty(0), np.empty(0)
    some = false + true > 0
    return true[some] / true[-1], true[some] / (false + true)[some]


def roc_auc(counts: np.ndarray) -> np.ndarray:
    """Area under the ROC curve by trapezoids, which is the Mann-Whitney statistic.

    Args:
        counts: [..., 2, 256], from `level_counts`.

    Returns:
        float64 [...]; NaN without pixels inside or without pixels outside the structure.

    Source: Hanley & McNeil 1982, Radiology 143:29.
    """
    others, own = counts[..., 0, :].astype(np.float64), counts[..., 1, :].astype(np.float64)
    below = np.cumsum(others, axis=-1) - others / 2
    return divide((own * below).sum(axis=-1), own.sum(axis=-1) * others.sum(axis=-1))


def average_precision(counts: np.ndarray) -> np.ndarray:
    """Area under the precision-recall curve, by steps: Σ (R_n - R_{n-1}) P_n.

    Linear interpolation would be too optimistic (Davis & Goadrich 2006, ICML). A random classifier
    scores the structure's share of the pixels, not one half.

    Args:
        counts: [..., 2, 256], from `level_counts`.

    Returns:
        float64 [...]; NaN without pixels inside or without pixels outside the structure.
    """
    false, true = _reached(counts)
    precision = np.divide(true, true + false, out=np.zeros(true.shape), where=true > 0)
    gained = counts[..., 1, ::-1]
    area = divide((gained * precision).sum(axis=-1), true[..., -1])
    return np.where(false[..., -1] > 0, area, np.nan)


def cut_metrics(counts: np.ndarray) -> dict[str, float | None]:
    """Overlap of the mask at threshold 0.5 with the truth, over all counted pixels.

    Args:
        counts: [2, 256], from `level_counts`.

    Returns:
        `dice`, `iou`, `sensitivity`, `specificity`; None where the denominator is zero.
    """
    (true_negative, false_positive), (false_negative, true_positive) = (
        (int(levels[:CUT].sum()), int(levels[CUT:].sum())) for levels in counts
    )
    wrong = false_positive + false_negative
    parts = {
        "dice": (2 * true_positive, 2 * true_positive + wrong),
        "iou": (true_positive, true_positive + wrong),
        "sensitivity": (true_positive, true_positive + false_negative),
        "specificity": (true_negative, true_negative + false_positive),
    }
    return {name: part / whole if whole else None for name, (part, whole) in parts.items()}


def calibration(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Reliability curve: predicted probability and observed share in ten bins of equal width.

    Bin k holds p in [k/10, (k+1)/10), the last one also p = 1.

    Args:
        counts: [2, 256], from `level_counts`.

    Returns:
        `predicted`, the mean probability, and `observed`, the share of the structure's pixels,
        float64 [10], NaN in an empty bin; `pixels`, their number, int64 [10].
    """
    levels = np.arange(LEVELS)
    bins = np.minimum(BINS * levels // (LEVELS - 1), BINS - 1)
    pixels, own, sums = (
        np.bincount(bins, weights=weights, minlength=BINS)
        for weights in (counts.sum(axis=0), counts[1], counts.sum(axis=0) * levels / (LEVELS - 1))
    )
    return {
        "predicted": divide(sums, pixels),
        "observed": divide(own, pixels),
        "pixels": pixels.astype(np.int64),
    }


def expected_calibration_error(counts: np.ndarray) -> float | None:
    """Mean |observed - predicted| over the bins, weighted by their pixels.

    Most pixels are certain background, which makes it small: read it together with the curve.

    Source: Naeini et al. 2015, AAAI; Guo et al. 2017, ICML, equation 3.
    """
    bins = calibration(counts)
    pixels = bins["pixels"]
    if not pixels.sum():
        return None
    apart = np.nan_to_num(np.abs(bins["predicted"] - bins["observed"]))
    return float((apart * pixels).sum() / pixels.sum())


def _reached(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels at or above each level, highest first, [..., 256]: other pixels, the structure's."""
    reached = np.cumsum(counts[..., ::-1], axis=-1)
    return reached[..., 0, :], reached[..., 1, :]


def _thinned(curve: tuple[np.ndarray, np.ndarray], names: tuple[str, str]) -> dict[str, list]:
    """At most CURVE_POINTS of a curve's points, spread evenly along its length, with both ends."""
    x, y = curve
    if len(x):
        along = np.r_[0.0, np.cumsum(np.hypot(np.diff(x), np.diff(y)))]
        wanted = np.linspace(0.0, along[-1], CURVE_POINTS - 1)
        kept = np.unique(np.r_[0, np.searchsorted(along, wanted), len(x) - 1].clip(max=len(x) - 1))
        x, y = x[kept], y[kept]
    return {names[0]: x.tolist(), names[1]: y.tolist()}


def _json_list(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(value) else value for value in values.tolist()]
