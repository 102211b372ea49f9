import numpy as np
import pandas as pd
import pytest

from fetal_tf.reporting.plots.robustness import robustness_curves
from tests.evaluation.evaluation_fakes import BrightnessTask

COLUMNS = BrightnessTask.columns
FIGURES = ["run", "distortion", "level", "metric", "mean", "ci95_low", "ci95_high", "n"]


def points(run="net", drop=0.1, metrics=("dice", "pooled_dice", "hc_abs_error_mm")):
    """Two distortions of three levels; a score falls by `drop` per step away from the first."""
    lines = [
        (run, distortion, level, metric, 0.9 - drop * k, 0.8 - drop * k, 0.95 - drop * k, 9)
        for distortion, levels in (("noise", (0.0, 10.0, 20.0)), ("gamma", (0.5, 1.0, 2.0)))
        for k, level in enumerate(levels)
        for metric in (*metrics, "flagged_share")
    ]
    return pd.DataFrame(lines, columns=FIGURES)


def panels(figure):
    return [axes for axes in figure.axes if axes.get_lines()]


def curves(axes):
    return {line.get_label(): line for line in axes.get_lines() if line.get_label()[0] != "_"}


def test_a_panel_per_distortion_and_a_line_per_score():
    noise, gamma = panels(robustness_curves(points(), "net: 9 images", COLUMNS))
    assert (noise.get_title(), gamma.get_title()) == ("Noise", "Gamma")
    assert noise.get_xlabel() == "sd (gray values)"
    lines = curves(noise)
    assert list(lines) == ["Dice", "Dice, pooled"]  # an error is no such score
    np.testing.assert_allclose(lines["Dice"].get_ydata(), [0.9, 0.8, 0.7])
    assert lines["Dice"].get_color() == lines["Dice, pooled"].get_color()
    assert (lines["Dice"].get_linestyle(), lines["Dice, pooled"].get_linestyle()) == ("-", "--")
    assert [tick.get_text() for tick in gamma.get_xticklabels()] == ["0.5", "1", "2"]


def test_the_undistorted_level_is_marked():
    for axes, place in zip(
        panels(robustness_curves(points(), "net", COLUMNS)), (0, 1), strict=True
    ):
        (mark,) = [line for line in axes.get_lines() if line.get_linestyle() == ":"]
        assert set(mark.get_xdata()) == {place}


def band(axes):
    vertices = axes.collections[0].get_paths()[0].vertices
    at = {x: vertices[np.isclose(vertices[:, 0], x), 1] for x in (0, 2)}
    return {x: (y.min(), y.max()) for x, y in at.items()}


def test_one_runs_band_is_its_interval():
    found = band(panels(robustness_curves(points(metrics=("dice",)), "net", COLUMNS))[0])
    assert found[0] == pytest.approx((0.8, 0.95)) and found[2] == pytest.approx((0.6, 0.75))


def test_several_runs_give_their_mean_and_range():
    both = pd.concat([points("a", 0.1, ("dice",)), points("b", 0.2, ("dice",))])
    figure = robustness_curves(both, "a, b", COLUMNS)
    axes = panels(figure)[0]
    np.testing.assert_allclose(curves(axes)["Dice"].get_ydata(), [0.9, 0.75, 0.6])
    assert band(axes)[2] == pytest.approx((0.5, 0.7))
    assert "lowest to highest of 2 runs" in figure.get_suptitle()


def test_all_that_is_drawn_lies_inside_the_axes():
    figure = robustness_curves(points(drop=0.35), "net", COLUMNS)
    low, high = panels(figure)[0].get_ylim()
    assert low <= 0.8 - 0.7 and high >= 0.95


def test_a_score_that_is_missing_at_a_level_leaves_a_gap():
    some = points(metrics=("dice",))
    some.loc[some["level"] == 10.0, ["mean", "ci95_low", "ci95_high"]] = np.nan
    y = curves(panels(robustness_curves(some, "net", COLUMNS))[0])["Dice"].get_ydata()
    np.testing.assert_array_equal(np.isnan(y), [False, True, False])


def test_without_such_a_score_there_is_no_figure():
    assert robustness_curves(points(metrics=("hc_abs_error_mm",)), "net", COLUMNS) is None
