"""Mean, spread and bootstrap interval of a column; resampling by groups."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fetal_tf.scores.rows import numbers

BOOTSTRAP_RESAMPLES = 2000


def spread(values: Sequence[float | None] | np.ndarray) -> dict[str, Any]:
    """`n`, `mean`, `sd` (n - 1), `median`, `min` and `max` of the values that are known.

    None, NaN and infinity are left out. Without a value all but `n` are None, and so is the sd of
    a single one.
    """
    array = np.asarray(values, np.float64)
    known = array[np.isfinite(array)]
    if not len(known):
        return {"n": 0, **dict.fromkeys(("mean", "sd", "median", "min", "max"))}
    return {
        "n": len(known),
        "mean": float(known.mean()),
        "sd": float(known.std(ddof=1)) if len(known) > 1 else None,
        "median": float(np.median(known)),
        "min": float(known.min()),
        "max": float(known.max()),
    }


def over_repeats(values: Sequence[float | None]) -> dict[str, Any]:
    """`mean` and `sd` over seeds or folds, see `spread`."""
    return {name: value for name, value in spread(values).items() if name in ("mean", "sd")}


def summarise(
    values: Sequence[float | None] | np.ndarray, seed: int, groups: Sequence[str] | None = None
) -> dict[str, Any]:
    """Describe one metric over images: its `spread`, and an interval of the mean.

    Args:
        values: one figure per image.
        seed: of the bootstrap; the same seed gives the same interval.
        groups: the examination or patient of each image. Frames of one group resemble each other,
            so whole groups are drawn (cluster bootstrap; Davison & Hinkley 1997, "Bootstrap
            Methods and their Application", section 3.8). Drawing single images would make the
            interval too narrow. None: every image is its own group.

    Returns:
        As `spread`, and `ci95`, `[low, high]`: the percentile bootstrap interval of the mean, 2000
        resamples; None for fewer than two groups.
    """
    array = np.asarray(values, np.float64)
    known = np.isfinite(array)
    names = np.arange(len(array)) if groups is None else np.asarray(groups)
    return spread(array) | {"ci95": _bootstrap_interval(array[known], names[known], seed)}


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


def divide(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Ratio of two arrays of one shape, float64; NaN where `whole` is not above zero."""
    undefined = np.full(np.shape(whole), np.nan)
    return np.divide(part, whole, out=undefined, where=np.asarray(whole) > 0)


def float_or_none(value: np.ndarray) -> float | None:
    """A scalar as float; NaN as None."""
    return None if np.isnan(value) else float(value)


def summarise_columns(rows: pd.DataFrame, names: Iterable[str], seed: int) -> dict[str, Any]:
    """`summarise` of each column over the rows' groups."""
    groups = list(rows["group"])
    return {name: summarise(numbers(rows, name), seed, groups) for name in names}
