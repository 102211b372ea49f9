"""Order, ellipse, shares and peaks of landmarks, against geometry done by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetal_tf.edge.geometry.ellipse import Ellipse
from fetal_tf.edge.geometry.landmarks import (
    AXES,
    LANDMARKS,
    canonical,
    decode_heatmaps,
    ellipse_landmarks,
    from_shares,
    landmark_ellipse,
    swapped_ends,
    to_shares,
)

WHOLE = (slice(0, 40), slice(0, 60))
ellipses = st.builds(
    lambda x, y, a, ratio, angle: Ellipse(x, y, a, a * ratio, angle),
    st.floats(-50, 300),
    st.floats(-50, 300),
    st.floats(5, 200),
    st.floats(0.4, 0.99),
    st.floats(0, 179.99),
)


def gaussian(x, y, sigma=2.0, shape=(40, 60), height=1.0):
    rows, columns = np.indices(shape)
    return height * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))


def test_names_and_axes():
    assert LANDMARKS == ("ofd_1", "ofd_2", "bpd_1", "bpd_2")
    assert {name: LANDMARKS[ends] for name, ends in AXES.items()} == {
        "ofd": ("ofd_1", "ofd_2"),
        "bpd": ("bpd_1", "bpd_2"),
    }


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        # Level: the left end first, the upper end first.
        ([[9, 5], [1, 5], [5, 8], [5, 2]], [[1, 5], [9, 5], [5, 2], [5, 8]]),
        # Rising to the right: what lies above the line may lie to the left.
        ([[9, 1], [1, 9], [8, 8], [2, 2]], [[1, 9], [9, 1], [2, 2], [8, 8]]),
        # Falling to the right: above the line lies to the right.
        ([[1, 1], [9, 9], [2, 8], [8, 2]], [[1, 1], [9, 9], [8, 2], [2, 8]]),
        # Upright: the upper end first; of a line drawn downwards the right side counts as above.
        ([[5, 9], [5, 1], [2, 5], [8, 5]], [[5, 1], [5, 9], [8, 5], [2, 5]]),
    ],
)
def test_canonical_order_by_hand(points, expected):
    ordered = canonical(np.array(points))
    assert ordered.dtype == np.float64
    np.testing.assert_array_equal(ordered, expected)


@given(ellipses, st.booleans(), st.booleans())
def test_canonical_order_forgets_how_the_ends_were_named(ellipse, swap_ofd, swap_bpd):
    points = ellipse_landmarks(ellipse)
    renamed = points.copy()
    if swap_ofd:
        renamed[:2] = renamed[[1, 0]]
    if swap_bpd:
        renamed[2:] = renamed[[3, 2]]
    np.testing.assert_array_equal(canonical(renamed), points)
    ofd, bpd = points[1] - points[0], points[3] - points[2]
    assert ofd[0] >= 0 and ofd[0] * bpd[1] - ofd[1] * bpd[0] > 0
    np.testing.assert_array_equal(swapped_ends(swapped_ends(points)), points)
    np.testing.assert_array_equal(canonical(swapped_ends(points)), points)


def test_unknown_points_leave_their_pair_as_it_is():
    nan = [np.nan, np.nan]
    half = np.array([[9, 5], nan, [5, 8], [5, 2]])
    np.testing.assert_array_equal(canonical(half), half)
    np.testing.assert_array_equal(
        canonical(np.array([[9, 5], [1, 5], [5, 8], nan])), [[1, 5], [9, 5], [5, 8], nan]
    )
    assert half[0, 0] == 9  # the input is not written to


def test_ends_of_an_ellipse_by_hand():
    ends = ellipse_landmarks(Ellipse(10, 20, 5, 3, 0))
    np.testing.assert_allclose(ends, [[5, 20], [15, 20], [10, 17], [10, 23]], atol=1e-12)


@given(ellipses, st.integers(0, 3))
def test_an_ellipse_comes_back_from_its_ends(ellipse, order):
    points = ellipse_landmarks(ellipse)
    if order & 1:
        points[:2] = points[[1, 0]]
    if order & 2:
        points[2:] = points[[3, 2]]
    back = landmark_ellipse(points)
    scale = ellipse.semi_major
    assert back.center_x == pytest.approx(ellipse.center_x, abs=1e-9 * scale + 1e-9)
    assert back.center_y == pytest.approx(ellipse.center_y, abs=1e-9 * scale + 1e-9)
    assert back.semi_major == pytest.approx(ellipse.semi_major, rel=1e-9)
    assert back.semi_minor == pytest.approx(ellipse.semi_minor, rel=1e-9)
    turned = (back.angle_deg - ellipse.angle_deg + 90) % 180 - 90
    assert abs(turned) < 1e-5


@given(ellipses, st.floats(-1.2, 1.2), st.floats(0.7, 1.4))
def test_conjugate_diameters_span_an_ellipse_through_their_ends(ellipse, shear, stretch):
    """The sheared image of an ellipse is one, and its axes' images are conjugate diameters."""
    affine = np.array([[1.0, shear], [0.0, stretch]])
    seen = landmark_ellipse(ellipse_landmarks(ellipse) @ affine.T)
    np.testing.assert_allclose(seen.distances(ellipse.points(24) @ affine.T), 0, atol=1e-6)
    assert seen.area == pytest.approx(ellipse.area * stretch, rel=1e-9)


