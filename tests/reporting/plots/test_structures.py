import io

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PathCollection
from PIL import Image

from fetal_tf.reporting.plots.figures import BLUE, ORANGE, png_bytes
from fetal_tf.reporting.plots.structures import feature_distributions
from fetal_tf.scores.wording import metric_label

NAN = float("nan")
COLUMNS = {
    "csp_area_mm2": np.array([40.0, NAN, 60.0, 90.0, 50.0]),
    "lv_width_mm": np.array([7.0, 8.0, NAN, 14.0, NAN]),
}
FLAGGED = np.array([False, False, False, True, False])


def rgb(colour):
    return tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))


def marks_of(axes, colour):
    """Places of the marks in a colour, [N, 2]."""
    (found,) = (
        marks.get_offsets()
        for marks in axes.collections
        if isinstance(marks, PathCollection)
        and tuple(marks.get_facecolor()[0][:3]) == pytest.approx(rgb(colour))
    )
    return np.asarray(found)


def medians_of(axes):
    """Heights of the lines by the place that they lie over."""
    lines = [c.get_segments()[0] for c in axes.collections if isinstance(c, LineCollection)]
    return {round(float(line[:, 0].mean())): float(line[0, 1]) for line in lines}


def test_every_value_is_a_mark_and_every_group_has_its_median():
    figure = feature_distributions(COLUMNS, FLAGGED)
    assert len(figure.axes) == len(COLUMNS)
    for axes, (name, values) in zip(figure.axes, COLUMNS.items(), strict=True):
        normal, flagged = values[~FLAGGED], values[FLAGGED]
        np.testing.assert_array_equal(marks_of(axes, BLUE)[:, 1], normal[np.isfinite(normal)])
        np.testing.assert_array_equal(marks_of(axes, ORANGE)[:, 1], flagged[np.isfinite(flagged)])
        assert medians_of(axes) == {0: np.nanmedian(normal), 1: np.nanmedian(flagged)}
        assert axes.get_title() == metric_label(name)
    ticks = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert ticks == ["normal\nn = 3", "flagged\nn = 1"]


def test_marks_stay_in_their_own_half():
    values = np.linspace(1, 2, 400)
    (axes,) = feature_distributions({"csp_area_mm2": values}, np.arange(400) % 2 == 0).axes
    for colour, place in ((BLUE, 0), (ORANGE, 1)):
        x = marks_of(axes, colour)[:, 0]
        assert np.abs(x - place).max() < 0.4 and np.ptp(x) > 0.2
    low, high = axes.get_xlim()
    assert low < -0.32 and high > 1.32


def test_nobody_flagged_leaves_the_place_empty_and_without_a_median():
    (axes,) = feature_distributions({"lv_width_mm": np.array([7.0, 8.0])}, np.zeros(2, bool)).axes
    assert medians_of(axes) == {0: 7.5}
    assert [t.get_text() for t in axes.get_xticklabels()] == ["normal\nn = 2", "flagged\nn = 0"]


def test_the_same_values_make_the_same_picture():
    first, second = (png_bytes(feature_distributions(COLUMNS, FLAGGED)) for _ in range(2))
    assert first == second
    assert Image.open(io.BytesIO(first)).format == "PNG"


def test_no_feature_no_figure():
    assert feature_distributions({}, np.zeros(0, bool)) is None
