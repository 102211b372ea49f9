"""Detection scores: sensitivity and specificity of present structures, AUROC of anomaly scores."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fetal_tf.edge.measure.structures import STRUCTURES
from fetal_tf.scores.confusions import check_confusions
from fetal_tf.scores.statistics import cluster_resamples, percentile_interval

Z95 = 1.959963984540054  # two-sided 95 % of the normal distribution


def presence_detection(confusions: np.ndarray, classes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Sensitivity and specificity of detecting csp and lv, counted over images.

    A structure is present in an image with at least one pixel of it: in the truth by the matrix'
    row, in the prediction by its column. Overlap does not matter.

    Args:
        confusions: int [N, K, K], one matrix per image.
        classes: the K names.

    Returns:
        Per structure of csp and lv among `classes`: `n` images, `true_positive`, `false_negative`,
        `false_positive`, `true_negative`; `sensitivity` and `specificity` with their
        `sensitivity_ci95`, `specificity_ci95` (Wilson), None without such images. The intervals
        assume independent images; several images of one patient make them too narrow.

    Raises:
        ValueError: matrices that are not [N, K, K].
    """
    check_confusions(confusions, len(classes), ndim=3)
    shown, predicted = confusions.sum(axis=2) > 0, confusions.sum(axis=1) > 0
    return {
        name: _presence(shown[:, k], predicted[:, k])
        for k, name in enumerate(classes)
        if name in STRUCTURES
    }


def _presence(shown: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    counts = {
        "true_positive": int((shown & predicted).sum()),
        "false_negative": int((shown & ~predicted).sum()),
        "false_positive": int((~shown & predicted).sum()),
        "true_negative": int((~shown & ~predicted).sum()),
    }
    present, absent = int(shown.sum()), int((~shown).sum())
    return {
        "n": len(shown),
        **counts,
        "sensitivity": counts["true_positive"] / present if present else None,
        "sensitivity_ci95": wilson_interval(counts["true_positive"], present),
        "specificity": counts["true_negative"] / absent if absent else None,
        "specificity_ci95": wilson_interval(counts["true_negative"], absent),
    }


def wilson_interval(successes: int, n: int) -> list[float] | list[None]:
    """95 % interval of a proportion, `[low, high]`; `[None, None]` for n = 0.

    Raises:
        ValueError: not 0 <= successes <= n.

    Source: Wilson 1927, JASA 22:209.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"successes must lie in 0..{n}, found {successes}")
    if not n:
        return [None, None]
    share, z2 = successes / n, Z95**2
    center = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * np.sqrt(share * (1 - share) / n + z2 / (4 * n**2))
    # At 0 and n successes a bound is exactly 0 or 1; the formula would round.
    low = 0.0 if successes == 0 else float(center - half)
    return [low, 1.0 if successes == n else float(center + half)]


def auroc(
    scores: Sequence[float | None] | np.ndarray,
    positive: np.ndarray,
    groups: Sequence[str] | None,
    seed: int,
) -> dict[str, Any]:
    """Area under the ROC curve, with a bootstrap interval over groups.

    Args:
        scores: one per image, high = abnormal; None and NaN are left out, infinity is allowed.
        positive: bool [N], which images are abnormal.
        groups: the patient of each image: whole groups are drawn (see
            `fetal_tf.scores.statistics.summarise`); None: every image is its own group.
        seed: of the bootstrap.

    Returns:
        `auroc`: the Mann-Whitney statistic, the share of pairs in which the positive image scores
        above the negative one, a tie counting one half; None without positives or negatives.
        `ci95`: percentile bootstrap, 2000 resamples, without those that drew only one of the two
        (`resamples_left_out`); None if all positives or all negatives are of one group.
        `n_positive`, `n_negative`, and `n_left_out` images without a score.

    Raises:
        TypeError: `positive` is not bool.
        ValueError: scores, positive and groups of different length.

    Source: Hanley & McNeil 1982, Radiology 143:29.
    """
    values = np.asarray(scores, np.float64)
    positive = np.asarray(positive)
    if len(positive) and positive.dtype != np.bool_:  # an empty list becomes float
        raise TypeError(f"positive must be bool, found {positive.dtype}")
    positive = positive.astype(bool)
    names = np.arange(len(values)) if groups is None else np.asarray(groups)
    if not len(values) == len(positive) == len(names):
        raise ValueError(
            f"{len(values)} scores, {len(positive)} of positive, {len(names)} groups: "
            "one of each per image"
        )
    kept = ~np.isnan(values)
    high, low = values[kept & positive], values[kept & ~positive]
    # [positive, negative]: multiples of 1/2, so their sums are exact
    wins = (high[:, None] > low) + 0.5 * (high[:, None] == low)
    interval, left_out = _auroc_interval(wins, positive[kept], names[kept], seed)
    return {
        "auroc": float(wins.mean()) if wins.size else None,
        "ci95": interval,
        "n_positive": len(high),
        "n_negative": len(low),
        "n_left_out": int((~kept).sum()),
        "resamples_left_out": left_out,
    }


def _auroc_interval(
    wins: np.ndarray, positive: np.ndarray, groups: np.ndarray, seed: int
) -> tuple[list[float] | list[None], int]:
    resamples = cluster_resamples(groups, seed) if wins.size else None
    if resamples is None:
        return [None, None], 0
    index, drawn = resamples
    count, of_high, of_low = drawn.shape[1], index[positive], index[~positive]
    cells = of_high[:, None] * count + of_low
    shape = (count, count)
    won = np.bincount(cells.ravel(), wins.ravel(), count**2).reshape(shape)
    times = _times_drawn(drawn)
    pairs = (times @ np.bincount(of_high, minlength=count)) * (
        times @ np.bincount(of_low, minlength=count)
    )
    if min(len(set(of_high.tolist())), len(set(of_low.tolist()))) < 2:
        return [None, None], int((pairs == 0).sum())  # one patient: no variation to resample
    resampled = np.full(len(drawn), np.nan)
    np.divide(((times @ won) * times).sum(axis=1), pairs, out=resampled, where=pairs > 0)
    return percentile_interval(resampled), int((pairs == 0).sum())


def _times_drawn(drawn: np.ndarray) -> np.ndarray:
    """How often each resample drew each group, float64 [resamples, G]."""
    resamples, count = drawn.shape
    cells = drawn + count * np.arange(resamples)[:, None]
    return np.bincount(cells.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(np.float64)
