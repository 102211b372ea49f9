"""Class scores against counts over sets of pixels."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fetal_tf.scores.classes import class_metrics, mismatch_scores, pooled_intervals, pooled_metrics
from fetal_tf.scores.confusions import confusion
from fetal_tf.scores.overlap import overlap_metrics
from fetal_tf.scores.statistics import BOOTSTRAP_RESAMPLES

CLASSES = ("background", "brain", "csp", "lv")
METRICS = ("dice", "iou", "precision", "recall", "f1")
maps = arrays(np.uint8, (4, 5), elements=st.integers(0, 3))


def brute(pred: np.ndarray, truth: np.ndarray, k: int) -> dict[str, float | None]:
    """One class' figures by its sets of pixels; None where the ratio is 0/0."""
    p = {(y, x) for y, x in np.argwhere(pred == k).tolist()}
    t = {(y, x) for y, x in np.argwhere(truth == k).tolist()}
    both = len(p & t)
    dice = 2 * both / (len(p) + len(t)) if p or t else None
    return {
        "dice": dice,
        "iou": both / len(p | t) if p or t else None,
        "precision": both / len(p) if p else None,
        "recall": both / len(t) if t else None,
        "f1": dice,
    }


def one_class(shown: int, predicted: int, hit: int) -> np.ndarray:
    """[2, 2] of an image of 1000 pixels whose class 1 is as said."""
    missed, invented = shown - hit, predicted - hit
    return np.array([[1000 - hit - missed - invented, invented], [missed, hit]])


@given(maps, maps, st.sampled_from(["skip", "one", "zero"]))
def test_class_metrics_equal_sets_of_pixels(pred, truth, absent):
    for k, got in enumerate(class_metrics(confusion(pred, truth, 4), absent)):
        if (truth == k).any():
            expected = brute(pred, truth, k)
        elif absent == "skip":
            expected = dict.fromkeys(METRICS)
        else:
            empty = not (pred == k).any()
            expected = dict.fromkeys(METRICS, float(absent == "one" and empty))
        assert got == pytest.approx(expected)


@given(maps, maps)
def test_class_metrics_equal_the_binary_scores_where_the_class_is_shown(pred, truth):
    for k, got in enumerate(class_metrics(confusion(pred, truth, 4))):
        if (truth == k).any():
            binary = overlap_metrics(pred == k, truth == k)
            for name in ("dice", "iou", "precision", "recall"):
                assert got[name] == pytest.approx(binary[name])


def test_absent_rules_by_example():
    nothing, invented = one_class(0, 0, 0), one_class(0, 7, 0)
    values = {
        rule: (class_metrics(nothing, rule)[1]["dice"], class_metrics(invented, rule)[1]["dice"])
        for rule in ("skip", "one", "zero")
    }
    assert values == {"skip": (None, None), "one": (1.0, 0.0), "zero": (0.0, 0.0)}


@pytest.mark.parametrize("absent", ["skip", "one", "zero"])
def test_a_missed_structure_scores_zero_under_every_rule(absent):
    got = class_metrics(one_class(10, 0, 0), absent)[1]
    assert got == {"dice": 0, "iou": 0, "precision": None, "recall": 0, "f1": 0}


def test_the_zero_rule_turns_a_good_dice_into_a_small_one():
    """37 of 100 images show it with Dice 0.57; the mean over all images is 0.37 * 0.57 = 0.21."""
    images = [one_class(100, 100, 57)] * 37 + [one_class(0, 0, 0)] * 63

    def mean(rule):
        dice = [class_metrics(image, rule)[1]["dice"] for image in images]
        return np.mean([d for d in dice if d is not None])

    assert mean("skip") == pytest.approx(0.57)
    assert mean("zero") == pytest.approx(0.2109)
    assert mean("one") == pytest.approx(0.8409)


def test_an_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="absent must be one of skip, one, zero: 'nan'"):
        class_metrics(one_class(1, 1, 1), "nan")


def mean_of(values):
    defined = [v for v in values if v is not None]
    return sum(defined) / len(defined) if defined else None


@given(maps, maps, st.sampled_from([4, 3]))
def test_pooled_metrics_equal_sets_of_pixels(pred, truth, count):
    pred, truth, classes = pred % count, truth % count, CLASSES[:count]
    by_class = [brute(pred, truth, k) for k in range(count)]
    iou = [b["iou"] for b in by_class]
    expected = {f"{c}_{m}": by_class[k][m] for k, c in enumerate(classes) for m in METRICS}
    expected |= {
        "mean_iou": mean_of(iou),
        "mean_iou_foreground": mean_of(iou[1:]),
        "mean_iou_small": mean_of(iou[2:]),
        "frequency_weighted_iou": sum((truth == k).mean() * (iou[k] or 0) for k in range(count)),
        "pixel_accuracy": (pred == truth).mean(),
        "foreground_dice": mean_of([b["dice"] for b in by_class[1:]]),
    }
    assert pooled_metrics(confusion(pred, truth, count), classes) == pytest.approx(expected)


def test_the_small_structures_are_known_by_name():
    matrix = np.diag([50, 30, 10, 10])
    matrix[2, 1], matrix[3, 1] = 10, 30  # IoU 10/20 and 10/40
    assert pooled_metrics(matrix, CLASSES)["mean_iou_small"] == pytest.approx(0.375)
    swapped = ("background", "csp", "brain", "lv")
    expected = pooled_metrics(matrix, CLASSES)
    got = pooled_metrics(matrix, swapped)["mean_iou_small"]
    assert got == pytest.approx((expected["brain_iou"] + expected["lv_iou"]) / 2)
    assert pooled_metrics(matrix[:2, :2], CLASSES[:2])["mean_iou_small"] is None


