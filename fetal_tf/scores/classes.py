"""Overlap scores of exclusive classes from confusion matrices: per image and pooled over pixels.

A matrix is int [K, K], rows = truth, columns = prediction (`fetal_tf.scores.confusions`).
`classes` names the K classes; the first is the background. `csp` and `lv` are small structures
that most images do not show: their pooled Dice and their mean Dice per image can differ by a factor
of four, so both are always stated.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from fetal_tf.edge.measure.structures import STRUCTURES
from fetal_tf.scores.confusions import check_confusions
from fetal_tf.scores.statistics import (
    cluster_resamples,
    divide,
    float_or_none,
    percentile_interval,
)

CLASS_METRICS = ("dice", "iou", "precision", "recall", "f1")
AbsentRule = Literal["skip", "one", "zero"]


def class_metrics(
    confusion: np.ndarray, absent: AbsentRule = "skip"
) -> list[dict[str, float | None]]:
    """Overlap of each class in one image.

    Args:
        confusion: int [K, K].
        absent: the score, for all five metrics, of a class that the truth does not show:
            `skip`: None. False detections are then counted by `presence_detection` only.
            `one`: 1 if nothing was predicted either, else 0.
            `zero`: 0 whatever was predicted. The mean over all images then falls with the share of
            images that show the structure: 0.57 in the 37 % that show a CSP becomes 0.21. This
            reproduces published figures of that kind.

    Returns:
        Per class `dice`, `iou`, `precision`, `recall`, `f1`, each in [0, 1]. `f1` over pixels
        equals `dice`; both names are in use. If the truth shows the class and nothing was
        predicted, `precision` is None under every rule, the others are 0.

    Raises:
        ValueError: a matrix that is not square, or an unknown rule.
    """
    if absent not in get_args(AbsentRule):
        raise ValueError(f"absent must be one of {', '.join(get_args(AbsentRule))}: {absent!r}")
    check_confusions(confusion, len(confusion), ndim=2)
    metrics = _class_metrics(confusion)
    rows = []
    for k, (shown, predicted) in enumerate(
        zip(confusion.sum(axis=1), confusion.sum(axis=0), strict=True)
    ):
        if shown:
            rows.append({name: float_or_none(values[k]) for name, values in metrics.items()})
        else:
            rows.append(dict.fromkeys(CLASS_METRICS, _absent_value(absent, bool(predicted))))
    return rows


def pooled_metrics(confusion: np.ndarray, classes: Sequence[str]) -> dict[str, float | None]:
    """Overlap scores pooled over the pixels of all images.

    Args:
        confusion: int [K, K], the sum of all images' matrices.
        classes: the K names.

    Returns:
        `<class>_dice`, `_iou`, `_precision`, `_recall`, `_f1`, as in `class_metrics`. A class that
        is predicted but nowhere shown has Dice and IoU 0.
        `mean_iou` over all classes, `mean_iou_foreground` without background, `mean_iou_small` over
        csp and lv, `foreground_dice`: the mean Dice without background; each over the classes that
        have the score. `frequency_weighted_iou`: IoU weighted by the share of true pixels.
        `pixel_accuracy`: the share of pixels with the right class, background included.
        None where a denominator is zero: `precision` needs a predicted pixel, `recall` a true one.

    Raises:
        ValueError: a matrix that is not [K, K].
    """
    check_confusions(confusion, len(classes), ndim=2)
    pooled = _pooled(confusion, classes)
    return {name: float_or_none(value) for name, value in pooled.items()}


def pooled_intervals(
    confusions: np.ndarray, classes: Sequence[str], groups: Sequence[str] | None, seed: int
) -> dict[str, list[float] | list[None]]:
    """95 % confidence intervals of `pooled_metrics`, by a bootstrap over groups.

    Args:
        confusions: int [N, K, K], one matrix per image.
        classes: the K names.
        groups: the patient of each image (see `fetal_tf.scores.statistics.summarise`);
            None: each its own.
        seed: of the bootstrap.

    Returns:
        `[low, high]` per metric: the percentile bootstrap interval, 2000 resamples, without those
        that leave the metric undefined. `[None, None]` with fewer than two groups.

    Raises:
        ValueError: matrices that are not [N, K, K], or groups of another number.
    """
    check_confusions(confusions, len(classes), ndim=3)
    names = np.arange(len(confusions)) if groups is None else np.asarray(groups)
    if len(names) != len(confusions):
        raise ValueError(f"{len(confusions)} confusion matrices, but {len(names)} groups")
    resamples = cluster_resamples(names, seed)
    if resamples is None:
        empty = _pooled(np.zeros((len(classes), len(classes)), np.int64), classes)
        return {name: [None, None] for name in empty}
    index, drawn = resamples
    per_group = np.zeros((drawn.shape[1], *confusions.shape[1:]), np.int64)
    np.add.at(per_group, index, confusions)
    # Cell by cell: all at once would need resamples * groups * K² numbers.
    cells = [cell[drawn].sum(axis=1) for cell in per_group.reshape(len(per_group), -1).T]
    resampled = np.stack(cells, axis=-1).reshape(-1, *confusions.shape[1:])
    return {name: percentile_interval(v) for name, v in _pooled(resampled, classes).items()}


def mismatch_scores(confusion: np.ndarray, classes: Sequence[str]) -> dict[str, float]:
    """Mismatch score, the symmetric difference over the true area: |pred Δ gt| / |gt|.

    0 is perfect; above 1, more pixels are wrong than the structure has.

    Args:
        confusion: int [K, K] of one image.
        classes: the K names.

    Returns:
        One score per class without background, and `foreground`: the pixels with a wrong class
        over the pixels of all structures. If the truth shows nothing, the score is 0 if nothing was
        predicted, else 1.

    Raises:
        ValueError: a matrix that is not [K, K].

    Source: |pred Δ gt| / |gt| is equation 3.10 of the thesis that this task repeats.
    """
    check_confusions(confusion, len(classes), ndim=2)
    shown, predicted, hit = _margins(confusion)
    wrong = shown + predicted - 2 * hit
    scores = {name: _mismatch(wrong[k], shown[k]) for k, name in enumerate(classes) if k}
    scores["foreground"] = _mismatch(shown.sum() - hit.sum(), shown[1:].sum())
    return scores


def _margins(confusions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True, predicted and correct pixels per class, each [..., K]."""
    hit = np.diagonal(confusions, axis1=-2, axis2=-1)
    return confusions.sum(axis=-1), confusions.sum(axis=-2), hit


