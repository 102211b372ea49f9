"""Mean, spread and bootstrap interval of a column; resampling by groups."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

BOOTSTRAP_RESAMPLES = 2000


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


def finite(value: float | str | None) -> float | None:
    """A number as float; text, None, NaN and infinity as None."""
    if value is None or isinstance(value, str) or not math.isfinite(value):
        return None
    return float(value)
