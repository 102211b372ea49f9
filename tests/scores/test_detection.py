"""Detection against brute force: every image, every pair, every resample."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import mannwhitneyu, norm

from fetal_tf.scores.detection import auroc, presence_detection, wilson_interval
from fetal_tf.scores.statistics import BOOTSTRAP_RESAMPLES

CLASSES = ("background", "brain", "csp", "lv")
# few distinct scores, so that ties occur
figures = st.one_of(st.none(), st.integers(0, 4).map(float), st.just(math.nan), st.just(math.inf))


def brute_auroc(scores, positive) -> float | None:
    pairs = [
        1.0 if p > n else 0.5 if p == n else 0.0
        for p, is_p in zip(scores, positive, strict=True)
        for n, is_n in zip(scores, positive, strict=True)
        if is_p and not is_n
    ]
    return sum(pairs) / len(pairs) if pairs else None


@given(arrays(np.int64, (6, 4, 4), elements=st.sampled_from([0, 0, 0, 1, 9])))
def test_presence_equals_looking_at_every_image(confusions):
    got = presence_detection(confusions, CLASSES)
    assert list(got) == ["csp", "lv"]
    for name, k in (("csp", 2), ("lv", 3)):
        seen = [(m[k].any(), m[:, k].any()) for m in confusions]
        tp, fn = seen.count((True, True)), seen.count((True, False))
        fp, tn = seen.count((False, True)), seen.count((False, False))
        assert got[name] == {
            "n": 6,
            "true_positive": tp,
            "false_negative": fn,
            "false_positive": fp,
            "true_negative": tn,
            "sensitivity": tp / (tp + fn) if tp + fn else None,
            "sensitivity_ci95": wilson_interval(tp, tp + fn),
            "specificity": tn / (tn + fp) if tn + fp else None,
            "specificity_ci95": wilson_interval(tn, tn + fp),
        }


def test_one_pixel_elsewhere_counts_as_found():
    matrix = np.diag([90, 10, 0])
    matrix[2, 1], matrix[0, 2] = 5, 1  # shown and missed there, predicted where it is not
    got = presence_detection(matrix[None], CLASSES[:3])
    assert list(got) == ["csp"]
    assert got["csp"]["true_positive"] == 1


def test_presence_of_no_image():
    got = presence_detection(np.zeros((0, 4, 4), int), CLASSES)["lv"]
    assert (got["n"], got["sensitivity"], got["sensitivity_ci95"]) == (0, None, [None, None])


def test_presence_refuses_a_single_matrix():
    with pytest.raises(ValueError, match=r"must be \[N, 4, 4\]"):
        presence_detection(np.zeros((4, 4), int), CLASSES)


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_bounds_are_where_the_score_test_just_rejects(case):
    """A bound p satisfies |share - p| = z * sqrt(p (1 - p) / n): the test's own equation."""
    successes, n = case
    low, high = wilson_interval(successes, n)
    assert 0 <= low <= successes / n <= high <= 1
    for p in (low, high):
        if 0 < p < 1:
            reach = norm.ppf(0.975) * math.sqrt(p * (1 - p) / n)
            # squared, since near 0 and n successes the root magnifies rounding
            assert (successes / n - p) ** 2 == pytest.approx(reach**2, abs=1e-9)


def test_wilson_by_example():
    """81 of 263: Newcombe 1998, Stat Med 17:857, table I, method 3."""
    assert wilson_interval(81, 263) == pytest.approx([0.2553, 0.3662], abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx([0.0, 0.1611], abs=5e-5)
    assert wilson_interval(0, 0) == [None, None]
    with pytest.raises(ValueError, match=r"successes must lie in 0\.\.3, found 4"):
        wilson_interval(4, 3)


@given(st.lists(st.tuples(figures, st.booleans()), max_size=14))
def test_auroc_equals_counting_pairs(cases):
    kept = [(s, p) for s, p in cases if s is not None and not math.isnan(s)]
    got = auroc([s for s, _ in cases], np.array([p for _, p in cases], bool), None, seed=0)
    assert got["auroc"] == pytest.approx(brute_auroc([s for s, _ in kept], [p for _, p in kept]))
    assert got["n_positive"] == sum(p for _, p in kept)
    assert got["n_negative"] == sum(not p for _, p in kept)
    assert got["n_left_out"] == len(cases) - len(kept)
    if got["auroc"] is None:
        assert (got["ci95"], got["resamples_left_out"]) == ([None, None], 0)


def test_auroc_equals_the_mann_whitney_statistic():
    rng = np.random.default_rng(0)
    scores, positive = rng.integers(0, 20, 200).astype(float), rng.random(200) < 0.3
    scores[positive] += 3
    u = mannwhitneyu(scores[positive], scores[~positive]).statistic
    expected = u / (positive.sum() * (~positive).sum())
    assert auroc(list(scores), positive, None, seed=0)["auroc"] == pytest.approx(expected)


@settings(max_examples=3, deadline=None)
@given(st.integers(0, 1000))
def test_auroc_interval_equals_every_resample_by_hand(seed):
    rng = np.random.default_rng(seed)
    scores = [float(s) for s in rng.integers(0, 6, 9)] + [None]
    positive = np.array([1, 0, 0, 1, 0, 0, 0, 1, 0, 1], bool)
    groups = ["p", "p", "q", "q", "r", "s", "s", "t", "t", "u"]  # u has no score
    members = [[i for i, g in enumerate(groups) if g == name] for name in "pqrst"]
    values = []
    for drawn in np.random.default_rng(seed).integers(5, size=(BOOTSTRAP_RESAMPLES, 5)):
        chosen = [i for g in drawn for i in members[g]]
        values.append(brute_auroc([scores[i] for i in chosen], positive[chosen]))
    defined = [v for v in values if v is not None]
    got = auroc(scores, positive, groups, seed)
    assert got["ci95"] == pytest.approx(list(np.percentile(defined, [2.5, 97.5])))
    assert got["resamples_left_out"] == len(values) - len(defined) > 0


def test_auroc_of_chance_perfect_and_reversed():
    positive = np.array([False] * 30 + [True] * 10)
    rising = [float(i) for i in range(40)]
    perfect = auroc(rising, positive, None, seed=0)
    assert (perfect["auroc"], perfect["ci95"]) == (1.0, [1.0, 1.0])
    assert auroc([-s for s in rising], positive, None, seed=0)["auroc"] == 0.0
    assert auroc([1.0] * 40, positive, None, seed=0)["auroc"] == 0.5


def test_auroc_of_one_patient_has_no_interval():
    got = auroc([1.0, 2.0], np.array([False, True]), ["a", "a"], seed=0)
    assert (got["auroc"], got["ci95"]) == (1.0, [None, None])


def test_auroc_refuses_what_does_not_fit():
    with pytest.raises(TypeError, match="positive must be bool, found int64"):
        auroc([1.0, 2.0], np.array([0, 1]), None, seed=0)
    with pytest.raises(ValueError, match="2 scores, 1 of positive, 2 groups"):
        auroc([1.0, 2.0], np.array([True]), None, seed=0)