@given(ellipses, st.floats(0, 360), st.floats(-99, 99), st.floats(-99, 99))
def test_the_ellipse_turns_and_moves_with_its_ends(ellipse, turn, dx, dy):
    points = ellipse_landmarks(ellipse) + np.array([[3, 0], [0, 2], [1, -1], [0, 1]])
    angle = np.radians(turn)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    first, moved = landmark_ellipse(points), landmark_ellipse(points @ rotation.T + [dx, dy])
    assert moved.perimeter == pytest.approx(first.perimeter, rel=1e-9)
    center = rotation @ [first.center_x, first.center_y] + [dx, dy]
    np.testing.assert_allclose([moved.center_x, moved.center_y], center, atol=1e-6)


@pytest.mark.parametrize(
    ("points", "why"),
    [
        ([[1, 1], [1, 1], [5, 2], [5, 8]], "span no ellipse"),
        ([[1, 1], [9, 1], [2, 5], [8, 5]], "span no ellipse"),
        ([[0, 0], [1, 1 / 3], [0, 2], [3, 3]], "span no ellipse"),
        ([[1, 1], [9, 1], [5, np.nan], [5, 8]], "unknown: bpd_1"),
        ([[1, 1], [np.inf, 1], [5, 0], [5, 8]], "unknown: ofd_2"),
    ],
)
def test_no_ellipse(points, why):
    with pytest.raises(ValueError, match=why):
        landmark_ellipse(np.array(points, np.float64))


@pytest.mark.parametrize("function", [canonical, landmark_ellipse])
def test_other_shapes_are_refused(function):
    with pytest.raises(ValueError, match="4, 2"):
        function(np.zeros((2, 4)))


def test_shares_run_from_edge_to_edge():
    corners = np.array([[-0.5, -0.5], [9.5, 4.5], [4.5, 2.0]])  # of 5 rows and 10 columns
    shares = to_shares(corners, 5, 10)
    np.testing.assert_allclose(shares, [[0, 0], [1, 1], [0.5, 0.5]])
    np.testing.assert_allclose(from_shares(shares, 5, 10), corners)


@given(st.floats(0, 59), st.floats(0, 39), st.floats(1.0, 4.0), st.floats(0.15, 1))
def test_a_gaussian_peak_is_found_between_pixels_anywhere(x, y, sigma, height):
    maps = gaussian(x, y, sigma, height=height)[..., None].astype(np.float32)
    points, peak = decode_heatmaps(maps, WHOLE)
    np.testing.assert_allclose(points, [[x, y]], atol=0.01)
    assert peak[0] == maps.max()


@given(st.floats(4, 55), st.floats(4, 35), st.floats(1.5, 4.0))
def test_eight_bits_cost_a_twentieth_of_a_pixel(x, y, sigma):
    maps = (np.rint(gaussian(x, y, sigma, height=0.4) * 255) / 255)[..., None]
    np.testing.assert_allclose(decode_heatmaps(maps, WHOLE)[0], [[x, y]], atol=0.05)


