"""Direction of a head's long axis: maps, their mean, the turned ellipse and the mirror image."""

import math
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fetal_tf.edge.bundle.measurers import MEASURERS
from fetal_tf.edge.geometry.axis import AXIS, axis_maps, read_axis, turned
from fetal_tf.edge.geometry.ellipse import Ellipse, rasterise
from fetal_tf.edge.geometry.letterbox import Letterbox
from fetal_tf.edge.inference.runtimes import FlipAverage
from fetal_tf.edge.inference.views import unmirrored
from fetal_tf.edge.measure.head import measure_head

CLASSES = ("head", *AXIS)
BOX = Letterbox(270, 405, 96, 144)
PADDED = Letterbox(300, 300, 96, 144)
HEAD = Ellipse(200.0, 131.0, 115.0, 90.0, 12.0)
ROUND = Ellipse(200.0, 131.0, 100.0, 97.0, 12.0)  # its outline hardly shows where it points

angles = st.floats(0, 179.99)
ellipses = st.builds(
    lambda x, y, a, ratio, angle: Ellipse(x, y, a, a * ratio, angle),
    st.floats(-50, 300),
    st.floats(-50, 300),
    st.floats(5, 200),
    st.floats(0.4, 0.99),
    angles,
)
lengths = st.floats(0.01, 1)


def vector(direction, length=1.0):
    """What the maps of a direction say: (cos 2a, sin 2a), shorter where the net is less sure."""
    return length * np.array([np.cos(np.radians(2 * direction)), np.sin(np.radians(2 * direction))])


def flat(direction, shape):
    return np.broadcast_to(np.array(axis_maps(direction), np.float32), (*shape, 2))


def apart(first, second):
    """Angle between two directions, 0..90 degrees."""
    return abs((first - second + 90) % 180 - 90)


def output(ellipse, direction, box=BOX):
    """A perfect net's answer for a head in the original image whose midline lies at `direction`."""
    mask = rasterise(ellipse, (box.source_height, box.source_width))
    coverage = box.apply_coverage(mask)[..., None].astype(np.float32) / 255
    return np.concatenate([coverage, flat(direction, coverage.shape[:2])], axis=-1)


# --- maps ---


@pytest.mark.parametrize(
    ("direction", "expected"),
    [(0, (1, 0.5)), (45, (0.5, 1)), (90, (0, 0.5)), (135, (0.5, 0)), (180, (1, 0.5))],
)
def test_maps_by_hand(direction, expected):
    assert axis_maps(direction) == pytest.approx(expected, abs=1e-12)


@given(st.floats(-360, 360), st.integers(0, 10_000))
def test_a_direction_comes_back_from_its_maps_whatever_they_weigh(direction, seed):
    weights = np.random.default_rng(seed).uniform(0, 1, (4, 5)).astype(np.float32)
    seen = read_axis(flat(direction, (4, 5)), weights)
    assert seen.dtype == np.float64
    np.testing.assert_allclose(seen, vector(direction), atol=1e-6)
    np.testing.assert_allclose(axis_maps(direction), axis_maps(direction + 180), atol=1e-9)


def test_the_mean_is_over_the_heads_probability():
    random = np.random.default_rng(0)
    maps = random.uniform(0, 1, (6, 7, 2)).astype(np.float32)
    weights = random.uniform(0, 1, (6, 7)).astype(np.float32)
    expected = [2 * np.average(maps[..., k], weights=weights) - 1 for k in range(2)]
    np.testing.assert_allclose(read_axis(maps, weights), expected, atol=1e-6)
    weights[:3] = 0
    expected = [2 * np.average(maps[3:, :, k], weights=weights[3:]) - 1 for k in range(2)]
    np.testing.assert_allclose(read_axis(maps, weights), expected, atol=1e-6)


def test_what_contradicts_itself_is_not_sure():
    maps = np.concatenate([flat(20, (2, 5)), flat(110, (2, 5))])
    np.testing.assert_allclose(read_axis(maps, np.ones((4, 5))), [0, 0], atol=1e-6)
    thrice = np.repeat([3.0, 1.0], 2)[:, None] * np.ones((4, 5))
    np.testing.assert_allclose(read_axis(maps, thrice), vector(20, 0.5), atol=1e-6)


def test_without_a_head_no_axis_is_seen():
    np.testing.assert_array_equal(read_axis(flat(20, (4, 5)), np.zeros((4, 5))), [0, 0])


