"""The picture of a four-chamber view: lines where they belong, and what the legend says."""

import itertools

import cv2
import numpy as np
import pytest

from fetal_tf.edge.bundle.measurers import MEASURERS
from fetal_tf.edge.draw import picture as drawing
from fetal_tf.edge.draw.four_chamber_overlay import MASK, STRUCTURE_COLORS, draw_four_chamber
from fetal_tf.edge.draw.layers import TRUTH
from fetal_tf.edge.draw.legend import ALARM, BACKGROUND, TEXT
from fetal_tf.edge.geometry.ellipse import Ellipse, rasterise
from fetal_tf.edge.geometry.letterbox import Letterbox
from fetal_tf.edge.measure.four_chamber import measure_four_chamber
from fetal_tf.edge.measure.four_chamber_measurement import FourChamberMeasurement

CLASSES = ("thorax", "heart")
SHAPE = (661, 959)
IMAGE = np.full(SHAPE, 60, np.uint8)
THORAX = Ellipse(470.0, 330.0, 260.0, 228.0, 20.0)
HEART = Ellipse(440.0, 300.0, 136.0, 101.0, 75.0)
ELLIPSES = {"thorax": THORAX, "heart": HEART}
# Machado, Oliveira & Fernandes 2009, severity 1, on linear RGB.
COLOR_VISION = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def measured(thorax=THORAX, heart=HEART, shape=SHAPE, mm_per_pixel=0.15, spoil=None):
    box = Letterbox(*shape, 192, 288)
    maps = [
        box.apply_coverage(rasterise(e, shape)).astype(np.float32) / 255 for e in (thorax, heart)
    ]
    output = np.stack(maps, axis=-1)
    if spoil:
        spoil(output)
    return measure_four_chamber(output, CLASSES, box, mm_per_pixel)


def near(picture, color, tolerance=60):
    """(x, y) of pixels of about this colour."""
    ys, xs = np.nonzero(np.abs(picture.astype(int) - color).max(-1) < tolerance)
    return np.column_stack([xs, ys])


def legend(monkeypatch, measurement, truth=None):
    """Entries of the strip, as they were asked for."""
    entries = []

    def record(width, given):
        entries.extend(given)
        return np.zeros((1, width, 3), np.uint8)

    monkeypatch.setattr(drawing, "legend_strip", record)
    draw_four_chamber(IMAGE, measurement, truth)
    return entries


@pytest.mark.parametrize("structure", ELLIPSES)
def test_lines_lie_on_the_ellipse_and_on_its_short_axis(structure):
    ellipse = ELLIPSES[structure]
    found = near(draw_four_chamber(IMAGE, measured())[: SHAPE[0]], STRUCTURE_COLORS[structure], 30)
    first, last = ellipse.minor_endpoints
    along = (last - first) / np.linalg.norm(last - first)
    from_axis = np.abs((found - first) @ [-along[1], along[0]])
    from_ellipse = np.abs(ellipse.distances(found))
    assert np.minimum(from_axis, from_ellipse).max() < 14  # the arms of the crosses
    assert (np.minimum(from_axis, from_ellipse) < 3).mean() > 0.97
    assert np.count_nonzero(from_ellipse < 2) > ellipse.perimeter
    inside = found[from_ellipse > 20]
    places = (inside - first) @ along
    dashed = np.unique(np.floor(places / (2 * ellipse.semi_minor) * 10))
    assert len(dashed) >= 8 and np.abs((inside - first) @ [-along[1], along[0]]).max() < 2.5
    for end in (first, last):
        assert np.linalg.norm(found - end, axis=1).min() < 2


def test_the_image_stays_visible():
    picture = draw_four_chamber(IMAGE, measured())
    height = SHAPE[0]
    assert picture.dtype == np.uint8 and picture.shape[1:] == (959, 3)
    assert (picture[:height] == 60).all(-1).mean() > 0.97
    assert (picture[height:] == BACKGROUND).all(-1).any()
    assert height < len(picture) < height + 100


@pytest.mark.parametrize("channel", [0, 1])
def test_the_masks_are_drawn_as_they_are_where_they_differ_from_the_ellipses(channel):
    row, column = ((80, 66), (85, 108))[channel]  # on the left side of each

    def bite(output):
        output[row : row + 20, column : column + 12, channel] = 0

    view = measured(spoil=bite)
    found = near(draw_four_chamber(IMAGE, view)[: SHAPE[0]], MASK, 40)
    edge = view.letterbox.to_source([[column + 11.5, row + 10]])[0]
    assert np.linalg.norm(found - edge, axis=1).min() < 2


def test_the_experts_ellipses_are_dashed_beside():
    truth = FourChamberMeasurement(heart=HEART.shrunk(25), thorax=THORAX.shrunk(25))
    found = near(draw_four_chamber(IMAGE, measured(), truth)[: SHAPE[0]], TRUTH)
    to_each = [np.abs(e.shrunk(25).distances(found)) for e in ELLIPSES.values()]
    assert np.minimum(*to_each).max() < 3.5
    for distances, ellipse in zip(to_each, ELLIPSES.values(), strict=True):
        marked = found[distances < 2] - [ellipse.center_x, ellipse.center_y]
        share = len(np.unique(np.degrees(np.arctan2(*marked.T)).round())) / 360
        assert 0.4 < share < 0.95  # dashes all around, and gaps
    assert not len(near(draw_four_chamber(IMAGE, measured())[: SHAPE[0]], TRUTH))


