"""Label maps and the features of masks, against brute force and geometry."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fetal_tf.edge.geometry.ellipse import Ellipse, rasterise
from fetal_tf.edge.geometry.letterbox import Letterbox
from fetal_tf.edge.measure.structures import features, label_map
from tests.edge.measure.painted_brain import SHAPE, TRUTH


def rectangle(shape, center, length, width, degrees):
    """Pixels whose centre lies in a rectangle turned from +x towards +y."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    x, y = x - center[0], y - center[1]
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return (abs(x * cos + y * sin) <= length / 2) & (abs(y * cos - x * sin) <= width / 2)


# Label maps


@settings(max_examples=40)
@given(
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.tuples(st.integers(4, 40), st.integers(4, 40)),
    st.integers(2, 5),
    st.integers(0, 2**32 - 1),
)
def test_the_label_map_is_the_argmax_of_the_restored_probabilities(source, target, k, seed):
    box = Letterbox(*source, *target)
    p = np.random.default_rng(seed).random((*target, k)).astype(np.float32)
    found = label_map(p, box)
    assert found.dtype == np.uint8 and found.shape == source
    np.testing.assert_array_equal(found, box.restore(p).argmax(axis=-1))
    dirty = np.zeros_like(p)
    dirty[..., -1] = 9  # on the padding
    dirty[box.content] = p[box.content]
    np.testing.assert_array_equal(label_map(dirty, box), found)


def test_a_frame_comes_back_from_the_network_size():
    box = Letterbox(*SHAPE, 96, 96)
    p = np.stack([box.apply_coverage(i == TRUTH) for i in range(4)], axis=-1) / np.float32(255)
    found = label_map(p, box)
    for index in (1, 2, 3):
        both = np.count_nonzero((found == index) & (index == TRUTH))
        assert 2 * both / (np.sum(found == index) + np.sum(index == TRUTH)) > 0.96


def test_the_lower_class_wins_a_tie():
    assert not label_map(np.full((4, 4, 3), 0.25, np.float32), Letterbox(9, 9, 4, 4)).any()


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 1), (5, 4, 3)])
def test_maps_that_are_none(shape):
    with pytest.raises(ValueError, match=r"expected|letterbox"):
        label_map(np.zeros(shape, np.float32), Letterbox(9, 9, 4, 4))


# Features


def brute_force(mask):
    """Moments from squares cut into 20 by 20, hull by half-planes, circle by all distances."""
    rows, columns = np.nonzero(mask)
    steps = (np.arange(20) - 9.5) / 20
    x = (columns[:, None, None] + steps[None, :, None] + 0 * steps).ravel()
    y = (rows[:, None, None] + 0 * steps[:, None] + steps[None, None, :]).ravel()
    values, vectors = np.linalg.eigh(np.cov([x, y], bias=True))
    return values, vectors[:, 1]


def hull_pixels(mask):
    """Pixels that no line through two of the mask's pixels separates from the mask."""
    rows, columns = np.nonzero(mask)
    points = np.column_stack([columns, rows])
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]]
    inside = np.ones(mask.shape, bool)
    inside &= (x >= columns.min()) & (x <= columns.max()) & (y >= rows.min()) & (y <= rows.max())
    for ax, ay in points:
        for bx, by in points:
            if (ax, ay) == (bx, by):
                continue
            side = (bx - ax) * (points[:, 1] - ay) - (by - ay) * (points[:, 0] - ax)
            if (side >= 0).all():
                inside &= (bx - ax) * (y - ay) - (by - ay) * (x - ax) >= 0
    return int(inside.sum())


