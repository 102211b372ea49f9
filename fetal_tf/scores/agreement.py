"""Agreement of repetitions (ICC) and paired comparison of two models, with Holm's adjustment."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import f as f_distribution
from scipy.stats import rankdata, wilcoxon

from fetal_tf.scores.statistics import summarise


def icc_2_1(ratings: np.ndarray) -> dict[str, Any]:
    """Intraclass correlation ICC(2,1): two-way random effects, absolute agreement, one rater.

    A rater who reads all values larger lowers it, unlike a correlation or ICC(3,1).

    Args:
        ratings: float [n, k]: n subjects, each rated once by every one of k raters.

    Returns:
        `icc` and its `ci95` `[low, high]` by the F distribution; None where nothing varies. The
        degrees of freedom are approximate: with few subjects and a negative `icc`, the interval may
        not contain it.

    Raises:
        ValueError: not [n >= 2, k >= 2], or a rating that is missing or not finite.

    Source: Shrout & Fleiss 1979, Psychol Bull 86:420; the interval is McGraw & Wong 1996, Psychol
    Methods 1:30, table 7, ICC(A,1).
    """
    ratings = np.asarray(ratings, np.float64)
    if ratings.ndim != 2 or min(ratings.shape) < 2:
        raise ValueError(f"ratings must be [subjects >= 2, raters >= 2], found {ratings.shape}")
    if not np.isfinite(ratings).all():
        raise ValueError("ratings hold NaN or infinity; leave out subjects that a rater lacks")
    n, k = ratings.shape
    subjects, raters, residual = _mean_squares(ratings)
    spread = subjects + (k - 1) * residual + k * (raters - residual) / n
    if not spread > 0:
        return {"icc": None, "ci95": [None, None]}
    icc = float((subjects - residual) / spread)
    return {"icc": icc, "ci95": _icc_interval(icc, n, k, subjects, raters, residual)}


def _mean_squares(ratings: np.ndarray) -> tuple[float, float, float]:
    """Mean squares between subjects, between raters and of the residual: two-way ANOVA."""
    n, k = ratings.shape
    deviations = ratings - ratings.mean()
    by_subject = deviations.mean(axis=1, keepdims=True)
    by_rater = deviations.mean(axis=0, keepdims=True)
    residual = deviations - by_subject - by_rater
    squares = (
        float(k * (by_subject**2).sum() / (n - 1)),
        float(n * (by_rater**2).sum() / (k - 1)),
        float((residual**2).sum() / ((n - 1) * (k - 1))),
    )
    # A variance that is zero but for rounding errors has to be zero in the ratios below.
    rounding = float(1e-12 * np.abs(ratings).max()) ** 2
    subjects, raters, residuals = (0.0 if square <= rounding else square for square in squares)
    return subjects, raters, residuals


def _icc_interval(
    icc: float, n: int, k: int, subjects: float, raters: float, residual: float
) -> list[float] | list[None]:
    # McGraw & Wong's a and b, both multiplied by n (1 - icc): at icc = 1 they are infinite, and
    # only their ratio counts.
    of_raters = k * icc * raters
    of_residual = (n * (1 - icc) + k * icc * (n - 1)) * residual
    denominator = of_raters**2 / (k - 1) + of_residual**2 / ((n - 1) * (k - 1))
    if not denominator > 0:
        # all raters agree: the icc is certain, unless the subjects do not vary either
        return [icc, icc] if subjects > 0 else [None, None]
    freedom = (of_raters + of_residual) ** 2 / denominator
    if not freedom > 0:
        return [None, None]
    below = f_distribution.ppf(0.975, n - 1, freedom)
    above = f_distribution.ppf(0.975, freedom, n - 1)
    others = k * raters + (k * n - k - n) * residual
    # divided by `below`, which is infinite for few degrees of freedom
    low = n * (subjects / below - residual) / (others + n * subjects / below)
    high = n * (above * subjects - residual) / (others + n * above * subjects)
    return [float(low), float(high)]


def paired_comparison(
    a: Sequence[float | None] | np.ndarray,
    b: Sequence[float | None] | np.ndarray,
    groups: Sequence[str] | None,
    seed: int,
) -> dict[str, Any]:
    """Compare two models on the same images: mean difference, interval, tests, effect sizes.

    Args:
        a: one score per image of the first model.
        b: the second model's, in the same order. Pairs in which one is None, NaN or infinite are
            left out.
        groups: the patient of each image (see `fetal_tf.scores.statistics.summarise`);
            None: each its own.
        seed: of the bootstrap.

    Returns:
        `n` pairs, `n_left_out`, `n_groups`; `mean_a`, `mean_b`, `mean_difference` (a - b) and its
        `ci95` (cluster bootstrap). `wilcoxon_p`: two-sided signed-rank test over images, zero
        differences dropped; it assumes independent images, so `wilcoxon_p_groups` repeats it over
        the groups' mean differences. Both are 1 where every difference is zero.
        `cohens_dz`: mean difference over the sd (n - 1) of the differences; None where that is zero
        and the mean is not. `rank_biserial`: (rank sum in favour of a - in favour of b) over
        their sum, -1..1. Everything but the counts is None without a pair.

    Raises:
        ValueError: a, b and groups of different length.

    Source: Wilcoxon 1945, Biometrics Bull 1:80; d_z: Lakens 2013, Front Psychol 4:863;
    matched-pairs rank-biserial correlation: Kerby 2014, Compr Psychol 3:11.IT.3.1.
    """
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    names = np.arange(len(first)) if groups is None else np.asarray(groups)
    if not len(first) == len(second) == len(names):
        raise ValueError(
            f"{len(first)} values of a, {len(second)} of b, {len(names)} groups: one per image"
        )
    kept = np.isfinite(first) & np.isfinite(second)
    differences, index = (first - second)[kept], np.unique(names[kept], return_inverse=True)[1]
    of_groups = np.bincount(index, weights=differences) / np.maximum(np.bincount(index), 1)
    summary = summarise(differences, seed, list(index))
    return {
        "n": len(differences),
        "n_left_out": int((~kept).sum()),
        "n_groups": len(of_groups),
        "mean_a": float(first[kept].mean()) if len(differences) else None,
        "mean_b": float(second[kept].mean()) if len(differences) else None,
        "mean_difference": summary["mean"],
        "ci95": summary["ci95"],
        "wilcoxon_p": _wilcoxon_p(differences),
        "wilcoxon_p_groups": _wilcoxon_p(of_groups),
        "cohens_dz": _cohens_dz(differences),
        "rank_biserial": _rank_biserial(differences),
    }


def _wilcoxon_p(differences: np.ndarray) -> float | None:
    if not len(differences):
        return None
    if not differences.any():
        return 1.0  # scipy returns NaN
    return float(wilcoxon(differences, zero_method="wilcox").pvalue)


def _cohens_dz(differences: np.ndarray) -> float | None:
    if len(differences) < 2:
        return None
    mean, sd = differences.mean(), differences.std(ddof=1)
    if not differences.any():
        return 0.0
    # Rounding gives equal differences an sd of 1e-17, which would be an effect of 1e16.
    return None if sd <= 1e-9 * abs(mean) else float(mean / sd)


def _rank_biserial(differences: np.ndarray) -> float | None:
    if not len(differences):
        return None
    nonzero = differences[differences != 0]
    if not len(nonzero):
        return 0.0
    ranks = rankdata(np.abs(nonzero))
    return float((ranks * np.sign(nonzero)).sum() / ranks.sum())


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust the p-values of several tests by Holm's step-down method, in the order given.

    Rejecting every test with an adjusted p below alpha keeps the family-wise error at alpha.

    Raises:
        ValueError: a p-value outside [0, 1].

    Source: Holm 1979, Scand J Stat 6:65.
    """
    p = np.asarray(p_values, np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p-values must lie in 0..1, found {list(p_values)}")
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return [float(value) for value in adjusted]