# --- turning an ellipse ---


def second_moments(ellipse):
    """[2, 2] with a² and b² as eigenvalues."""
    angle = np.radians(ellipse.angle_deg)
    axes = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return axes @ np.diag([ellipse.semi_major**2, ellipse.semi_minor**2]) @ axes.T


def numpy_turned(ellipse, seen, outline_weight):
    """(direction, half axis along it, half axis across) by complex numbers and second moments."""
    a, b = ellipse.semi_major**2, ellipse.semi_minor**2
    outline = (a - b) / (a + b) * np.exp(2j * np.radians(ellipse.angle_deg))
    half = np.angle(outline_weight * outline + complex(*seen)) / 2
    along, across = np.array([np.cos(half), np.sin(half)]), np.array([-np.sin(half), np.cos(half)])
    moments = second_moments(ellipse)
    return np.degrees(half), *(np.sqrt(u @ moments @ u) for u in (along, across))


@given(ellipses, angles, lengths, st.floats(0, 3))
def test_direction_and_lengths_are_those_of_numpy(ellipse, direction, length, outline_weight):
    seen = vector(direction, length)
    angle, along, across = numpy_turned(ellipse, seen, outline_weight)
    assume(abs(along / across - 1) > 1e-6)
    found = turned(ellipse, seen, outline_weight)
    if along < across:  # the maps contradict a plainly long outline
        assert found is ellipse
        return
    assert apart(found.angle_deg, angle) < 1e-6
    assert (found.semi_major, found.semi_minor) == pytest.approx((along, across), rel=1e-9)
    assert (found.center_x, found.center_y) == (ellipse.center_x, ellipse.center_y)


@given(ellipses, angles, lengths)
def test_the_sum_of_the_squared_axes_stays(ellipse, direction, length):
    found = turned(ellipse, vector(direction, length))
    expected = ellipse.semi_major**2 + ellipse.semi_minor**2
    assert found.semi_major**2 + found.semi_minor**2 == pytest.approx(expected, rel=1e-12)
    assert found.semi_major <= ellipse.semi_major * (1 + 1e-12)


@given(ellipses, lengths)
def test_maps_that_agree_with_the_outline_change_nothing(ellipse, length):
    found = turned(ellipse, vector(ellipse.angle_deg, length))
    assert astuple(found)[:4] == pytest.approx(astuple(ellipse)[:4], rel=1e-9)
    assert apart(found.angle_deg, ellipse.angle_deg) < 1e-6


@given(ellipses, angles, lengths)
def test_a_heavy_outline_keeps_its_ellipse(ellipse, direction, length):
    found = turned(ellipse, vector(direction, length), outline_weight=1e12)
    assert astuple(found)[:4] == pytest.approx(astuple(ellipse)[:4], rel=1e-6)
    assert apart(found.angle_deg, ellipse.angle_deg) < 1e-6
    assert turned(ellipse, vector(direction, length), outline_weight=math.inf) == ellipse


@given(ellipses, st.floats(-44, 44), lengths)
def test_without_the_outlines_say_the_axis_is_the_one_seen(ellipse, turn, length):
    found = turned(ellipse, vector(ellipse.angle_deg + turn, length), outline_weight=0.0)
    assert apart(found.angle_deg, ellipse.angle_deg + turn) < 1e-6


@given(ellipses, st.floats(1, 44), lengths)
def test_the_axis_lies_between_outline_and_maps(ellipse, turn, length):
    direction = ellipse.angle_deg + turn
    found = turned(ellipse, vector(direction, length))
    assert apart(found.angle_deg, ellipse.angle_deg) < turn
    assert apart(found.angle_deg, direction) < turn
    surer = turned(ellipse, vector(direction, 2 * length))
    assert apart(surer.angle_deg, direction) < apart(found.angle_deg, direction)


@given(ellipses, angles, lengths, st.floats(-180, 180))
def test_the_result_turns_with_ellipse_and_maps(ellipse, direction, length, turn):
    _, along, across = numpy_turned(ellipse, vector(direction, length), 1.0)
    assume(abs(along / across - 1) > 1e-6)
    x, y, a, b, angle = astuple(ellipse)
    found = turned(ellipse, vector(direction, length))
    together = turned(Ellipse(x, y, a, b, angle + turn), vector(direction + turn, length))
    assert astuple(together)[:4] == pytest.approx(astuple(found)[:4], rel=1e-6)
    assert apart(together.angle_deg, found.angle_deg + turn) < 1e-4


