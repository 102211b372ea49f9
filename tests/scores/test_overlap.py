"""Overlap, distances and summaries against brute force over pixels, pairs and resamples."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays

from fetal_tf.edge.errors import DataError
from fetal_tf.scores.overlap import overlap_metrics, surface_distances_mm
from fetal_tf.scores.quantities import measurement_errors
from fetal_tf.scores.statistics import summarise

masks = arrays(np.bool_, (6, 7))


def disc(radius: float, center=(40, 50), shape=(80, 100)) -> np.ndarray:
    y, x = np.indices(shape)
    return np.hypot(y - center[0], x - center[1]) <= radius


def brute_border(mask: np.ndarray) -> list[tuple[int, int]]:
    height, width = mask.shape

    def inside(y: int, x: int) -> bool:
        return 0 <= y < height and 0 <= x < width and bool(mask[y, x])

    return [
        (y, x)
        for y in range(height)
        for x in range(width)
        if mask[y, x]
        and not all(inside(y + dy, x + dx) for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0)))
    ]


def brute_directed(from_mask: np.ndarray, to_mask: np.ndarray) -> list[float]:
    targets = brute_border(to_mask)
    return [
        min(float(np.hypot(y - v, x - u)) for v, u in targets) for y, x in brute_border(from_mask)
    ]


@given(masks, masks)
def test_overlap_equals_counting(pred, truth):
    pairs = list(zip(pred.ravel(), truth.ravel(), strict=True))
    tp, fp = pairs.count((True, True)), pairs.count((True, False))
    fn, tn = pairs.count((False, True)), pairs.count((False, False))
    got = overlap_metrics(pred, truth)
    assert got == pytest.approx(
        {
            "dice": 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 1,
            "iou": tp / (tp + fp + fn) if tp + fp + fn else 1,
            "pixel_accuracy": (tp + tn) / pred.size,
            "precision": tp / (tp + fp) if tp + fp else None,
            "recall": tp / (tp + fn) if tp + fn else None,
            "specificity": tn / (tn + fp) if tn + fp else None,
        }
    )


def test_overlap_of_empty_masks():
    empty, full = np.zeros((4, 5), bool), np.ones((4, 5), bool)
    assert overlap_metrics(empty, empty) == {
        "dice": 1.0,
        "iou": 1.0,
        "pixel_accuracy": 1.0,
        "precision": None,
        "recall": None,
        "specificity": 1.0,
    }
    missed, invented = overlap_metrics(empty, full), overlap_metrics(full, empty)
    assert (missed["dice"], missed["recall"], missed["precision"]) == (0, 0, None)
    assert missed["specificity"] is None
    assert (invented["dice"], invented["precision"], invented["recall"]) == (0, 0, None)


@pytest.mark.parametrize("score", [overlap_metrics, lambda p, t: surface_distances_mm(p, t, 0.1)])
def test_masks_that_cannot_be_compared_are_refused(score):
    with pytest.raises(TypeError, match="pred must be a bool mask, found float32"):
        score(np.zeros((4, 5), np.float32), np.zeros((4, 5), bool))
    with pytest.raises(TypeError, match="truth must be a bool mask, found uint8"):
        score(np.zeros((4, 5), bool), np.zeros((4, 5), np.uint8))
    with pytest.raises(ValueError, match=r"pred is \(4, 5\), truth is \(5, 4\)"):
        score(np.zeros((4, 5), bool), np.zeros((5, 4), bool))
    with pytest.raises(ValueError, match=r"truth must be \[height, width\]"):
        score(np.zeros((4, 5), bool), np.zeros((4, 5, 1), bool))


@settings(deadline=None)
@given(masks, masks)
def test_surface_distances_equal_brute_force(pred, truth):
    got = surface_distances_mm(pred, truth, 0.2)
    if not pred.any() or not truth.any():
        assert got == {"hd95_mm": None, "mean_surface_distance_mm": None}
        return
    there, back = brute_directed(pred, truth), brute_directed(truth, pred)
    hd95 = max(np.percentile(there, 95), np.percentile(back, 95))
    assert got["hd95_mm"] == pytest.approx(0.2 * hd95)
    assert got["mean_surface_distance_mm"] == pytest.approx(0.2 * np.mean(there + back))


def test_surface_distances_of_concentric_discs():
    got = surface_distances_mm(disc(30), disc(25), 0.3)
    assert got["hd95_mm"] == pytest.approx(5 * 0.3, abs=0.3)
    assert got["mean_surface_distance_mm"] == pytest.approx(5 * 0.3, abs=0.1)


def test_surface_distances_are_zero_for_equal_masks_and_scale_with_the_pixel():
    assert set(surface_distances_mm(disc(20), disc(20), 0.1).values()) == {0.0}
    fine, coarse = (surface_distances_mm(disc(20), disc(15), mm) for mm in (0.1, 0.3))
    for name, value in fine.items():
        assert coarse[name] == pytest.approx(3 * value)


def test_hd95_sees_a_bump_that_only_one_mask_has():
    """Seven percent of the prediction's border: pooled with the truth's it would be under five."""
    truth = disc(30)
    bumped = truth.copy()
    bumped[36:45, 50:95] = True
    got = surface_distances_mm(bumped, truth, 1.0)["hd95_mm"]
    assert got == surface_distances_mm(truth, bumped, 1.0)["hd95_mm"]
    there, back = brute_directed(bumped, truth), brute_directed(truth, bumped)
    assert got == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)))
    assert got > np.percentile(there + back, 95) + 1


@pytest.mark.parametrize("mm_per_pixel", [0.0, -0.1, float("nan"), float("inf")])
def test_a_senseless_pixel_size_is_refused(mm_per_pixel):
    with pytest.raises(ValueError, match="mm_per_pixel must be above zero"):
        surface_distances_mm(disc(5), disc(5), mm_per_pixel)


def test_measurement_errors_are_signed_absolute_and_percent():
    row = measurement_errors(
        {"hc_mm": 190.0, "bpd_mm": 55.0, "other": 1},
        {"hc_mm": 200.0, "bpd_mm": 50.0},
        ("hc", "bpd"),
    )
    assert row == pytest.approx(
        {
            "hc_mm": 190.0,
            "hc_true_mm": 200.0,
            "hc_error_mm": -10.0,
            "hc_abs_error_mm": 10.0,
            "hc_error_percent": -5.0,
            "bpd_mm": 55.0,
            "bpd_true_mm": 50.0,
            "bpd_error_mm": 5.0,
            "bpd_abs_error_mm": 5.0,
            "bpd_error_percent": 10.0,
        }
    )


@pytest.mark.parametrize("record", [{"hc_mm": None}, {}])
def test_what_was_not_measured_has_no_error(record):
    row = measurement_errors(record, {"hc_mm": 200.0}, ("hc",))
    assert row["hc_true_mm"] == 200.0
    assert [row[f"hc_{k}"] for k in ("mm", "error_mm", "abs_error_mm", "error_percent")] == [
        None
    ] * 4


def test_what_has_no_reference_keeps_its_measurement():
    row = measurement_errors({"hc_mm": 190.0}, {}, ("hc",))
    assert (row["hc_mm"], row["hc_true_mm"], row["hc_error_mm"]) == (190.0, None, None)


@pytest.mark.parametrize("true", [0.0, -1.0, float("nan")])
def test_a_senseless_reference_is_refused(true):
    with pytest.raises(DataError, match="reference hc_mm must be above zero"):
        measurement_errors({"hc_mm": 190.0}, {"hc_mm": true}, ("hc",))


def test_summary_equals_numpy_and_ignores_what_is_missing():
    got = summarise([3.0, None, 1.0, float("nan"), 8.0, float("inf")], seed=0)
    assert got["n"] == 3
    assert (got["mean"], got["median"], got["min"], got["max"]) == (4.0, 3.0, 1.0, 8.0)
    assert got["sd"] == pytest.approx(np.std([3, 1, 8], ddof=1))
    assert 1.0 <= got["ci95"][0] < 4.0 < got["ci95"][1] <= 8.0


def test_bootstrap_interval_matches_the_normal_one_for_many_values():
    values = np.random.default_rng(3).normal(10, 2, 400)
    low, high = summarise(list(values), seed=0)["ci95"]
    half_width = 1.96 * values.std(ddof=1) / np.sqrt(400)
    assert low == pytest.approx(values.mean() - half_width, abs=0.03)
    assert high == pytest.approx(values.mean() + half_width, abs=0.03)


def test_frames_of_one_group_count_as_one():
    """Doubling every frame adds no information: the interval must not shrink."""
    values = list(np.random.default_rng(4).normal(0, 1, 50))
    names = [str(i) for i in range(50)]
    single = summarise(values, seed=0, groups=names)["ci95"]
    doubled = summarise(values * 2, seed=0, groups=names * 2)["ci95"]
    assert doubled == pytest.approx(single)
    low, high = summarise(values * 2, seed=0)["ci95"]
    assert high - low < 0.85 * (single[1] - single[0])


def test_groups_stay_with_their_values_when_some_are_missing():
    with_gap = summarise([None, 1.0, 2.0, 6.0], seed=0, groups=["a", "a", "b", "b"])
    assert with_gap == summarise([1.0, 2.0, 6.0], seed=0, groups=["a", "b", "b"])


def test_summary_is_seeded():
    values = list(np.random.default_rng(5).uniform(0, 1, 20))
    assert summarise(values, seed=1) == summarise(values, seed=1)
    assert summarise(values, seed=1)["ci95"] != summarise(values, seed=2)["ci95"]


def test_summary_of_one_and_of_none():
    one = summarise([2.0], seed=0)
    assert (one["n"], one["mean"], one["sd"], one["ci95"]) == (1, 2.0, None, [None, None])
    for nothing in ([], [None, float("nan")]):
        assert summarise(nothing, seed=0) == {
            "n": 0,
            "mean": None,
            "sd": None,
            "median": None,
            "min": None,
            "max": None,
            "ci95": [None, None],
        }


def test_imports_without_a_framework():
    blocked = "import sys; sys.modules.update(keras=None, tensorflow=None)"
    code = f"{blocked}; import fetal_tf.scores.overlap"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
