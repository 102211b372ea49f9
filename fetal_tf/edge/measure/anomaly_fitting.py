"""Fit the reference of normal brain shapes and the thresholds of the anomaly scores."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from fetal_tf.edge.measure.anomaly import MIN_CALIBRATION

MIN_REFERENCE = 8  # values that a median and a spread need
# Smallest scale by kind of descriptor. Without it a few images that happen to be alike would make
# the next one an anomaly.
_FLOORS = {
    "area": 0.1,
    "along": 0.03,
    "across": 0.03,
    "axis_ratio": 0.05,
    "solidity": 0.03,  # the outline of a net is less smooth than that of an expert
    "width_share": 0.1,
    "width_mm": 0.5,
}
_FLOOR = 0.01  # of other descriptors
_MIN_THRESHOLDS = {"shape_score": 1.0, "disagreement_score": 0.01}


def fit_reference(descriptors: Iterable[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Median and robust spread of every descriptor over the training images.

    Args:
        descriptors: of each image, see `shape_descriptors`.

    Returns:
        Descriptor → `median`, `scale` and `n`. The scale is 1.4826 · median absolute deviation (the
        standard deviation of a normal distribution), but not below a floor. Descriptors with fewer
        than 8 finite values are left out.
    """
    values: dict[str, list[float]] = {}
    for image in descriptors:
        for name, value in image.items():
            if math.isfinite(value):
                values.setdefault(name, []).append(value)
    return {
        name: _median_and_scale(name, found)
        for name, found in sorted(values.items())
        if len(found) >= MIN_REFERENCE
    }


def _median_and_scale(name: str, values: Sequence[float]) -> dict[str, float]:
    median = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(np.asarray(values) - median)))
    floor = _FLOORS.get(name.partition("_")[2], _FLOOR)
    return {"median": median, "scale": max(spread, floor), "n": len(values)}


def fit_thresholds(
    shape_scores: Iterable[float | None],
    disagreement_scores: Iterable[float | None],
    false_alarm_rate: float,
) -> dict[str, float]:
    """Fit thresholds that together flag at most a share of the validation images.

    Each score flags the same number of images: the largest number for which the images that reach
    either threshold stay within the share. A threshold lies just above the largest score that is
    not flagged. None and NaN are left out. No threshold is below 1 robust standard deviation of
    shape or below 0.01 of disagreement.

    Args:
        shape_scores: one per image.
        disagreement_scores: of the same images in the same order.
        false_alarm_rate: between 0 and 1.

    Returns:
        `shape_score`, `disagreement_score`, `false_alarm_rate` as given, `flagged_share` as
        reached, and `n`, the number of images of the score that has fewer. A score with fewer than
        20 values has no threshold and no key. Where no score has one, nothing is flagged and `n` is
        the larger number of values.

    Raises:
        ValueError: a rate that is not between 0 and 1, or different numbers of scores.
    """
    if not 0 < false_alarm_rate < 1:
        raise ValueError(f"false_alarm_rate must lie between 0 and 1, found {false_alarm_rate}")
    scores = {
        "shape_score": _with_nan(shape_scores),
        "disagreement_score": _with_nan(disagreement_scores),
    }
    if len({len(values) for values in scores.values()}) > 1:
        raise ValueError(f"scores of {[len(v) for v in scores.values()]} images, not the same")
    counts = {name: int(np.isfinite(values).sum()) for name, values in scores.items()}
    fitting = {name: scores[name] for name, n in counts.items() if n >= MIN_CALIBRATION}
    if not fitting:
        return {"false_alarm_rate": false_alarm_rate, "n": max(counts.values())}
    n = min(counts[name] for name in fitting)
    for flagged_by_each in range(int(false_alarm_rate * n), -1, -1):
        limits = {name: _above(name, v, flagged_by_each) for name, v in fitting.items()}
        flagged = np.any([values >= limits[name] for name, values in fitting.items()], axis=0)
        share = float(np.count_nonzero(flagged) / n)
        if share <= false_alarm_rate:
            break
    return {**limits, "false_alarm_rate": false_alarm_rate, "flagged_share": share, "n": n}


def _above(name: str, scores: np.ndarray, flagged: int) -> float:
    """The smallest number above all scores but the `flagged` largest."""
    known = np.sort(scores[np.isfinite(scores)])
    return max(float(np.nextafter(known[-1 - flagged], np.inf)), _MIN_THRESHOLDS[name])


def _with_nan(scores: Iterable[float | None]) -> np.ndarray:
    known = [np.nan if score is None else float(score) for score in scores]
    values = np.array(known, np.float64)
    return np.where(np.isfinite(values), values, np.nan)
