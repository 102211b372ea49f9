"""Where a centre's experts put their calipers: there and back, recognised or not, senseless."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetal_tf.edge.axis import AXIS, axis_maps
from fetal_tf.edge.convention import Convention, conventions_of, recognised
from fetal_tf.edge.ellipse import Ellipse, rasterise
from fetal_tf.edge.measurements import MEASURERS
from fetal_tf.edge.preprocess import Letterbox

INSIDE = Convention("second", ofd=1.03, bpd=1.016)
SETTINGS = {"conventions": {"second": {"ofd": 1.03, "bpd": 1.016}}}
CLASSES = ("head", *AXIS, "second")
SHAPE = (192, 288)
HEAD = Ellipse(150.0, 96.0, 90.0, 70.0, 25.0)
factors = st.floats(0.85, 1.2)


@given(factors, factors, st.floats(1.5, 2.5), st.floats(0, 179))
def test_what_is_drawn_for_an_outline_has_that_outline(ofd, bpd, elongation, angle):
    convention = Convention("c", ofd, bpd)
    outline = Ellipse(3.0, 4.0, 50.0 * elongation, 50.0, angle)
    drawn = convention.as_drawn(outline)
    assert drawn.semi_major == pytest.approx(outline.semi_major / ofd)
    assert drawn.semi_minor == pytest.approx(outline.semi_minor / bpd)
    again = convention.outline(drawn)
    assert again.semi_major == pytest.approx(outline.semi_major)
    assert again.semi_minor == pytest.approx(outline.semi_minor)
    assert (again.center_x, again.center_y, again.angle_deg) == (3.0, 4.0, outline.angle_deg)


def test_a_round_head_stays_an_ellipse_and_keeps_its_area():
    drawn = INSIDE.as_drawn(Ellipse(0.0, 0.0, 50.2, 50.0, 10.0))
    assert drawn.semi_major == drawn.semi_minor
    assert drawn.area == pytest.approx(math.pi * 50.2 * 50.0 / (1.03 * 1.016))


@pytest.mark.parametrize(
    ("level", "found", "doubtful"),
    [(0.0, False, False), (0.3, False, True), (0.6, True, True), (0.95, True, False)],
)
def test_a_frame_is_recognised_by_what_its_map_shows(level, found, doubtful):
    convention, flags = recognised(np.full((8, 9, 1), level, np.float32), [INSIDE])
    assert (convention is INSIDE) == found
    assert [flag.split(":")[0] for flag in flags] == ["unclear_centre"] * doubtful


def test_lettering_in_a_corner_is_evidence_enough_and_a_speck_is_not():
    maps = np.full((100, 100, 1), 0.05, np.float32)
    maps[:20, 80:] = 1  # 4 % of the frame
    assert recognised(maps, [INSIDE])[0] is INSIDE
    maps[:, :] = 0.05
    maps[:3, 97:] = 1
    assert recognised(maps, [INSIDE])[0] is None


def test_of_several_centres_the_one_that_is_seen_most_counts():
    other = Convention("third", 1.0, 1.1)
    maps = np.stack([np.full((4, 4), v, np.float32) for v in (0.02, 0.98)], axis=-1)
    assert recognised(maps, [INSIDE, other]) == (other, ())
    assert recognised(maps[..., :0], []) == (None, ())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "the classes ask for second, found none"),
        ({"conventions": {"third": {"ofd": 1.0, "bpd": 1.0}}}, "found third"),
        ({"conventions": 3}, "found 3"),
        ({"conventions": {"second": {"ofd": 1.0}}}, "ofd and bpd are expected"),
        ({"conventions": {"second": {"ofd": "1", "bpd": 1.0}}}, "second.ofd: a number"),
        ({"conventions": {"second": {"ofd": True, "bpd": 1.0}}}, "second.ofd: a number"),
        ({"conventions": {"second": {"ofd": 1.0, "bpd": 2.0}}}, "second.bpd: outline over expert"),
        ({"conventions": {"second": {"ofd": math.nan, "bpd": 1.0}}}, "second.ofd: outline"),
    ],
)
def test_what_is_not_stated_or_senseless_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        conventions_of(settings, ["second"])
    with pytest.raises(ValueError, match=message):
        MEASURERS["head"](CLASSES, settings)


def output(seen: float) -> np.ndarray:
    frame = np.array([*axis_maps(HEAD.angle_deg), seen], np.float32)
    mask = rasterise(HEAD, SHAPE).astype(np.float32)[..., None]
    return np.concatenate([mask, np.broadcast_to(frame, (*SHAPE, 3))], axis=-1)


def test_a_measured_head_is_given_as_the_experts_of_its_centre_would():
    measurer = MEASURERS["head"](CLASSES, SETTINGS)
    letterbox = Letterbox(*SHAPE, *SHAPE)
    outline, inside, unclear = (measurer.measure(output(p), letterbox, 0.5) for p in (0, 1, 0.7))
    assert outline.ofd_mm == pytest.approx(90.0, abs=0.3)
    assert inside.ofd_mm == pytest.approx(outline.ofd_mm / 1.03)
    assert inside.bpd_mm == pytest.approx(outline.bpd_mm / 1.016)
    assert not any("experts of second" in note for note in outline.notes)
    assert any("experts of second" in note and "2.9 %" in note for note in inside.notes)
    assert not inside.flags and not outline.flags
    assert unclear.ofd_mm == inside.ofd_mm
    assert [flag.split(":")[0] for flag in unclear.flags] == ["unclear_centre"]
    # An expert's mask alone is measured as it was drawn.
    alone = measurer.measure(output(1)[..., :1], letterbox, 0.5)
    assert alone.ofd_mm == pytest.approx(outline.ofd_mm)


def test_padding_says_nothing_about_the_centre():
    letterbox = Letterbox(96, 288, *SHAPE)  # rows above and below are padding
    maps = output(1)
    outside = np.ones(SHAPE, bool)
    outside[letterbox.content] = False
    maps[outside, 3] = 0
    measurer = MEASURERS["head"](CLASSES, SETTINGS)
    assert not any("unclear_centre" in f for f in measurer.measure(maps, letterbox, 0.5).flags)
