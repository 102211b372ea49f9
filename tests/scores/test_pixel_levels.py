"""Pooled pixel metrics against brute force over every pixel, at the same 256 levels."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import rankdata

from fetal_tf.scores.pixel_levels import PixelLevels, level_counts

probabilities = arrays(np.float32, (5, 6), elements=st.floats(0, 1, width=32))
truths = arrays(np.bool_, (5, 6))


def rounded(probability):
    """What 256 levels leave of a probability."""
    return np.round(probability.astype(np.float64) * 255) / 255


def rank_auc(scores, truth):
    """Mann-Whitney over ranks, ties at their mean."""
    positive, negative = int(truth.sum()), int((~truth).sum())
    if not positive or not negative:
        return None
    u = rankdata(scores)[truth].sum() - positive * (positive + 1) / 2
    return u / (positive * negative)


def stepwise_precision(scores, truth):
    """Every threshold by hand: Σ (recall gained) · precision."""
    if truth.all() or not truth.any():
        return None
    area = recall = 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        found = scores >= threshold
        hits = (found & truth).sum()
        area += (hits / truth.sum() - recall) * hits / found.sum()
        recall = hits / truth.sum()
    return area


def pooled(images):
    """One `PixelLevels` of (group, probability, truth), and all pixels in a row."""
    levels = PixelLevels()
    for image in images:
        levels.add(*image)
    scores = np.concatenate([rounded(p).ravel() for _, p, _ in images])
    return levels, scores, np.concatenate([t.ravel() for _, _, t in images])


@pytest.fixture(scope="module")
def images():
    """Twelve images of seven patients; the net is better on some patients than on others."""
    random = np.random.default_rng(3)
    made = []
    for index in range(12):
        truth = random.random((20, 30)) < 0.1 + 0.02 * index
        signal = 0.25 + 0.08 * (index % 7)
        probability = np.clip(random.normal(0.3 + signal * truth, 0.2), 0, 1).astype(np.float32)
        made.append((f"patient{index % 7}", probability, truth))
    return made


@given(probabilities, truths)
def test_each_image_gets_its_own_areas(probability, truth):
    got = PixelLevels().add("a", probability, truth)
    scores, flat = rounded(probability).ravel(), truth.ravel()
    assert got["roc_auc"] == pytest.approx(rank_auc(scores, flat))
    assert got["pr_auc"] == pytest.approx(stepwise_precision(scores, flat))


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from("abc"), probabilities, truths), min_size=1, max_size=4))
def test_pooled_figures_are_those_of_all_pixels_in_a_row(images):
    levels, scores, truth = pooled(images)
    summary = levels.summary(seed=0)
    assert (summary["images"], summary["pixels"]) == (len(images), 30 * len(images))
    assert summary["roc_auc"]["value"] == pytest.approx(rank_auc(scores, truth))
    assert summary["pr_auc"]["value"] == pytest.approx(stepwise_precision(scores, truth))
    # Cut in float32, before any rounding.
    cut = np.concatenate([p.ravel() >= 0.5 for _, p, _ in images])
    tp, fp = int((cut & truth).sum()), int((cut & ~truth).sum())
    fn, tn = int((~cut & truth).sum()), int((~cut & ~truth).sum())
    expected = {
        "dice": 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else None,
        "iou": tp / (tp + fp + fn) if tp + fp + fn else None,
        "sensitivity": tp / (tp + fn) if tp + fn else None,
        "specificity": tn / (tn + fp) if tn + fp else None,
    }
    assert {name: summary[name] for name in expected} == pytest.approx(expected)


def test_each_probability_goes_to_its_nearest_level():
    """0.3 in float32 is a little more than 76.5 / 255, and float32 cannot hold the product."""
    counts = level_counts(np.array([[0.3, 0.0, 1.0]], np.float32), np.ones((1, 3), bool))
    np.testing.assert_array_equal(np.flatnonzero(counts[1]), [0, 77, 255])


def test_no_rounding_crosses_one_half():
    half = np.float32(0.5)
    edges = np.array([[np.nextafter(half, np.float32(0)), half]], np.float32)
    counts = level_counts(edges, np.ones((1, 2), bool))
    np.testing.assert_array_equal(np.flatnonzero(counts[1]), [127, 128])


def test_calibration_bins_by_hand(images):
    levels, scores, truth = pooled(images)
    summary = levels.summary(seed=0)
    bins = summary["curves"]["calibration"]
    error = 0.0
    for k in range(10):
        # In whole levels, so that 0.1, 0.2 … fall where they belong.
        of_bin = np.minimum(np.round(scores * 255).astype(int) * 10 // 255, 9) == k
        assert bins["pixels"][k] == of_bin.sum()
        if of_bin.any():
            assert bins["predicted"][k] == pytest.approx(scores[of_bin].mean())
            assert bins["observed"][k] == pytest.approx(truth[of_bin].mean())
            apart = abs(scores[of_bin].mean() - truth[of_bin].mean())
            error += apart * of_bin.sum() / len(scores)
    assert summary["expected_calibration_error"] == pytest.approx(error)


def test_a_calibrated_net_has_no_calibration_error():
    probability = np.repeat(np.array([0.2, 0.6, 1.0], np.float32), 10).reshape(3, 10)
    truth = np.arange(10) < np.array([[2], [6], [10]])
    levels = PixelLevels()
    levels.add("a", probability, truth)
    summary = levels.summary(seed=0)
    assert summary["expected_calibration_error"] == pytest.approx(0, abs=1e-6)
    bins = summary["curves"]["calibration"]
    assert bins["pixels"] == [0, 0, 10, 0, 0, 0, 10, 0, 0, 10]
    assert bins["predicted"][0] is bins["observed"][0] is None
    assert [bins["observed"][k] for k in (2, 6, 9)] == [0.2, 0.6, 1.0]
    overconfident = PixelLevels()
    overconfident.add("a", np.ones((1, 10), np.float32), np.arange(10)[None] < 7)
    assert overconfident.summary(0)["expected_calibration_error"] == pytest.approx(0.3)


def test_intervals_resample_whole_patients(images):
    """Against the resampling in words: draw patients, put their pixels in a row, rank them."""
    levels, scores, truth = pooled(images)
    groups = np.repeat([group for group, _, _ in images], 600)
    names = np.unique(groups)
    drawn = np.random.default_rng(5).integers(len(names), size=(2000, len(names)))[:300]
    areas = []
    for numbers in drawn:
        pixels = np.concatenate([np.flatnonzero(groups == names[n]) for n in numbers])
        areas.append(rank_auc(scores[pixels], truth[pixels]))
    summary = levels.summary(seed=5)
    low, high = summary["roc_auc"]["ci95"]
    assert low < summary["roc_auc"]["value"] < high
    assert [low, high] == pytest.approx(np.percentile(areas, [2.5, 97.5]), abs=0.15 * (high - low))
    low, high = summary["pr_auc"]["ci95"]
    assert low < summary["pr_auc"]["value"] < high
    assert levels.summary(seed=5) == summary
    assert pooled(images[::-1])[0].summary(seed=5) == summary, "whatever the order of the images"
    assert levels.summary(seed=6)["roc_auc"]["ci95"] != summary["roc_auc"]["ci95"]


def test_one_patient_has_no_interval(images):
    levels = PixelLevels()
    for _, probability, truth in images[:3]:
        levels.add("same", probability, truth)
    summary = levels.summary(seed=0)
    assert summary["roc_auc"]["value"] > 0.5
    assert summary["roc_auc"]["ci95"] == summary["pr_auc"]["ci95"] == [None, None]


def test_curves_are_operating_points_and_few(images):
    levels, scores, truth = pooled(images)
    curves = levels.summary(seed=0)["curves"]
    points, recalls = {(0.0, 0.0)}, set()
    for threshold in np.unique(scores):
        found = scores >= threshold
        hits, false = (found & truth).sum(), (found & ~truth).sum()
        points.add((false / (~truth).sum(), hits / truth.sum()))
        recalls.add((hits / truth.sum(), hits / found.sum()))
    roc = list(zip(curves["roc"]["fpr"], curves["roc"]["tpr"], strict=True))
    assert roc[0] == (0, 0) and roc[-1] == (1, 1)
    assert set(roc) <= points and 50 < len(roc) <= 101
    assert roc == sorted(roc)
    pr = list(zip(curves["pr"]["recall"], curves["pr"]["precision"], strict=True))
    assert set(pr) <= recalls and 20 < len(pr) <= 101
    assert pr[-1] == (1, truth.mean()), "at the laxest threshold everything is found"
    # What was left out lies close to what was kept.
    kept = np.array(roc)
    area = np.trapezoid(kept[:, 1], kept[:, 0])
    assert area == pytest.approx(rank_auc(scores, truth), abs=2e-3)


@pytest.mark.parametrize("shown", [False, True], ids=["nothing", "everything"])
def test_truth_of_one_kind_has_no_area_and_no_curve(shown):
    levels = PixelLevels()
    truth = np.full((4, 5), shown)
    probability = np.full((4, 5), 0.8 if shown else 0.2, np.float32)
    assert levels.add("a", probability, truth) == {"roc_auc": None, "pr_auc": None}
    levels.add("b", probability, truth)
    summary = levels.summary(seed=0)
    nothing = {"value": None, "ci95": [None, None]}
    assert summary["roc_auc"] == summary["pr_auc"] == nothing
    assert summary["curves"]["roc"] == {"fpr": [], "tpr": []}
    assert summary["curves"]["pr"] == {"recall": [], "precision": []}
    expected = (1, 1, 1, None) if shown else (None, None, None, 1)
    found = tuple(summary[n] for n in ("dice", "iou", "sensitivity", "specificity"))
    assert found == expected
    assert sum(summary["curves"]["calibration"]["pixels"]) == 40


def test_no_image_is_no_figure():
    summary = PixelLevels().summary(seed=0)
    assert (summary["images"], summary["pixels"]) == (0, 0)
    assert summary["roc_auc"]["value"] is summary["dice"] is None
    assert summary["expected_calibration_error"] is None


def test_summary_is_plain_json(images):
    levels, _, _ = pooled(images)
    for summary in (levels.summary(seed=0), PixelLevels().summary(seed=0)):
        assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_what_cannot_be_counted_is_refused_and_not_counted():
    levels = PixelLevels()
    truth, probability = np.zeros((2, 3), bool), np.zeros((2, 3), np.float32)
    with pytest.raises(TypeError, match="found float32 and uint8"):
        levels.add("a", probability, truth.astype(np.uint8))
    with pytest.raises(TypeError, match="found uint8 and bool"):
        levels.add("a", probability.astype(np.uint8), truth)
    with pytest.raises(ValueError, match=r"probability is \(2, 3\), truth is \(3, 2\)"):
        levels.add("a", probability, truth.T)
    for wrong in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match=r"probabilities lie in 0\.\.1, found"):
            levels.add("a", np.full((2, 3), wrong, np.float32), truth)
    assert levels.summary(0)["images"] == 0
