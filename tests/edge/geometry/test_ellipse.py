"""The ellipse against numerical integration, exact transforms and counted pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetal_tf.edge.geometry.ellipse import Ellipse, ramanujan_perimeter, rasterise

# Heads: axis ratios from 0.5 on.
ellipses = st.builds(
    lambda x, y, a, ratio, angle: Ellipse(x, y, a, a * ratio, angle),
    st.floats(-50, 300),
    st.floats(-50, 300),
    st.floats(5, 200),
    st.floats(0.5, 1.0),
    st.floats(0, 179.99),
)


def integrated_perimeter(a, b, n=20_000):
    t = (np.arange(n) + 0.5) * 2 * np.pi / n
    return float(np.hypot(a * np.sin(t), b * np.cos(t)).sum() * 2 * np.pi / n)


@given(st.floats(1, 500), st.floats(0.5, 1))
def test_perimeter_against_integration(a, ratio):
    expected = integrated_perimeter(a, a * ratio)
    assert ramanujan_perimeter(a, a * ratio) == pytest.approx(expected, rel=1e-8)


def test_perimeter_of_arrays_a_line_and_nothing():
    np.testing.assert_allclose(
        ramanujan_perimeter(np.array([2.0, 0.0]), np.array([2.0, 0.0])), [4 * np.pi, 0]
    )
    assert ramanujan_perimeter(1.0, 0.0) == pytest.approx(4.0, rel=5e-4)


@pytest.mark.parametrize("axes", [(-1.0, 1.0), (1.0, float("nan")), (float("inf"), 1.0)])
def test_impossible_axes(axes):
    with pytest.raises(ValueError, match="finite"):
        ramanujan_perimeter(*axes)


@pytest.mark.parametrize("axes", [(1.0, 2.0), (1.0, 0.0), (1.0, -1.0), (float("nan"), 1.0)])
def test_impossible_ellipses(axes):
    with pytest.raises(ValueError, match="semi_major >= semi_minor > 0"):
        Ellipse(0, 0, *axes, 0)


@pytest.mark.parametrize("kind", [np.int16, np.uint8, np.float32, int])
def test_numbers_of_any_type_become_floats(kind):
    numbers = [kind(n) for n in (60, 50, 40, 30, 0)]
    assert {type(n) for n in vars(Ellipse(*numbers)).values()} == {float}
    expected = rasterise(Ellipse(60.0, 50.0, 40.0, 30.0, 0.0), (100, 120))
    np.testing.assert_array_equal(rasterise(Ellipse(*numbers), (100, 120)), expected)


@given(st.floats(-1e3, 1e3))
def test_angle_is_folded_into_half_a_turn(angle):
    assert 0 <= Ellipse(0, 0, 2, 1, angle).angle_deg < 180


def test_axes_point_where_the_angle_says():
    ellipse = Ellipse(10, 20, 5, 3, 90)  # y points down
    np.testing.assert_allclose(ellipse.major_endpoints, [[10, 15], [10, 25]], atol=1e-12)
    np.testing.assert_allclose(ellipse.minor_endpoints, [[13, 20], [7, 20]], atol=1e-12)
    tilted = Ellipse(0, 0, 2, 1, 30).major_endpoints[1]
    np.testing.assert_allclose(tilted, [2 * np.cos(np.pi / 6), 1.0], atol=1e-12)


@given(ellipses, st.floats(-0.3, 0.3))
def test_points_and_distances(ellipse, share):
    np.testing.assert_allclose(ellipse.distances(ellipse.points(60)), 0, atol=1e-9)
    offset = share * ellipse.semi_minor
    moved = ellipse.shrunk(-offset)
    for ends in (moved.major_endpoints, moved.minor_endpoints):  # exact on the axes
        np.testing.assert_allclose(ellipse.distances(ends), offset, atol=1e-9)
    assert ellipse.contains(ellipse.shrunk(1e-6 * ellipse.semi_minor).points(60)).all()
    assert not ellipse.contains(ellipse.shrunk(-1e-6 * ellipse.semi_minor).points(60)).any()


def test_distance_at_the_centre_and_of_a_circle():
    assert Ellipse(3, 4, 9, 5, 20).distances(np.array([[3.0, 4.0]])).tolist() == [-5.0]
    points = np.random.default_rng(0).uniform(-99, 99, (50, 2))
    expected = np.hypot(*points.T) - 7
    np.testing.assert_allclose(Ellipse(0, 0, 7, 7, 0).distances(points), expected, atol=1e-9)


@given(ellipses, st.floats(0.2, 4), st.floats(0.2, 4), st.floats(-20, 20), st.floats(-20, 20))
def test_stretching_moves_every_point(ellipse, sx, sy, dx, dy):
    stretched = ellipse.stretched(sx, sy, dx, dy)
    moved = ellipse.points(40) * [sx, sy] + [dx, dy]
    np.testing.assert_allclose(stretched.distances(moved), 0, atol=1e-6)
    assert stretched.area == pytest.approx(ellipse.area * sx * sy, rel=1e-9)


@given(ellipses, st.floats(0.2, 4))
def test_stretching_alike_in_both_directions_keeps_the_axes(ellipse, scale):
    """As the general way has it, which is taken for any other pair of scales."""
    alike = ellipse.stretched(scale, scale, 3, -5)
    general = ellipse.stretched(scale, scale * (1 + 1e-9), 3, -5)
    assert alike.angle_deg == ellipse.angle_deg
    assert (alike.semi_major, alike.semi_minor) == pytest.approx(
        (general.semi_major, general.semi_minor), rel=1e-7
    )
    np.testing.assert_allclose(general.distances(alike.points(50)), 0, atol=1e-5)


@given(ellipses)
def test_the_reach_is_that_of_the_outermost_points(ellipse):
    offsets = np.abs(ellipse.points(20_000) - [ellipse.center_x, ellipse.center_y])
    np.testing.assert_allclose(ellipse.reach, offsets.max(axis=0), rtol=1e-6)


@pytest.mark.parametrize("radius", range(1, 40))
def test_pixels_on_a_circle_of_whole_numbers_belong_to_it(radius):
    size = 2 * radius + 1
    drawn = rasterise(Ellipse(radius, radius, radius, radius, 0), (size, size))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    np.testing.assert_array_equal(drawn, x**2 + y**2 <= radius**2)


@given(ellipses, st.integers(1, 120), st.integers(1, 160))
def test_rasterise_asks_every_pixel_centre(ellipse, height, width):
    y, x = np.mgrid[:height, :width]
    expected = ellipse.contains(np.column_stack([x.ravel(), y.ravel()])).reshape(height, width)
    mask = rasterise(ellipse, (height, width))
    assert mask.dtype == bool
    assert np.count_nonzero(mask != expected) <= 1  # a centre exactly on the line may round


def test_rasterised_area():
    ellipse = Ellipse(150.3, 99.7, 90, 60, 33)
    assert rasterise(ellipse, (200, 300)).sum() == pytest.approx(ellipse.area, rel=2e-3)
    assert not rasterise(Ellipse(-500, 40, 20, 10, 0), (50, 50)).any()


def test_the_mean_radius_is_that_of_the_circle_of_the_same_area():
    ellipse = Ellipse(3, 4, 90, 40, 30)
    assert np.pi * ellipse.mean_radius**2 == pytest.approx(ellipse.area)