@given(ellipses, st.floats(-20, 20))
def test_a_contradiction_leaves_the_ellipse(ellipse, turn):
    """A net that is sure of the short axis, of an outline that shows a long one."""
    assert turned(ellipse, vector(ellipse.angle_deg + 90 + turn), 1.0) is ellipse


def test_where_nothing_is_seen_the_ellipse_stays():
    circle = Ellipse(3, 4, 5, 5, 30)
    for seen in ([0, 0], [math.nan, 0.5]):
        for ellipse in (HEAD, circle):
            assert turned(ellipse, np.array(seen)) == ellipse


def test_a_circle_takes_the_axis_that_is_seen():
    found = turned(Ellipse(3, 4, 5, 5, 30), vector(70, 0.1))
    assert astuple(found) == pytest.approx((3, 4, 5, 5, 70))


# --- measuring ---


def test_the_maps_turn_a_heads_axes_and_hardly_its_circumference():
    answer = output(ROUND, 42)
    plain = measure_head(answer[..., 0], BOX, 0.2)
    head = measure_head(answer[..., 0], BOX, 0.2, axis=answer[..., 1:])
    assert plain.ellipse.angle_deg == pytest.approx(12, abs=2)
    expected = turned(plain.ellipse, vector(42))
    assert 12 < expected.angle_deg < 42  # the outline has a say
    assert apart(head.ellipse.angle_deg, expected.angle_deg) < 1e-3
    assert head.ofd_mm == pytest.approx(0.4 * expected.semi_major, abs=1e-4)
    assert head.bpd_mm == pytest.approx(0.4 * expected.semi_minor, abs=1e-4)
    assert head.bpd_mm > plain.bpd_mm + 0.1 and head.ofd_mm < plain.ofd_mm - 0.1
    assert head.hc_mm == pytest.approx(plain.hc_mm, rel=2e-4)
    assert (head.fit_iou, head.fit_residual_percent) == (plain.fit_iou, plain.fit_residual_percent)


def test_a_frame_that_is_fitted_by_a_rounding_keeps_a_round_heads_axis():
    """Scales along x and y that differ by 0.35 % turn an ellipse of 100 to 99.5 by many degrees."""
    box = Letterbox(270, 398, 96, 144)
    assert abs(box.scale_x / box.scale_y - 1) > 2e-3
    nearly = Ellipse(200.0, 131.0, 100.0, 99.5, 12.0)
    answer = output(nearly, 50, box)
    head = measure_head(answer[..., 0], box, 0.2, axis=answer[..., 1:])
    assert apart(head.ellipse.angle_deg, turned(nearly, vector(50)).angle_deg) < 1


def test_maps_of_the_outlines_own_axis_change_no_measurement():
    answer = output(HEAD, HEAD.angle_deg)
    plain = measure_head(answer[..., 0], BOX, 0.2)
    head = measure_head(answer[..., 0], BOX, 0.2, axis=answer[..., 1:])
    assert head.hc_mm == pytest.approx(plain.hc_mm, abs=1e-3)
    assert head.bpd_mm == pytest.approx(plain.bpd_mm, abs=1e-3)
    assert head.ellipse.angle_deg == pytest.approx(12, abs=0.3)


def test_what_the_maps_say_on_the_padding_does_not_count():
    truth = Ellipse(148.0, 151.0, 100.0, 97.0, 12.0)
    answer = output(truth, 42, PADDED)
    dirty = answer.copy()
    dirty[:, : PADDED.pad_left] = 1
    clean, same = (measure_head(a[..., 0], PADDED, 0.2, axis=a[..., 1:]) for a in (answer, dirty))
    assert astuple(same.ellipse) == pytest.approx(astuple(clean.ellipse), rel=1e-9)
    assert apart(clean.ellipse.angle_deg, turned(truth, vector(42)).angle_deg) < 1
    assert PADDED.pad_left > 0


def test_a_refusal_stays_one():
    nothing = measure_head(np.zeros((96, 144)), BOX, 0.2, axis=flat(42, (96, 144)))
    assert nothing.refused.startswith("no_head:") and nothing.ellipse is None