def largest_circle(mask):
    """From every half pixel to every one outside, one by one; unit: half pixels of radius."""
    padded = np.pad(mask, 1)
    obstacles = []
    for r in range(2 * padded.shape[0] - 1):
        for c in range(2 * padded.shape[1] - 1):
            near = padded[r // 2 : (r + 1) // 2 + 1, c // 2 : (c + 1) // 2 + 1]
            if near.sum() < {1: 1, 2: 2, 4: 3}[near.size]:
                obstacles.append((r, c))
    rows, columns = np.mgrid[: 2 * padded.shape[0] - 1, : 2 * padded.shape[1] - 1]
    centres = np.column_stack([rows.ravel(), columns.ravel()])
    gaps = np.linalg.norm(centres[:, None] - np.array(obstacles)[None], axis=-1).min(axis=1)
    return gaps.max()  # half pixels of radius, so pixels of diameter


@settings(max_examples=80)
@given(hnp.arrays(bool, st.tuples(st.integers(1, 7), st.integers(1, 7))))
def test_features_of_any_mask_by_brute_force(mask):
    found = features(mask, 0.5)
    if not mask.any():
        assert found is None
        return
    rows, columns = np.nonzero(mask)
    assert found.area_px == mask.sum() and found.area_mm2 == mask.sum() * 0.25
    assert found.centroid_x_px == pytest.approx(columns.mean())
    assert found.centroid_y_px == pytest.approx(rows.mean())
    box = (found.bbox_x_px, found.bbox_y_px, found.bbox_width_px, found.bbox_height_px)
    assert box == (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)
    (short, long), axis = brute_force(mask)
    assert 1 - found.eccentricity**2 == pytest.approx(short / long, abs=0.01)
    if long > 1.2 * short:
        direction = math.radians(found.orientation_deg)
        assert abs(math.cos(direction) * axis[0] + math.sin(direction) * axis[1]) > 0.999
    assert -90 < found.orientation_deg <= 90
    assert found.solidity == pytest.approx(mask.sum() / hull_pixels(mask))
    assert found.width_px == pytest.approx(largest_circle(mask), rel=1e-9)
    assert found.width_mm == pytest.approx(found.width_px / 2)


@settings(max_examples=60)
@given(
    st.floats(12, 60),
    st.floats(0.25, 1),
    st.floats(0, 179.9),
    st.tuples(st.floats(-3, 3), st.floats(-3, 3)),
)
def test_ellipses(semi_major, ratio, degrees, shift):
    semi_minor = max(6.0, ratio * semi_major)
    truth = Ellipse(70 + shift[0], 80 + shift[1], semi_major, semi_minor, degrees)
    found = features(rasterise(truth, (160, 150)), 0.1)
    assert found.area_px == pytest.approx(truth.area, abs=0.3 * truth.perimeter)
    assert found.centroid_x_px == pytest.approx(truth.center_x, abs=0.3)
    assert found.centroid_y_px == pytest.approx(truth.center_y, abs=0.3)
    assert math.sqrt(1 - found.eccentricity**2) == pytest.approx(
        semi_minor / semi_major, abs=0.8 / semi_minor
    )
    assert found.solidity == 1.0
    assert -1.7 < found.width_px - 2 * semi_minor <= 1.0
    assert found.fragments == 1
    if semi_minor < 0.8 * semi_major:
        off = (found.orientation_deg - degrees + 90) % 180 - 90
        assert abs(off) < 3


@settings(max_examples=60)
@given(
    st.floats(4, 40),
    st.floats(1.5, 3),
    st.floats(0, 179.9),
    st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_rectangles(width, elongation, degrees, shift):
    length = elongation * width
    mask = rectangle((140, 140), (70 + shift[0], 70 + shift[1]), length, width, degrees)
    found = features(mask, None)
    assert -1.05 < found.width_px - width <= 1.0
    assert found.solidity == 1.0
    if width > 10:
        # Either side may be as far off as the width above.
        flatness = math.sqrt(1 - found.eccentricity**2)
        assert (width - 1.05) / (length + 1) < flatness <= (width + 1) / (length - 1.05)
        off = (found.orientation_deg - degrees + 90) % 180 - 90
        # Two pixels at either end: a small upright one stays upright when it is turned a little.
        assert abs(off) < math.degrees(4 / length)


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 3), st.integers(0, 3))
def test_upright_bars_are_as_wide_as_they_have_pixels(height, width, top, left):
    mask = np.zeros((35, 35), bool)
    mask[top : top + height, left : left + width] = True
    found = features(mask, 0.2)
    assert found.width_px == pytest.approx(min(height, width))
    assert found.width_mm == pytest.approx(0.2 * min(height, width))
    short, long = sorted((height, width))
    assert found.eccentricity == pytest.approx(math.sqrt(1 - (short / long) ** 2), abs=1e-6)
    assert found.orientation_deg == (90 if height > width else 0)
    assert found.solidity == 1


@settings(max_examples=40)
@given(hnp.arrays(bool, st.tuples(st.integers(2, 12), st.integers(2, 12))), st.integers(2, 4))
def test_moving_mirroring_turning_and_enlarging(mask, zoom):
    found = features(mask, None)
    assume(found is not None)
    moved = features(np.pad(mask, ((3, 4), (7, 0))), None)
    assert moved == dataclasses.replace(
        found,
        centroid_x_px=moved.centroid_x_px,
        centroid_y_px=moved.centroid_y_px,
        bbox_x_px=found.bbox_x_px + 7,
        bbox_y_px=found.bbox_y_px + 3,
    )
    assert moved.centroid_x_px == pytest.approx(found.centroid_x_px + 7)
    assert moved.centroid_y_px == pytest.approx(found.centroid_y_px + 3)
    turned = features(np.rot90(mask), None)  # +x goes to -y
    mirrored = features(mask[:, ::-1], None)
    large = features(np.kron(mask, np.ones((zoom, zoom), bool)), None)
    for other in (turned, mirrored):
        for name in ("area_px", "solidity", "width_px", "fragments"):
            assert getattr(other, name) == pytest.approx(getattr(found, name))
    for other in (turned, mirrored, large):
        assert other.eccentricity == pytest.approx(found.eccentricity, abs=1e-5)
    assert large.area_px == zoom**2 * found.area_px
    assert large.fragments == found.fragments
    if found.eccentricity > 0.3:
        for other, expected in (
            (turned, found.orientation_deg - 90),
            (mirrored, -found.orientation_deg),
            (large, found.orientation_deg),
        ):
            off = (other.orientation_deg - expected + 90) % 180 - 90
            assert abs(off) < 1e-3


def test_a_bite_lowers_the_solidity():
    mask = rasterise(Ellipse(60, 60, 40, 40, 0), (120, 120))
    hull = mask.sum()
    mask[50:70, 60:] = False
    # The mouth is 20 px wide: the hull loses the disc's own segment there.
    segment = sum(math.sqrt(1600 - y * y) - math.sqrt(1600 - 100) for y in range(-10, 10))
    assert features(mask, None).solidity == pytest.approx(mask.sum() / (hull - segment), abs=0.01)


def test_the_width_is_that_of_the_widest_fragment():
    mask = np.zeros((60, 80), bool)
    mask[5:9, 5:70] = True
    mask[20:31, 5:60] = True
    found = features(mask, 0.1)
    assert (found.width_px, found.fragments) == (11, 2)
    mask[25, 32] = False  # a hole counts
    assert features(mask, 0.1).width_px == pytest.approx(11)
    mask[25, 5:60:6] = False
    assert features(mask, 0.1).width_px < 8


def test_the_frame_ends_the_circle():
    assert features(np.ones((10, 40), bool), None).width_px == 10


def test_millimetres_only_with_a_pixel_size():
    found = features(TRUTH == 3, None)
    assert found.area_mm2 is None and found.width_mm is None and found.area_px > 0