def test_the_legend_names_each_ratio_and_each_line(monkeypatch):
    view = measured()
    truth = FourChamberMeasurement(heart=HEART.shrunk(10), thorax=THORAX)
    said = {entry.text: entry for entry in legend(monkeypatch, view, truth)}
    assert list(said) == [
        "CTR 44.3 % (diameter), 23.2 % (area), 48.8 % (circumference)",
        "thorax 78.0 x 68.4 mm",
        "heart 40.8 x 30.3 mm",
        "mask",
        f"expert (dashed): {truth.headline()}",
    ]
    assert [e.swatch for e in said.values()] == [None, *STRUCTURE_COLORS.values(), MASK, TRUTH]
    assert all(entry.color == TEXT for entry in said.values())


def test_doubts_and_refusals_are_in_alarm_colour_and_notes_are_not(monkeypatch):
    doubted = measured(heart=HEART.shrunk(38), mm_per_pixel=None)
    said = {entry.text: entry.color for entry in legend(monkeypatch, doubted)}
    assert (
        said["implausible_ctr: cardiothoracic ratio by diameter 27.6, expected 32.0 to 60.0 %"]
        == ALARM
    )
    assert said["note: lengths and areas in pixels only, millimetres need mm_per_pixel"] == TEXT

    def no_heart(output):
        output[..., 1] = 0

    refused = measured(spoil=no_heart)
    entries = legend(monkeypatch, refused)
    assert [e.text for e in entries] == ["thorax 78.0 x 68.4 mm", "mask", refused.refused]
    assert entries[-1].color == ALARM


def test_a_heart_alone_has_no_line_of_ratios(monkeypatch):
    measurer = MEASURERS["four_chamber"](("heart",), {})
    box = Letterbox(*SHAPE, 192, 288)
    output = box.apply_coverage(rasterise(HEART, SHAPE)).astype(np.float32)[..., None] / 255
    view = measurer.measure(output, box, 0.15)
    picture = measurer.draw(IMAGE, view)
    assert not len(near(picture[: SHAPE[0]], STRUCTURE_COLORS["thorax"]))
    assert len(near(picture[: SHAPE[0]], STRUCTURE_COLORS["heart"])) > 500
    truth = FourChamberMeasurement(heart=HEART)
    assert [e.text for e in legend(monkeypatch, view, truth)] == [
        "heart 40.8 x 30.3 mm",
        "mask",
        "expert (dashed): heart 272 x 202 px",
    ]


@pytest.mark.parametrize("shape", [(60, 90), (300, 559), (900, 2400)])
def test_any_size_of_image_gets_a_legible_strip(shape):
    height, width = shape
    thorax = Ellipse(width / 2, height / 2, height / 2.4, height / 2.8, 5)
    heart = Ellipse(width / 2, height / 2, height / 5, height / 6, 50)
    view = measured(thorax, heart, shape)
    picture = draw_four_chamber(np.full(shape, 60, np.uint8), view)
    zoom = picture.shape[1] // width
    assert picture.shape[1] >= 560 and picture.shape[1] == zoom * width
    assert len(picture) >= height * zoom + 20
    found = (near(picture[: height * zoom], STRUCTURE_COLORS["thorax"]) + 0.5) / zoom - 0.5
    outside = thorax.distances(found)
    assert len(found) and outside.max() < 20 * max(1, width / 900) / zoom
    assert np.count_nonzero(np.abs(outside) < 2) > 100


def test_nothing_found_is_a_picture_too():
    nothing = measured(spoil=lambda output: output.fill(0))
    picture = draw_four_chamber(IMAGE, nothing, nothing)
    assert (picture[: SHAPE[0]] == 60).all()
    assert len(near(picture[SHAPE[0] :], ALARM, 20)) > 100


def test_the_input_is_not_painted_over():
    image = IMAGE.copy()
    draw_four_chamber(image, measured())
    np.testing.assert_array_equal(image, IMAGE)


@pytest.mark.parametrize("vision", COLOR_VISION)
def test_the_lines_are_told_apart_with_every_colour_vision(vision):
    colors = {**STRUCTURE_COLORS, "mask": MASK, "gray": (128, 128, 128)}
    srgb = np.array(list(colors.values())) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.transpose(COLOR_VISION[vision]), 0, 1)
    encoded = np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)
    lab = cv2.cvtColor(encoded.astype(np.float32)[None], cv2.COLOR_RGB2LAB)[0]
    for first, second in itertools.combinations(range(len(colors)), 2):
        # ΔE 2.3 is just noticed; thin lines need many times that.
        assert np.linalg.norm(lab[first] - lab[second]) > 30
