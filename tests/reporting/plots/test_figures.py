import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from fetal_tf.reporting.plots.figures import (
    INK,
    bland_altman,
    inline_svg,
    learning_curves,
    png_bytes,
    predicted_against_measured,
    score_histogram,
)
from fetal_tf.scores.quantities import Quantity
from fetal_tf.scores.rows import image_frame
from tests.evaluation.evaluation_fakes import row

HC = Quantity("hc", "mm")
ROWS = image_frame(
    [
        row("001_HC", hc=102.0, true=100.0),
        row("002_HC", hc=199.0, true=200.0, flags="touches_border: 9 %"),
        row("003_HC", hc=305.0, true=300.0),
        row("004_HC", true=100.0, refused="no_head: nothing"),
        row("005_HC", error="truncated"),
    ]
)


def test_bland_altman_shows_bias_and_limits_in_words_and_lines():
    figure = bland_altman(HC.pairs(ROWS), HC)
    (axes,) = figure.axes
    bias, low, high = HC.pairs(ROWS).limits()
    heights = {round(float(line.get_ydata()[0]), 6) for line in axes.lines}
    assert {round(bias, 6), round(low, 6), round(high, 6)} <= heights
    words = " ".join(text.get_text() for text in axes.texts)
    assert "bias\n+2.00 mm" in words
    assert f"+1.96 sd\n{high:+.2f} mm" in words


def test_bland_altman_of_one_image_has_a_bias_and_no_limits():
    (axes,) = bland_altman(HC.pairs(ROWS[:1]), HC).axes
    assert [text.get_text() for text in axes.texts] == ["bias\n+2.00 mm"]


def test_no_pairs_no_figure():
    nothing = HC.pairs(ROWS[3:])
    assert bland_altman(nothing, HC) is None
    assert predicted_against_measured(nothing, HC) is None
    assert score_histogram(np.array([]), "Dice") is None


def test_identity_figure_holds_every_point():
    (axes,) = predicted_against_measured(HC.pairs(ROWS), HC).axes
    low, high = axes.get_xlim()
    assert axes.get_ylim() == (low, high)
    assert low < 100 and high > 305
    points = np.concatenate([c.get_offsets() for c in axes.collections])
    np.testing.assert_array_equal(np.sort(points[:, 1]), [102, 199, 305])


@pytest.mark.parametrize(
    "values", [[0.97], [0.0, 0.0], [1.0, 1.0], [0.0, *[0.97] * 99], [0.2, 0.6]]
)
def test_histogram_counts_every_image(values):
    (axes,) = score_histogram(np.array(values), "Dice").axes
    assert sum(bar.get_height() for bar in axes.patches) == len(values)


def test_histogram_says_what_lies_below_its_axis():
    (axes,) = score_histogram(np.array([0.0, 0.5, *[0.97] * 98]), "Dice").axes
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert "2 below 0.90, in the first bar" in labels


HISTORY = [
    {"epoch": 1.0, "loss": "0.5", "val_loss": 0.6, "val_dice": ""},
    {"epoch": 2.0, "loss": 0.4, "val_loss": float("nan"), "val_dice": 0.8},
    {"epoch": 3.0, "loss": 0.3, "val_loss": 0.4, "val_dice": 0.9},
]


def test_learning_curves_skip_blanks_and_keep_the_epoch():
    loss, dice = learning_curves(HISTORY, "dice").axes
    training, validation = loss.lines
    np.testing.assert_allclose(training.get_xydata(), [[1, 0.5], [2, 0.4], [3, 0.3]])
    np.testing.assert_allclose(validation.get_xydata(), [[1, 0.6], [3, 0.4]])
    np.testing.assert_allclose(dice.lines[0].get_xydata(), [[2, 0.8], [3, 0.9]])


def test_no_history_no_curves():
    assert learning_curves([], "dice") is None
    assert learning_curves([{"epoch": 1.0}], "dice") is None


def test_svg_is_well_formed_follows_the_page_and_speaks():
    figure = bland_altman(HC.pairs(ROWS), HC)
    text = inline_svg(figure, "agreement", 'bias <2 & "more"')
    root = ElementTree.fromstring(text)
    assert root.get("role") == "img"
    assert root.get("aria-label") == 'bias <2 & "more"'
    assert INK not in text
    assert "currentColor" in text
    assert "width" not in root.attrib and "viewBox" in root.attrib


def test_ids_of_two_svgs_never_meet_and_references_hold():
    figure = bland_altman(HC.pairs(ROWS), HC)
    first, second = (inline_svg(figure, name, "x") for name in ("one", "two"))
    ids = [set(re.findall(r'\bid="([^"]+)"', text)) for text in (first, second)]
    assert ids[0] and not ids[0] & ids[1]
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', first))
    assert used and used <= ids[0]


def test_png_is_a_png_on_white():
    import io

    from PIL import Image

    image = Image.open(io.BytesIO(png_bytes(score_histogram(np.array([0.9]), "Dice"))))
    assert image.format == "PNG"
    assert image.convert("RGBA").getpixel((2, 2)) == (255, 255, 255, 255)