def test_no_pixel_at_all_has_no_figure():
    assert set(pooled_metrics(np.zeros((4, 4), int), CLASSES).values()) == {None}


def test_matrices_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"must be \[4, 4\], found shape \(3, 3\)"):
        pooled_metrics(np.zeros((3, 3), int), CLASSES)
    with pytest.raises(ValueError, match=r"must be \[4, 4\]"):
        mismatch_scores(np.zeros((3, 3), int), CLASSES)
    with pytest.raises(ValueError, match=r"must be \[N, 4, 4\]"):
        pooled_intervals(np.zeros((4, 4), int), CLASSES, None, seed=0)
    with pytest.raises(ValueError, match="2 confusion matrices, but 1 groups"):
        pooled_intervals(np.zeros((2, 4, 4), int), CLASSES, ["a"], seed=0)


def images(n: int, seed: int) -> np.ndarray:
    """[n, 4, 4], mostly right; every second image shows no csp."""
    rng = np.random.default_rng(seed)
    matrices = rng.integers(0, 30, (n, 4, 4)) + 200 * np.eye(4, dtype=np.int64)
    matrices[::2, 2] = 0
    return matrices


@settings(max_examples=3, deadline=None)
@given(st.integers(0, 1000))
def test_intervals_equal_pooling_every_resample_by_hand(seed):
    matrices = images(7, seed)
    groups = ["p", "q", "p", "r", "s", "q", "p"]
    members = [[i for i, g in enumerate(groups) if g == name] for name in "pqrs"]
    resamples = np.random.default_rng(seed).integers(4, size=(BOOTSTRAP_RESAMPLES, 4))
    names = ("csp_dice", "mean_iou", "frequency_weighted_iou", "lv_precision", "foreground_dice")
    pooled: dict[str, list[float]] = {name: [] for name in names}
    for drawn in resamples:
        total = sum(matrices[i] for g in drawn for i in members[g])
        values = pooled_metrics(total, CLASSES)
        for name in names:
            pooled[name].append(values[name])
    got = pooled_intervals(matrices, CLASSES, groups, seed)
    for name in names:
        assert got[name] == pytest.approx(list(np.percentile(pooled[name], [2.5, 97.5])))


def test_intervals_have_the_names_of_the_metrics_and_hold_their_values():
    matrices = images(60, 0)
    values = pooled_metrics(matrices.sum(axis=0), CLASSES)
    intervals = pooled_intervals(matrices, CLASSES, None, seed=0)
    assert list(intervals) == list(values)
    for name, (low, high) in intervals.items():
        assert low < values[name] < high


def test_frames_of_one_patient_count_as_one():
    matrices, names = images(30, 1), [str(i) for i in range(30)]
    single = pooled_intervals(matrices, CLASSES, names, seed=0)
    doubled = pooled_intervals(np.concatenate([matrices] * 2), CLASSES, names * 2, seed=0)
    assert list(doubled) == list(single)
    for name, interval in single.items():
        assert doubled[name] == pytest.approx(interval)


def test_resamples_without_the_structure_are_left_out():
    matrices = np.stack([np.diag([90, 10, 0, 0])] * 3 + [np.diag([80, 10, 10, 0])])
    got = pooled_intervals(matrices, CLASSES, None, seed=0)
    assert got["csp_dice"] == [1.0, 1.0]
    assert got["lv_dice"] == [None, None]


def test_one_patient_has_no_interval():
    got = pooled_intervals(images(3, 2), CLASSES, ["a"] * 3, seed=0)
    assert set(got) == set(pooled_metrics(images(1, 2)[0], CLASSES))
    assert all(interval == [None, None] for interval in got.values())


@given(maps, maps)
def test_mismatch_equals_the_symmetric_difference(pred, truth):
    expected = {}
    for k, name in enumerate(CLASSES[1:], start=1):
        wrong, area = ((pred == k) ^ (truth == k)).sum(), (truth == k).sum()
        expected[name] = wrong / area if area else float(wrong > 0)
    wrong, area = (pred != truth).sum(), (truth > 0).sum()
    expected["foreground"] = wrong / area if area else float(wrong > 0)
    assert mismatch_scores(confusion(pred, truth, 4), CLASSES) == pytest.approx(expected)


def test_mismatch_of_absent_perfect_and_doubled():
    both_empty, invented = np.diag([10, 5, 0]), np.array([[8, 0, 2], [0, 5, 0], [0, 0, 0]])
    three = CLASSES[:3]
    assert mismatch_scores(both_empty, three) == {"brain": 0, "csp": 0, "foreground": 0}
    assert mismatch_scores(invented, three) == {"brain": 0, "csp": 1, "foreground": 0.4}
    too_large = np.array([[0, 15], [0, 5]])
    assert mismatch_scores(too_large, CLASSES[:2]) == {"brain": 3.0, "foreground": 3.0}


@pytest.mark.parametrize("module", ["confusions", "classes", "detection", "agreement"])
def test_imports_without_a_framework(module):
    blocked = "import sys; sys.modules.update(keras=None, tensorflow=None)"
    code = f"{blocked}; import fetal_tf.scores.{module}"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