def _class_metrics(confusions: np.ndarray) -> dict[str, np.ndarray]:
    """float64 [..., K] per metric, NaN where the denominator is zero."""
    shown, predicted, hit = _margins(confusions)
    dice = divide(2 * hit, shown + predicted)
    return {
        "dice": dice,
        "iou": divide(hit, shown + predicted - hit),
        "precision": divide(hit, predicted),
        "recall": divide(hit, shown),
        "f1": dice,
    }


def _pooled(confusions: np.ndarray, classes: Sequence[str]) -> dict[str, np.ndarray]:
    """`pooled_metrics` of many matrices at once, [...] per metric, NaN where undefined."""
    per_class = _class_metrics(confusions)
    shown, _, hit = _margins(confusions)
    total, iou = shown.sum(axis=-1), per_class["iou"]
    small = [k for k, name in enumerate(classes) if name in STRUCTURES]
    return {
        **{
            f"{name}_{metric}": per_class[metric][..., k]
            for k, name in enumerate(classes)
            for metric in CLASS_METRICS
        },
        "mean_iou": _mean_defined(iou),
        "mean_iou_foreground": _mean_defined(iou[..., 1:]),
        "mean_iou_small": _mean_defined(iou[..., small]),
        "frequency_weighted_iou": divide((shown * np.nan_to_num(iou)).sum(axis=-1), total),
        "pixel_accuracy": divide(hit.sum(axis=-1), total),
        "foreground_dice": _mean_defined(per_class["dice"][..., 1:]),
    }


def _mean_defined(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis without NaN; NaN where nothing is left."""
    defined = ~np.isnan(values)
    return divide(np.where(defined, values, 0).sum(axis=-1), defined.sum(axis=-1))


def _absent_value(absent: AbsentRule, predicted: bool) -> float | None:
    if absent == "skip":
        return None
    return 1.0 if absent == "one" and not predicted else 0.0


def _mismatch(wrong: int, shown: int) -> float:
    return float(wrong / shown) if shown else float(wrong > 0)
