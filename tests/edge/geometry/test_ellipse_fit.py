"""Ellipses through points: exact, unbiased by noise, deaf to outliers, or a clear error."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

from fetal_tf.edge.geometry.ellipse import Ellipse
from fetal_tf.edge.geometry.ellipse_fit import fit_ellipse

HEAD = Ellipse(141.3, 95.6, 88.0, 66.0, 25.0)
heads = st.builds(
    lambda x, y, a, ratio, angle: Ellipse(x, y, a, a * ratio, angle),
    st.floats(110, 180),
    st.floats(85, 110),
    st.floats(25, 80),
    st.floats(0.6, 0.99),
    st.floats(0, 179),
)


@given(heads, st.integers(6, 200))
def test_exact_points_give_the_exact_ellipse(head, n):
    for robust in (False, True):
        fit = fit_ellipse(head.points(n), robust)
        np.testing.assert_allclose(fit.distances(head.points(77)), 0, atol=1e-5)
        assert fit.perimeter == pytest.approx(head.perimeter, rel=1e-7)


@settings(max_examples=40)
@given(heads, st.integers(0, 1000))
def test_a_fit_of_an_arc_with_noise_is_no_worse_than_opencv(head, seed):
    arc = head.points(300)[:220]
    noisy = arc + np.random.default_rng(seed).normal(0, 0.3, arc.shape)
    ours = fit_ellipse(noisy)
    (x, y), (short, long), angle = cv2.fitEllipseDirect(noisy.astype(np.float32))
    theirs = Ellipse(x, y, max(short, long) / 2, min(short, long) / 2, angle + 90)
    miss = [np.mean(e.distances(arc) ** 2) ** 0.5 for e in (ours, theirs)]
    assert miss[0] <= miss[1] * 1.1 + 0.02


def test_noise_does_not_shrink_it():
    rng = np.random.default_rng(0)
    points = HEAD.points(400)
    sizes = [fit_ellipse(points + rng.normal(0, 2.0, points.shape)).perimeter for _ in range(30)]
    assert np.mean(sizes) == pytest.approx(HEAD.perimeter, rel=1.5e-3)


@pytest.mark.parametrize("seed", range(4))
def test_distances_count_not_algebraic_residuals(seed):
    """On a very noisy half ellipse a direct fit without reweighting is 20 % off the optimum."""
    half = Ellipse(141.3, 95.6, 100.0, 40.0, 25.0).points(400)[20:220]
    points = half + np.random.default_rng(seed).normal(0, 3.0, half.shape)
    fit = fit_ellipse(points)
    start = [fit.center_x, fit.center_y, fit.semi_major, fit.semi_minor, fit.angle_deg]
    optimum = least_squares(lambda p: Ellipse(*p).distances(points), start, x_scale="jac")
    assert np.sum(fit.distances(points) ** 2) < 1.15 * np.sum(optimum.fun**2)


def test_outliers_move_only_the_plain_fit():
    points = HEAD.points(300)
    points[::5] += np.random.default_rng(0).uniform(10, 40, (60, 2))
    assert abs(fit_ellipse(points).perimeter / HEAD.perimeter - 1) > 0.02
    assert abs(fit_ellipse(points, robust=True).perimeter / HEAD.perimeter - 1) < 1e-3


@pytest.mark.parametrize("seed", range(4))
def test_a_bulge_drags_nothing_along(seed):
    """A fifth of the outline, all on one side: a plain fit follows, and then none seems far off."""
    rng = np.random.default_rng(seed)
    along = (np.arange(400) / 400 + rng.random()) % 1
    bulge = 15.0 * np.sin(np.pi * along / 0.2) * (along < 0.2)
    angle = 2 * np.pi * np.arange(400) / 400
    points = np.column_stack([(100 + bulge) * np.cos(angle), (75 + bulge) * np.sin(angle)])
    points += rng.normal(0, 0.3, points.shape)
    truth = Ellipse(0, 0, 100, 75, 0).perimeter
    assert fit_ellipse(points, robust=True).perimeter == pytest.approx(truth, rel=3e-3)
    assert fit_ellipse(points).perimeter > 1.01 * truth


@pytest.mark.parametrize(
    "points",
    [
        np.zeros((5, 2)),
        np.zeros((9, 2)),
        np.column_stack([np.arange(20.0), 3 * np.arange(20.0)]),
        np.zeros((9, 3)),
    ],
)
def test_points_that_hold_no_ellipse(points):
    with pytest.raises(ValueError, match="ellipse"):
        fit_ellipse(points)


@pytest.mark.parametrize("seed", [11, 16, 27, 190])
def test_a_short_arc_among_far_outliers(seed):
    """In units of all points' spread its scatter is tiny, and yet it is an ellipse's."""
    rng = np.random.default_rng(seed)
    t = np.sort(rng.uniform(0, 0.2, 60))
    points = np.column_stack([350 * np.cos(t), 50 * np.sin(t)])
    points[rng.choice(60, 12, replace=False)] += rng.normal(0, 105, (12, 2))
    fit = fit_ellipse(points, robust=True)
    assert (fit.semi_major, fit.semi_minor) == pytest.approx((350, 50), rel=1e-3)
