"""The curves show the summary's own points, and no more than there are."""

import io

import numpy as np
import pytest
from PIL import Image

from fetal_tf.reporting.plots.curves import calibration_curves, pr_curves, roc_curves
from fetal_tf.reporting.plots.figures import BLUE, ORANGE, inline_svg, png_bytes
from fetal_tf.scores.pixel_levels import PixelLevels

FIGURES = (roc_curves, pr_curves, calibration_curves)


def summary_of(signal, seed=0):
    random = np.random.default_rng(seed)
    levels = PixelLevels()
    for group in "abc":
        truth = random.random((30, 40)) < 0.2
        probability = np.clip(random.normal(0.3 + signal * truth, 0.2), 0, 1)
        levels.add(group, probability.astype(np.float32), truth)
    return levels.summary(seed)


@pytest.fixture(scope="module")
def pixels():
    return {"Heart": summary_of(0.3), "Thorax": summary_of(0.6, seed=1)}


def line_of(axes, label):
    (line,) = (line for line in axes.lines if str(line.get_label()).startswith(label))
    return line


def test_roc_shows_the_points_the_area_and_the_mask(pixels):
    (axes,) = roc_curves(pixels).axes
    for (name, found), colour in zip(pixels.items(), (ORANGE, BLUE), strict=True):
        line = line_of(axes, f"{name}, AUC {found['roc_auc']['value']:.4f}")
        assert line.get_color() == colour
        roc = found["curves"]["roc"]
        np.testing.assert_array_equal(line.get_xydata().T, [roc["fpr"], roc["tpr"]])
        mask = line_of(axes, f"{name}, mask").get_xydata()
        np.testing.assert_allclose(mask, [[1 - found["specificity"], found["sensitivity"]]])
        # The mask's point lies on its curve.
        at = np.interp(mask[0, 0], roc["fpr"], roc["tpr"])
        assert at == pytest.approx(mask[0, 1], abs=0.01)


def test_pr_runs_in_steps_from_recall_zero(pixels):
    (axes,) = pr_curves(pixels).axes
    for name, found in pixels.items():
        line = line_of(axes, f"{name}, average precision {found['pr_auc']['value']:.4f}")
        assert line.get_drawstyle() == "steps-pre"
        recall, precision = line.get_xydata().T
        assert recall[0] == 0 and recall[-1] == 1
        np.testing.assert_array_equal(recall[1:], found["curves"]["pr"]["recall"])
        area = (np.diff(recall) * precision[1:]).sum()  # what steps-pre fills
        assert area == pytest.approx(found["pr_auc"]["value"], abs=0.01)
        guessing = line_of(axes, f"{name}, guessing").get_ydata()[0]
        share = found["curves"]["calibration"]
        known = [o * n for o, n in zip(share["observed"], share["pixels"], strict=True) if n]
        assert guessing == pytest.approx(sum(known) / found["pixels"])


def test_calibration_shows_filled_bins_and_their_pixels(pixels):
    upper, lower = calibration_curves(pixels).axes
    bars = iter(lower.patches)
    for name, found in pixels.items():
        bins = found["curves"]["calibration"]
        filled = [k for k in range(10) if bins["pixels"][k]]
        expected = [[bins["predicted"][k], bins["observed"][k]] for k in filled]
        np.testing.assert_array_equal(line_of(upper, f"{name}, ").get_xydata(), expected)
        for k in filled:
            bar = next(bars)
            assert bar.get_height() == pytest.approx(100 * bins["pixels"][k] / found["pixels"])
            assert k / 10 < bar.get_x() < bar.get_x() + bar.get_width() < (k + 1) / 10
    assert next(bars, None) is None


@pytest.mark.parametrize("figure", FIGURES)
def test_one_structure_is_enough(figure, pixels):
    axes = figure({"Heart": pixels["Heart"]}).axes[0]
    labels = [str(line.get_label()) for line in axes.lines]
    assert any(label.startswith("Heart") for label in labels)
    assert not any(label.startswith("Thorax") for label in labels)


@pytest.mark.parametrize("figure", FIGURES)
def test_the_same_figures_make_the_same_picture(figure, pixels):
    first, second = (png_bytes(figure(pixels)) for _ in range(2))
    assert first == second
    assert Image.open(io.BytesIO(first)).format == "PNG"
    assert inline_svg(figure(pixels), "name", "what it shows").startswith("<svg")


@pytest.mark.parametrize("figure", FIGURES)
def test_nothing_gathered_no_figure(figure):
    assert figure({}) is None
    assert figure({"Heart": PixelLevels().summary(0)}) is None


def test_truth_without_the_structure_has_a_calibration_and_no_curve(pixels):
    levels = PixelLevels()
    levels.add("a", np.full((4, 5), 0.2, np.float32), np.zeros((4, 5), bool))
    empty = {"Heart": levels.summary(0)}
    assert roc_curves(empty) is None and pr_curves(empty) is None
    (mark,) = line_of(calibration_curves(empty).axes[0], "Heart").get_xydata()
    assert mark == pytest.approx([0.2, 0])
    mixed = roc_curves({**empty, "Thorax": pixels["Thorax"]}).axes[0]
    assert not [line for line in mixed.lines if str(line.get_label()).startswith("Heart")]
