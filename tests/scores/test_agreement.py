"""ICC against published tables, tests against sums by hand and all sign flips."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fetal_tf.scores.agreement import holm, icc_2_1, paired_comparison
from fetal_tf.scores.statistics import summarise

# Shrout & Fleiss 1979, table 2: six subjects, four judges.
SHROUT_FLEISS = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
)
figures = st.floats(-100, 100).map(lambda x: round(x, 1))


def brute_icc(ratings: np.ndarray) -> float | None:
    """In exact fractions; None for 0/0."""
    n, k = ratings.shape
    x = [[Fraction(value) for value in row] for row in ratings.tolist()]
    grand = sum(map(sum, x)) / Fraction(n * k)
    total = sum((value - grand) ** 2 for row in x for value in row)
    between = k * sum((sum(row) / k - grand) ** 2 for row in x)
    judges = n * sum((sum(column) / n - grand) ** 2 for column in zip(*x, strict=True))
    bms, jms = between / (n - 1), judges / (k - 1)
    ems = (total - between - judges) / ((n - 1) * (k - 1))
    spread = bms + (k - 1) * ems + k * (jms - ems) / n
    return float((bms - ems) / spread) if spread else None


def test_icc_of_the_published_table():
    """0.29 in Shrout & Fleiss' table 4; the interval that R's `irr` prints is 0.019 to 0.761."""
    got = icc_2_1(SHROUT_FLEISS)
    assert got["icc"] == pytest.approx(0.29, abs=0.005)
    assert got["ci95"] == pytest.approx([0.019, 0.761], abs=0.0005)


@given(
    st.tuples(st.integers(2, 6), st.integers(2, 4)).flatmap(
        lambda shape: arrays(np.float64, shape, elements=st.integers(-50, 50).map(float))
    )
)
def test_icc_equals_the_sums_of_squares(ratings):
    got = icc_2_1(ratings)
    assert got["icc"] == pytest.approx(brute_icc(ratings), abs=1e-9)
    low, high = got["ci95"]
    if low is not None and got["icc"] >= 0:
        assert low - 1e-9 <= got["icc"] <= high + 1e-9


def test_icc_does_not_depend_on_unit_or_origin_but_on_a_raters_offset():
    moved = icc_2_1(SHROUT_FLEISS * 0.12 + 1000)
    assert moved["icc"] == pytest.approx(icc_2_1(SHROUT_FLEISS)["icc"], abs=1e-9)
    assert moved["ci95"] == pytest.approx(icc_2_1(SHROUT_FLEISS)["ci95"], abs=1e-9)
    subjects = np.arange(10.0)
    offset = icc_2_1(np.stack([subjects, subjects + 4], axis=1))
    assert offset["icc"] == pytest.approx(brute_icc(np.stack([subjects, subjects + 4], axis=1)))
    assert offset["icc"] < 0.6  # a correlation would be 1


def test_icc_interval_covers_the_truth_as_often_as_it_says():
    """Subjects of variance 4, raters 1, residual 1: the true value is 4/6."""
    rng = np.random.default_rng(0)
    n, k, runs = 15, 4, 400
    covered = 0
    for _ in range(runs):
        ratings = 2 * rng.normal(size=(n, 1)) + rng.normal(size=(1, k)) + rng.normal(size=(n, k))
        low, high = icc_2_1(ratings)["ci95"]
        covered += low <= 4 / 6 <= high
    assert 0.92 < covered / runs < 0.98


def test_icc_of_raters_who_agree_and_of_subjects_who_do_not_vary():
    areas = np.random.default_rng(1).uniform(20, 60, (8, 1))
    same = icc_2_1(np.repeat(areas, 3, axis=1))
    assert same["icc"] == pytest.approx(1)
    assert same["ci95"] == pytest.approx([1, 1])
    # 0.1 seven times over: its mean is not 0.1 in floating point
    assert icc_2_1(np.full((7, 3), 0.1)) == {"icc": None, "ci95": [None, None]}
    raters_only = np.repeat([[0.1, 0.2, 0.7]], 7, axis=0)
    assert icc_2_1(raters_only) == {"icc": 0.0, "ci95": [None, None]}


def test_icc_refuses_missing_ratings_and_a_single_rater():
    with pytest.raises(ValueError, match="leave out subjects that a rater lacks"):
        icc_2_1(np.array([[1.0, 2.0], [np.nan, 2.0]]))
    for shape in ((5, 1), (1, 5), (5,)):
        with pytest.raises(ValueError, match=r"must be \[subjects >= 2, raters >= 2\]"):
            icc_2_1(np.ones(shape))


def mid_ranks(values):
    return [sum(v < x for v in values) + (sum(v == x for v in values) + 1) / 2 for x in values]


@given(st.lists(st.tuples(figures, figures), max_size=8))
def test_comparison_equals_the_formulas(pairs):
    got = paired_comparison([a for a, _ in pairs], [b for _, b in pairs], None, seed=0)
    differences = [a - b for a, b in pairs]
    assert (got["n"], got["n_left_out"], got["n_groups"]) == (len(pairs), 0, len(pairs))
    if not pairs:
        assert {v for k, v in got.items() if k[:2] not in ("n", "n_", "ci")} == {None}
        return
    mean = math.fsum(differences) / len(pairs)
    assert got["mean_difference"] == pytest.approx(mean, abs=1e-9)
    assert got["mean_a"] - got["mean_b"] == pytest.approx(mean, abs=1e-9)
    assert got["ci95"] == summarise(differences, 0)["ci95"]
    nonzero = [d for d in differences if d]
    ranks = mid_ranks([abs(d) for d in nonzero])
    up = sum(r for r, d in zip(ranks, nonzero, strict=True) if d > 0)
    down = sum(ranks) - up
    effect = (up - down) / (up + down) if nonzero else 0
    assert got["rank_biserial"] == pytest.approx(effect)
    assert 0 <= got["wilcoxon_p"] <= 1


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=9, unique=True), st.data())
def test_wilcoxon_equals_all_sign_flips(sizes, data):
    """Without ties the test is exact: the share of the 2^n signings at least as one-sided."""
    signs = data.draw(st.lists(st.sampled_from([-1, 1]), min_size=len(sizes), max_size=len(sizes)))
    ranks = mid_ranks(sizes)
    observed = abs(sum(s * r for s, r in zip(signs, ranks, strict=True)))
    sums = [
        abs(sum(s * r for s, r in zip(flip, ranks, strict=True)))
        for flip in itertools.product([-1, 1], repeat=len(sizes))
    ]
    expected = np.mean([s >= observed for s in sums])
    a = [float(s * v) for s, v in zip(signs, sizes, strict=True)]
    got = paired_comparison(a, [0.0] * len(a), None, seed=0)
    assert got["wilcoxon_p"] == pytest.approx(expected)
    assert got["wilcoxon_p_groups"] == pytest.approx(expected)


def test_cohens_dz_by_hand():
    got = paired_comparison([3.0, 5.0, 1.0], [1.0, 1.0, 1.0], None, seed=0)
    assert got["cohens_dz"] == pytest.approx(2 / 2)  # differences 2, 4, 0: mean 2, sd 2
    constant = paired_comparison([0.3, 1.1, 0.9], [0.2, 1.0, 0.8], None, seed=0)
    assert constant["cohens_dz"] is None
    assert constant["rank_biserial"] == 1.0
    assert paired_comparison([1.0], [0.0], None, seed=0)["cohens_dz"] is None


def test_a_model_compared_with_itself_does_not_differ():
    values = [0.1, 0.7, 0.4, 0.4]
    got = paired_comparison(values, values, None, seed=0)
    assert (got["wilcoxon_p"], got["wilcoxon_p_groups"]) == (1.0, 1.0)
    assert (got["mean_difference"], got["cohens_dz"], got["rank_biserial"]) == (0, 0, 0)
    assert got["ci95"] == [0, 0]


def test_swapping_the_models_swaps_the_signs():
    rng = np.random.default_rng(2)
    a, b = list(rng.random(30)), list(rng.random(30))
    there, back = paired_comparison(a, b, None, 0), paired_comparison(b, a, None, 0)
    for name in ("mean_difference", "cohens_dz", "rank_biserial"):
        assert there[name] == pytest.approx(-back[name])
    assert there["ci95"] == pytest.approx([-x for x in reversed(back["ci95"])])
    assert there["wilcoxon_p"] == pytest.approx(back["wilcoxon_p"])


def test_incomplete_pairs_are_left_out_with_their_groups():
    a = [0.5, None, 0.7, 0.2, math.nan, 0.9]
    b = [0.4, 0.1, None, 0.6, 0.3, 0.2]
    groups = ["p", "p", "q", "r", "r", "s"]
    got = paired_comparison(a, b, groups, seed=0)
    assert (got["n"], got["n_left_out"], got["n_groups"]) == (3, 3, 3)
    whole = paired_comparison([0.5, 0.2, 0.9], [0.4, 0.6, 0.2], ["p", "r", "s"], seed=0)
    assert got == {**whole, "n_left_out": 3}


def test_repeated_frames_sharpen_only_the_test_that_ignores_patients():
    rng = np.random.default_rng(3)
    a, names = list(rng.normal(0.3, 1, 20)), [str(i) for i in range(20)]
    once = paired_comparison(a, [0.0] * 20, names, seed=0)
    often = paired_comparison(a * 5, [0.0] * 100, names * 5, seed=0)
    assert often["wilcoxon_p_groups"] == pytest.approx(once["wilcoxon_p_groups"])
    assert often["ci95"] == pytest.approx(once["ci95"])
    assert often["wilcoxon_p"] < once["wilcoxon_p"]


def test_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match="2 values of a, 1 of b, 2 groups"):
        paired_comparison([1.0, 2.0], [1.0], None, seed=0)


def brute_holm(p_values):
    """p is rejected at alpha when every smaller one is: the smallest such alpha for each."""
    m = len(p_values)
    order = sorted(range(m), key=lambda i: p_values[i])
    adjusted = [0.0] * m
    for place, i in enumerate(order):
        steps = [(m - j) * p_values[order[j]] for j in range(place + 1)]
        adjusted[i] = min(1.0, max(steps))
    return adjusted


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_equals_the_definition(p_values):
    got = holm(p_values)
    assert got == pytest.approx(brute_holm(p_values))
    assert all(q >= p for p, q in zip(p_values, got, strict=True))


def test_holm_by_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.5]) == [1.0, 1.0]


@pytest.mark.parametrize("p", [-0.1, 1.1, math.nan])
def test_holm_refuses_what_is_no_p_value(p):
    with pytest.raises(ValueError, match=r"p-values must lie in 0\.\.1"):
        holm([0.5, p])
