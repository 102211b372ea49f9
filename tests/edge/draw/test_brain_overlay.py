"""The picture of a brain shows each structure where it lies, and says what it shows."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fetal_tf.edge.draw import panels
from fetal_tf.edge.draw import picture as drawing
from fetal_tf.edge.draw.brain_overlay import CALIPER, STRUCTURE_COLORS, draw_brain, inscribed_circle
from fetal_tf.edge.draw.heatmap import COLORS, heatmap
from fetal_tf.edge.draw.layers import TRUTH, Outline
from fetal_tf.edge.draw.legend import ALARM, BACKGROUND
from fetal_tf.edge.draw.panels import Panel, arranged
from fetal_tf.edge.draw.picture import Canvas
from fetal_tf.edge.geometry.letterbox import Letterbox
from fetal_tf.edge.measure.brain import measure_brain, measure_brain_labels

FOUR = ("background", "brain", "csp", "lv")
THREE = FOUR[:3]
SHAPE = (540, 800)
IMAGE = np.full(SHAPE, 60, np.uint8)
TITLE = 27  # height of the title over the large picture of this width


def measured(labels, classes=FOUR, mm_per_pixel=0.15, **rest):
    return replace(measure_brain_labels(labels, classes, mm_per_pixel), **rest)


def brain(shape=SHAPE, move=0.0, structures=("brain", "csp", "lv")):
    """Label map of three ellipses; `move` is a share of the width."""
    height, width = shape
    y, x = np.mgrid[:height, :width]
    u, v = (x / width - 0.5 - move) * 2, (y / height - 0.5) * 2
    labels = np.zeros(shape, np.uint8)
    places = {"brain": (0, 0, 0.6, 0.7), "csp": (-0.25, 0, 0.09, 0.07), "lv": (0.25, 0.2, 0.2, 0.1)}
    for index, name in enumerate(structures, start=1):
        cx, cy, a, b = places[name]
        labels[((u - cx) / a) ** 2 + ((v - cy) / b) ** 2 <= 1] = index
    return labels


def with_maps(labels, classes=FOUR, **rest):
    box = Letterbox(*labels.shape, 64, 96)
    planes = [box.apply_coverage(labels == index) / 255 for index in range(len(classes))]
    probability = np.stack(planes, axis=-1).astype(np.float32)
    return measured(
        labels,
        classes,
        probability=probability,
        disagreement=probability[..., 1] / 2,
        letterbox=box,
        **rest,
    )


def near(picture, color, tolerance=12):
    """(x, y) of pixels of about this colour."""
    ys, xs = np.nonzero(np.abs(picture.astype(int) - color).max(-1) < tolerance)
    return np.column_stack([xs, ys])


def large(picture):
    return picture[TITLE : TITLE + 540, :800]


def border_distance(mask):
    """Distance of every pixel to the border of a mask, px."""
    inside = mask.astype(np.uint8)
    return cv2.distanceTransform(inside, cv2.DIST_L2, 5) + cv2.distanceTransform(
        1 - inside, cv2.DIST_L2, 5
    )


def said(monkeypatch, *arguments):
    """Every text of the legend, and its colour."""
    entries = []

    def listen(width, given):
        entries.extend(given)
        return np.zeros((1, width, 3), np.uint8)

    monkeypatch.setattr(drawing, "legend_strip", listen)
    draw_brain(*arguments)
    return {entry.text: entry for entry in entries}


def test_every_outline_lies_on_the_border_of_its_structure():
    labels = brain()
    picture = large(draw_brain(IMAGE, measured(labels)))
    for index, (name, color) in enumerate(STRUCTURE_COLORS.items(), start=1):
        mask = labels > 0 if name == "brain" else labels == index
        found = near(picture, color)
        assert len(found) > 150
        assert border_distance(mask)[found[:, 1], found[:, 0]].max() < 4
        # All around: every pixel of the border has the colour next to it, but for the crosses.
        contour = cv2.findContours(mask.astype(np.uint8), 0, cv2.CHAIN_APPROX_NONE)[0][0][:, 0]
        apart = np.linalg.norm(contour[:, None] - found[None], axis=-1).min(1)
        assert (apart < 2).mean() > 0.9


def test_csp_and_lv_are_filled_translucently_and_the_brain_is_not():
    labels = brain()
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, SHAPE, dtype=np.uint8)
    picture = large(draw_brain(image, measured(labels))).astype(float)
    inner = cv2.erode(labels, np.ones((9, 9))) * (border_distance(labels == 3) > 6)
    for index, name in ((2, "csp"), (3, "lv")):
        inside = inner == index
        inside &= np.abs(picture - CALIPER).max(-1) > 100
        color = np.array(STRUCTURE_COLORS[name], float)
        expected = 0.6 * image[inside][:, None] + 0.4 * color
        assert np.median(np.abs(picture[inside] - expected)) < 1
        assert np.corrcoef(picture[inside][:, 1], image[inside])[0, 1] > 0.8  # speckle is seen
    deep = (labels == 1) & (border_distance(labels == 1) > 8)
    np.testing.assert_array_equal(picture[deep], np.repeat(image[deep][:, None], 3, axis=1))


def test_the_caliper_spans_the_width_where_the_largest_circle_lies():
    labels = brain()
    found = near(large(draw_brain(IMAGE, measured(labels))), CALIPER, 60)
    ys, xs = np.nonzero(labels == 3)
    # Semi-axes 80 and 27 px: the width is the short axis, so the line is vertical at the centre.
    assert np.abs(found[:, 0] - xs.mean()).max() < 9
    assert found[:, 1].min() == pytest.approx(ys.min() - 6, abs=3)  # and the arm of the cross
    assert found[:, 1].max() == pytest.approx(ys.max() + 6, abs=3)
    without = draw_brain(IMAGE, measured(brain(structures=("brain", "csp"))))
    assert len(near(without, CALIPER, 60)) == 0


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 15), st.integers(1, 15))
def test_no_other_circle_in_a_mask_is_larger(seed, height, width):
    mask = np.random.default_rng(seed).random((height, width)) < 0.8
    mask[height // 2, width // 2] = True
    center, across = inscribed_circle(mask)
    rows, columns = np.nonzero(~np.pad(mask, 1))
    outside = np.column_stack([columns, rows]) - 1

    def radius(point):
        return np.linalg.norm(outside - point, axis=1).min()

    inside = np.argwhere(mask)[:, ::-1]
    assert radius(center) == pytest.approx(max(map(radius, inside)))
    assert np.linalg.norm(across) == pytest.approx(1)
    touched = center + radius(center) * across
    assert np.linalg.norm(outside - touched, axis=1).min() < 1e-6


def test_an_empty_mask_holds_no_circle():
    with pytest.raises(ValueError, match="empty"):
        inscribed_circle(np.zeros((3, 4), bool))


def test_truth_is_dashed_on_its_own_border():
    truth = brain(move=0.03)
    picture = large(draw_brain(IMAGE, measured(brain()), measured(truth)))
    found = near(picture, TRUTH, 40)
    borders = np.minimum.reduce([border_distance(m) for m in (truth > 0, truth == 2, truth == 3)])
    assert borders[found[:, 1], found[:, 0]].max() < 5.5
    contour = cv2.findContours((truth > 0).astype(np.uint8), 0, cv2.CHAIN_APPROX_NONE)[0][0][:, 0]
    apart = np.linalg.norm(contour[:, None] - found[None], axis=-1).min(1)
    assert 0.3 < (apart < 2).mean() < 0.8  # gaps
    assert len(near(draw_brain(IMAGE, measured(brain())), TRUTH, 15)) == 0


def test_where_both_agree_both_are_seen():
    picture = large(draw_brain(IMAGE, measured(brain()), measured(brain())))
    for color in (TRUTH, *STRUCTURE_COLORS.values()):
        assert len(near(picture, color, 30)) > 40


@pytest.mark.parametrize("radius, thickness", [(3, 1), (40, 1), (150, 2), (150, 6)])
def test_dashes_and_gaps_are_equally_long(radius, thickness):
    canvas = np.zeros((340, 340, 3), np.uint8)
    turn = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    circle = 170 + radius * np.column_stack([np.cos(turn), np.sin(turn)])
    Outline(circle, TRUTH, dashed=True).paint(Canvas(canvas, thickness=thickness))
    fine = 170 + radius * np.column_stack([np.cos(np.arange(0, 6.28, 0.01)),
                                           np.sin(np.arange(0, 6.28, 0.01))])  # fmt: skip
    on = canvas[np.rint(fine[:, 1]).astype(int), np.rint(fine[:, 0]).astype(int), 1] > 100
    changes = np.count_nonzero(on[1:] != on[:-1])
    assert 0.3 < on.mean() < 0.85
    assert changes >= 7


def test_every_map_is_shown_as_a_heatmap_with_its_title(monkeypatch):
    shown = []

    def listen(main, small):
        shown.extend([main, *small])
        return arranged(main, small)

    monkeypatch.setattr(drawing, "arranged", listen)
    measurement = with_maps(brain())
    draw_brain(IMAGE, measurement, measured(brain(move=0.02)))
    assert [panel.title for panel in shown] == [
        "brain, CSP and LV, the expert's outlines dashed",
        "probability of brain",
        "probability of CSP",
        "probability of LV",
        "disagreement between views",
        "mismatch with the expert's mask",
    ]
    restore = measurement.letterbox.restore
    for panel, index in zip(shown[1:4], (1, 2, 3), strict=True):
        expected = heatmap(IMAGE, restore(measurement.probability[..., index]))
        np.testing.assert_array_equal(panel.picture, expected)
    np.testing.assert_array_equal(
        shown[4].picture, heatmap(IMAGE, restore(measurement.disagreement))
    )
    changed = (brain() != brain(move=0.02)).astype(np.uint8)
    brightness = shown[5].picture.astype(int).sum(-1)
    equal_around = cv2.dilate(changed, np.ones((61, 61), np.uint8)) == 0
    assert brightness[changed > 0].mean() > 2 * brightness[equal_around].mean()
    np.testing.assert_array_equal(
        shown[5].picture[equal_around], heatmap(IMAGE, IMAGE * 0.0)[equal_around]
    )


def test_three_classes_say_nothing_of_the_ventricle(monkeypatch):
    labels = brain(structures=("brain", "csp"))
    texts = said(monkeypatch, IMAGE, with_maps(labels, THREE), measured(labels, THREE))
    assert any(text.startswith("CSP") for text in texts)
    assert not any("LV" in text for text in texts if "expert" not in text)


def test_the_legend_names_areas_width_and_colours(monkeypatch):
    texts = said(monkeypatch, IMAGE, measured(brain()))
    area = float((brain() == 2).sum()) * 0.15**2
    assert texts[f"CSP {area:.0f} mm²"].swatch == STRUCTURE_COLORS["csp"]
    width = measured(brain()).structures["lv"].width_mm
    assert texts[f"LV width {width:.1f} mm, no ventriculomegaly"].swatch == CALIPER
    texts = said(monkeypatch, IMAGE, measured(brain(), mm_per_pixel=None))
    assert texts[f"CSP {(brain() == 2).sum()} px²"].swatch == STRUCTURE_COLORS["csp"]
    named = [text for text, entry in texts.items() if entry.swatch]
    assert not any("mm" in text or "ventriculomegaly" in text for text in named)
    assert f"LV width {width / 0.15:.0f} px" in texts
    assert "CSP 9.0 mm²" in said(monkeypatch, IMAGE, measured(one_block(), mm_per_pixel=1.0))


def one_block():
    labels = brain(structures=("brain",))
    labels[200:203, 300:303] = 2
    return labels


def test_what_is_not_there_is_said_to_be_not_seen(monkeypatch):
    texts = said(monkeypatch, IMAGE, measured(brain(structures=("brain",))))
    assert texts["CSP not seen"].swatch is None and "LV not seen" in texts
    assert "brain not seen" not in texts


def test_the_anomaly_score_stands_with_its_threshold(monkeypatch):
    def score(**scores):
        texts = said(monkeypatch, IMAGE, measured(brain(), **scores))
        return [(text, e.color == ALARM) for text, e in texts.items() if "anomaly" in text]

    parts = {"shape_score": 4.6, "disagreement_score": 0.031}
    assert score(anomaly_score=1.0, **parts) == [
        ("anomaly score 1.00, flagged from 1 (shape z 4.6, disagreement 0.031)", True)
    ]
    assert score(anomaly_score=0.4, shape_score=1.5) == [
        ("anomaly score 0.40, flagged from 1 (shape z 1.5)", False)
    ]
    assert score(shape_score=1.5) == [("anomaly score not calibrated (shape z 1.5)", False)]
    assert score() == []


def test_flags_and_refusals_are_red_and_the_expert_is_quoted(monkeypatch):
    flagged = measured(brain(), flags=("fragmented: the brain has 3 parts",))
    texts = said(monkeypatch, IMAGE, flagged, measured(brain()))
    assert texts["fragmented: the brain has 3 parts"].color == ALARM
    expert = f"expert (dashed): {measured(brain()).headline()}"
    assert "mm², LV width" in expert and texts[expert].swatch == TRUTH
    nothing = measured(np.zeros(SHAPE, np.uint8), refused="no_brain: no pixel is brain, ≥ 1 needed")
    texts = said(monkeypatch, IMAGE, nothing, nothing)
    assert texts["no_brain: no pixel is brain, ≥ 1 needed"].color == ALARM
    assert "expert (dashed): no_brain: no pixel is brain, ≥ 1 needed" in texts
    monkeypatch.undo()
    assert len(near(draw_brain(IMAGE, nothing), ALARM, 20)) > 100


def test_a_refused_measurement_shows_the_frame_and_what_the_network_saw():
    nothing = with_maps(np.zeros(SHAPE, np.uint8), refused="no_brain: no pixel is brain")
    picture = draw_brain(IMAGE, nothing)
    assert (large(picture) == 60).all()
    assert len(picture) > TITLE + 540 + 100


def test_what_was_drawn_but_not_measured_keeps_its_colour(monkeypatch):
    labels = np.zeros(SHAPE, np.uint8)
    labels[100:110, 100:110] = 1
    texts = said(monkeypatch, IMAGE, measured(labels))
    assert texts["brain not measured"].swatch == STRUCTURE_COLORS["brain"]
    assert "CSP not seen" in texts
    assert [text[:9] for text, entry in texts.items() if entry.color == ALARM] == ["no_brain:"]


def test_what_measure_brain_returns_is_drawn():
    box = Letterbox(*SHAPE, 64, 96)
    planes = [box.apply_coverage(brain() == index) / 255 for index in range(4)]
    output = np.stack([*planes, planes[3] / 3], axis=-1).astype(np.float32)
    picture = draw_brain(IMAGE, measure_brain(output, FOUR, box, 0.15), measured(brain()))
    for color in (TRUTH, CALIPER, *STRUCTURE_COLORS.values()):
        assert len(near(large(picture), color, 30)) > 10


@pytest.mark.parametrize(
    "shape", [(24, 32), (32, 24), (392, 640), (661, 959), (959, 661), (800, 1200)]
)
@pytest.mark.parametrize("classes", [THREE, FOUR])
def test_any_frame_becomes_one_readable_picture(shape, classes):
    labels, truth = (brain(shape, move, classes[1:]) for move in (0, 0.02))
    measurement, expert = with_maps(labels, classes), measured(truth, classes)
    picture = draw_brain(np.full(shape, 60, np.uint8), measurement, expert)
    assert picture.dtype == np.uint8 and picture.shape[2] == 3
    assert 720 <= picture.shape[1] < 3.2 * max(720, shape[1])
    assert picture.shape[0] < 2.2 * picture.shape[1] * max(1, shape[0] / shape[1])
    for color in (TRUTH, CALIPER, *STRUCTURE_COLORS.values())[: 5 if classes == FOUR else 4]:
        assert len(near(picture, color, 30)) > 10 or (color == CALIPER and classes == THREE)


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_no_measurement_is_too_odd_to_be_drawn(data):
    height, width = data.draw(st.tuples(st.integers(8, 32), st.integers(8, 32)))
    classes = data.draw(st.sampled_from([THREE, FOUR]))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    noise, truth = rng.integers(0, len(classes), (2, height, width)).astype(np.uint8)
    maps = data.draw(st.booleans())
    mm_per_pixel = data.draw(st.sampled_from([None, 0.1]))
    measurement = (with_maps if maps else measured)(noise, classes, mm_per_pixel=mm_per_pixel)
    if data.draw(st.booleans()):
        measurement = replace(measurement, disagreement=None)
    expert = measured(truth, classes) if data.draw(st.booleans()) else None
    image = rng.integers(0, 256, (height, width), dtype=np.uint8)
    before = image.copy()
    picture = draw_brain(image, measurement, expert)
    np.testing.assert_array_equal(image, before)  # not painted over
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[1] >= 720


@pytest.mark.parametrize("shape", [(1, 1), (4, 900), (300, 20)])
def test_no_shape_makes_an_enormous_picture(shape):
    labels = np.full(shape, 3, np.uint8)
    picture = draw_brain(np.zeros(shape, np.uint8), with_maps(labels), measured(labels))
    assert picture.shape[0] * picture.shape[1] < 40_000_000


def test_what_does_not_belong_together_is_refused():
    with pytest.raises(ValueError, match=r"\(540, 800\).*measurement.*\(270, 400\)"):
        draw_brain(IMAGE, measured(brain((270, 400))))
    with pytest.raises(ValueError, match="truth"):
        draw_brain(IMAGE, measured(brain()), measured(brain((270, 400))))
    with pytest.raises(ValueError, match="classes"):
        draw_brain(IMAGE, measured(brain()), measured(brain(structures=("brain", "csp")), THREE))


@pytest.mark.parametrize("count", range(7))
@pytest.mark.parametrize("shape", [(400, 800), (800, 400), (800, 799)])
def test_panels_stand_apart_and_whole(count, shape):
    """Each picture appears once, in its own colour and aspect, and none covers another."""
    colors = [(250, 30 + 30 * i, 5) for i in range(count + 1)]
    flat = [np.full((*shape, 3), color, np.uint8) for color in colors]
    main, *small = [Panel(f"panel {i}", picture) for i, picture in enumerate(flat)]
    picture = arranged(main, small)
    height, width = shape
    seen = [near(picture, color, 1) for color in colors]
    assert len(seen[0]) == height * width
    sizes = {tuple(np.ptp(found, axis=0) + 1) for found in seen[1:]}
    assert len(sizes) == min(1, count)
    for found in seen:
        wide, high = np.ptp(found, axis=0) + 1
        assert len(found) == wide * high  # a whole rectangle
        assert wide / high == pytest.approx(width / height, rel=0.02)
    if height > width:
        assert len(picture) < 1.2 * height
    else:
        assert picture.shape[1] == width
        assert all(np.ptp(found, axis=0)[0] > 0.23 * width for found in seen[1:])


def test_a_title_too_long_for_its_picture_is_set_in_two_lines_or_smaller():
    frame = np.zeros((100, 200, 3), np.uint8)
    for title in ("mismatch with the expert's mask", "an-endless-word-without-any-blank-at-all"):
        size, lines = panels._title_setting([Panel(title, frame)], 130, 17)
        assert (size, lines) != (17, 1) and lines <= 2
        cell = panels._cell(Panel(title, frame), 130, size, lines)
        assert (cell[:, -2:] == BACKGROUND).all(-1)[: len(cell) - 65].all()
        assert (np.abs(cell[: len(cell) - 65].astype(int) - BACKGROUND) > 50).any()


@pytest.mark.parametrize("width", [200, 720, 3000])
def test_the_scale_runs_from_its_first_colour_to_its_last(width):
    strip = panels.scale_strip(width, COLORS, "small pictures:")
    assert strip.shape[1] == width and len(near(strip, COLORS[250], 25)) > 0
    bar = near(strip, COLORS[128], 30)[:, 0].mean()
    assert bar < near(strip, COLORS[250], 12)[:, 0].mean()