def test_the_measurer_looks_for_the_axis_behind_the_head():
    answer = output(ROUND, 42)
    measurer = MEASURERS["head"](CLASSES, {})
    expected = measure_head(answer[..., 0], BOX, 0.2, ga_weeks=22, axis=answer[..., 1:])
    assert measurer.measure(answer, BOX, 0.2, 22) == expected


def test_the_measurer_takes_a_mask_without_an_axis():
    answer = output(ROUND, 42)
    plain = measure_head(answer[..., 0], BOX, 0.2)
    assert MEASURERS["head"](CLASSES, {}).measure(answer[..., :1], BOX, 0.2) == plain
    assert MEASURERS["head"](CLASSES, {}).measure(answer, BOX, 0.2) != plain


@pytest.mark.parametrize("classes", [("head", "axis_sin", "axis_cos"), ("head", *"ab")])
def test_channels_with_other_names_are_no_axis(classes):
    with pytest.raises(ValueError, match="a head is measured in the map head"):
        MEASURERS["head"](classes, {})


# --- the mirror ---


def mirrored(ellipse):
    x, y, a, b, angle = astuple(ellipse)
    return Ellipse(BOX.source_width - 1 - x, y, a, b, 180 - angle)


@given(angles)
def test_maps_of_the_mirror_image_are_told_in_the_frames_own_terms(direction):
    there = np.concatenate([np.ones((3, 4, 1), np.float32), flat(180 - direction, (3, 4))], -1)
    before = there.copy()
    back = unmirrored(there[None], there[None], CLASSES)[0]
    assert back.dtype == np.float32
    np.testing.assert_allclose(back[..., 1:], flat(direction, (3, 4)), atol=1e-6)
    np.testing.assert_array_equal(there, before)


def test_the_mirror_turns_places_and_only_the_sine():
    maps = np.random.default_rng(0).random((2, 3, 5, 4))  # one more channel than classes
    back = unmirrored(maps, maps, CLASSES)
    np.testing.assert_array_equal(back[..., [0, 1, 3]], maps[:, :, ::-1, [0, 1, 3]])
    np.testing.assert_array_equal(back[..., 2], 1 - maps[:, :, ::-1, 2])
    np.testing.assert_allclose(unmirrored(back, maps, CLASSES), maps, atol=1e-15)


def test_beside_an_axis_the_ends_of_the_ofd_change_places_too():
    maps = np.random.default_rng(0).random((1, 3, 5, 3))
    own = maps[:, :, ::-1, ::-1]
    back = unmirrored(maps, own, ("ofd_1", "axis_sin", "ofd_2"))
    np.testing.assert_array_equal(back[..., [2, 0]], maps[:, :, ::-1, [0, 2]])
    np.testing.assert_array_equal(back[..., 1], 1 - maps[:, :, ::-1, 1])


@pytest.mark.parametrize("direction", [42, 90, 133])
def test_a_head_in_the_mirror_has_the_same_axis(direction):
    measurer = MEASURERS["head"](CLASSES, {})
    there = output(mirrored(ROUND), 180 - direction)
    expected = measurer.measure(output(ROUND, direction), BOX, 0.2)
    found = measurer.measure(unmirrored(there[None], there[None], CLASSES)[0], BOX, 0.2)
    assert astuple(found.ellipse) == pytest.approx(astuple(expected.ellipse), abs=0.01)
    assert found.bpd_mm == pytest.approx(expected.bpd_mm, abs=1e-3)
    if direction != 90:  # which is its own mirror image
        other = unmirrored(there[None], there[None], ("head",))[0]
        careless = measurer.measure(other, BOX, 0.2)
        assert apart(careless.ellipse.angle_deg, expected.ellipse.angle_deg) > 10


def test_the_mean_of_both_views_keeps_the_axis():
    class Perfect:
        input_shape = (96, 144, 1)

        def predict(self, images):
            is_mirrored = images[0, 0, 0, 0] == 0
            return (output(mirrored(ROUND), 138) if is_mirrored else output(ROUND, 42))[None]

    frame = np.zeros((1, 96, 144, 1), np.uint8)
    frame[0, 0, 0] = 255
    both = FlipAverage(Perfect(), CLASSES).predict(frame)
    np.testing.assert_allclose(both[0], output(ROUND, 42), atol=0.02)
    assert np.abs(FlipAverage(Perfect()).predict(frame)[0] - output(ROUND, 42)).max() > 0.4