@given(st.floats(15, 45), st.floats(12, 28), st.floats(0, 180))
def test_a_long_peak_that_stands_askew_keeps_its_place(x, y, turn):
    rows, columns = np.indices((40, 60))
    cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    along, across = (
        (columns - x) * cos + (rows - y) * sin,
        (rows - y) * cos - (columns - x) * sin,
    )
    maps = np.exp(-(along**2) / 72 - across**2 / 8)[..., None]
    np.testing.assert_allclose(decode_heatmaps(maps, WHOLE)[0], [[x, y]], atol=0.05)


def test_a_saturated_peak_is_found_at_its_middle():
    """The highest pixel of a plateau is its corner."""
    maps = np.minimum(1.0, 1.4 * gaussian(30.3, 20.8, 3.0))[..., None]
    assert np.count_nonzero(maps == 1.0) > 10
    np.testing.assert_allclose(decode_heatmaps(maps, WHOLE)[0], [[30.3, 20.8]], atol=0.2)


@given(st.integers(0, 10_000))
def test_noise_moves_a_peak_by_less_than_a_quarter_of_a_pixel(seed):
    noise = np.random.default_rng(seed).normal(0, 0.02, (40, 60))
    maps = np.clip(0.8 * gaussian(30.3, 20.8, 2.0) + noise, 0, 1)[..., None]
    np.testing.assert_allclose(decode_heatmaps(maps, WHOLE)[0], [[30.3, 20.8]], atol=0.25)


def test_padding_is_not_looked_at_and_points_are_those_of_the_frame():
    inside, outside = gaussian(20.25, 15.5), gaussian(30, 2)
    maps = np.stack([inside + 2 * outside, inside], axis=-1).astype(np.float32)
    points, peak = decode_heatmaps(maps, (slice(10, 30), slice(5, 55)))
    np.testing.assert_allclose(points, [[20.25, 15.5]] * 2, atol=0.05)
    assert (peak < 1.0).all()


def test_each_map_is_its_own():
    places = np.array([[3.2, 4.7], [50.1, 30.9], [59.0, 0.0], [0.4, 39.0]])
    maps = np.stack([gaussian(*place) for place in places], axis=-1)
    np.testing.assert_allclose(decode_heatmaps(maps, WHOLE)[0], places, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (3, 2)])
def test_the_smallest_maps(shape):
    maps = np.zeros((*shape, 1), np.float32)
    maps[-1, -1] = 0.7
    points, peak = decode_heatmaps(maps, (slice(0, shape[0]), slice(0, shape[1])))
    np.testing.assert_allclose(points, [[shape[1] - 1, shape[0] - 1]], atol=0.5)
    assert peak[0] == pytest.approx(0.7)


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.2, 1.0]))
def test_whatever_a_map_holds_the_point_lies_in_it(seed, share):
    random = np.random.default_rng(seed)
    maps = random.uniform(0, 1, (12, 9, 3)) * (random.uniform(0, 1, (12, 9, 3)) <= share)
    points, peak = decode_heatmaps(maps, (slice(0, 12), slice(0, 9)))
    assert (points >= -0.5).all() and (points <= [8.5, 11.5]).all()
    np.testing.assert_array_equal(peak, maps.max(axis=(0, 1)))


def test_nothing_is_read_into_what_is_no_number():
    maps = np.stack([gaussian(9, 9), gaussian(9, 9)], axis=-1)
    maps[3, 3, 1] = np.nan
    points, peak = decode_heatmaps(maps, WHOLE)
    assert np.isfinite(points[0]).all() and np.isnan(points[1]).all() and np.isnan(peak[1])


@pytest.mark.parametrize("shape", [(40, 60), (0, 60, 4), (40, 60, 0)])
def test_maps_of_another_shape(shape):
    with pytest.raises(ValueError, match="h, w, P"):
        decode_heatmaps(np.zeros(shape), WHOLE)


@given(st.floats(10, 50), st.floats(10, 30))
def test_a_mirrored_map_has_its_peak_at_the_mirrored_point(x, y):
    maps = gaussian(x, y)[..., None]
    upright, mirrored = decode_heatmaps(maps, WHOLE)[0], decode_heatmaps(maps[:, ::-1], WHOLE)[0]
    np.testing.assert_allclose(mirrored, [59, 0] + upright * [-1, 1], atol=1e-6)
