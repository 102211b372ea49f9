"""How well an uncertainty predicts errors: rank correlation, worst cases found, risk-coverage."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import rankdata

from fetal_tf.scores.statistics import cluster_resamples, percentile_interval

WORST_SHARE = 0.1
REFUSED_SHARES = (0.0, 0.1, 0.2, 0.3)


def spearman(
    spread: np.ndarray, error: np.ndarray, groups: Sequence[str], seed: int
) -> dict[str, Any]:
    """Spearman's rank correlation (ties by mean rank) with a bootstrap over groups.

    Args:
        spread: uncertainty of each image, [N].
        error: absolute, [N].
        groups: the examination or patient of each image; whole groups are drawn.
        seed: of the bootstrap.

    Returns:
        `value` and `ci95`, `[low, high]`; None for fewer than three images or where spread or error
        do not vary.
    """
    value = _rank_correlation(spread, error)
    resamples = cluster_resamples(groups, seed)
    if value is None or resamples is None:
        return {"value": value, "ci95": [None, None]}
    index, drawn = resamples
    members = [np.flatnonzero(index == group) for group in range(index.max() + 1)]
    values = []
    for names in drawn:
        chosen = np.concatenate([members[name] for name in names])
        again = _rank_correlation(spread[chosen], error[chosen])
        values.append(np.nan if again is None else again)
    return {"value": value, "ci95": percentile_interval(np.array(values))}


def _rank_correlation(a: np.ndarray, b: np.ndarray) -> float | None:
    if len(a) < 3 or not np.ptp(a) or not np.ptp(b):
        return None
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def worst_found(spread: np.ndarray, error: np.ndarray, share: float = WORST_SHARE) -> float | None:
    """Share of the images with the largest errors that are also among the most uncertain ones.

    Both sets are the top `share` of the images, rounded up. A random uncertainty finds `share` of
    them. None without images.
    """
    if not len(error):
        return None
    count = math.ceil(share * len(error))
    worst = np.argsort(-error, kind="stable")[:count]
    doubted = np.argsort(-spread, kind="stable")[:count]
    return len(np.intersect1d(worst, doubted)) / count


def risk_coverage(
    spread: np.ndarray, error: np.ndarray, shares: Sequence[float] = REFUSED_SHARES
) -> list[dict[str, Any]]:
    """Mean error of the kept images when the most uncertain ones are refused.

    Args:
        spread: uncertainty of each image, [N].
        error: absolute, [N].
        shares: of the images to refuse, rounded down to whole images.

    Returns:
        Per share `refused_share`, `kept` images, their `mean_error`, and `best_mean_error`: the
        lower bound, reached by refusing the largest errors.
    """
    by_spread, by_error = error[np.argsort(-spread, kind="stable")], -np.sort(-error)
    found = []
    for share in shares:
        refused = math.floor(share * len(error) + 1e-9)
        found.append(
            {
                "refused_share": share,
                "kept": len(error) - refused,
                "mean_error": mean_or_none(by_spread[refused:]),
                "best_mean_error": mean_or_none(by_error[refused:]),
            }
        )
    return found


def mean_or_none(values: np.ndarray) -> float | None:
    """Mean of [N]; None where N is 0."""
    return float(values.mean()) if len(values) else None
