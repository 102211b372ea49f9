"""Landmark scores against numbers by hand; order of ends, collapse, unknown points."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fetal_tf.edge.errors import DataError
from fetal_tf.edge.geometry.ellipse import Ellipse
from fetal_tf.edge.geometry.landmarks import LANDMARKS, ellipse_landmarks
from fetal_tf.scores.detection import wilson_interval
from fetal_tf.scores.landmarks import (
    SUCCESS_PX,
    axis_summary,
    collapse,
    landmark_errors,
    landmark_summary,
    span_share,
)
from fetal_tf.scores.rows import frame_of

TRUTH = np.array([[100.0, 200.0], [300.0, 200.0], [200.0, 120.0], [200.0, 280.0]])
NAMES = {
    "radial_error_px",
    "radial_error_strict_px",
    *(f"{name}_error_px" for name in LANDMARKS),
    "ofd_nme",
    "bpd_nme",
    *(f"success_{px}px" for px in (2, 5, 10, 50, 100, 150, 200)),
    *(
        f"{quantity}_{kind}"
        for quantity in ("ofd", "bpd", "hc")
        for kind in ("mm", "true_mm", "error_mm", "abs_error_mm", "error_percent")
    ),
}
points = st.lists(  # tenths of a pixel: no two are all but the same
    st.tuples(st.integers(0, 8000), st.integers(0, 5400)), min_size=4, max_size=4, unique=True
).map(lambda tenths: np.array(tenths) / 10)


def test_every_figure_by_hand():
    found = TRUTH + np.array([[3, 4], [0, 0], [0, -6], [8, 6]])  # off by 5, 0, 6 and 10
    row = landmark_errors(found, TRUTH, 0.5)
    assert set(row) == NAMES
    assert row["radial_error_px"] == row["radial_error_strict_px"] == pytest.approx(21 / 4)
    assert [row[f"{name}_error_px"] for name in LANDMARKS] == pytest.approx([5, 0, 6, 10])
    assert row["ofd_nme"] == pytest.approx(2.5 / 200)
    assert row["bpd_nme"] == pytest.approx(8 / 160)
    assert [row[f"success_{px}px"] for px in SUCCESS_PX] == [0.25, 0.5, 1, 1, 1, 1, 1]
    ofd, bpd = np.hypot(197, -4), np.hypot(8, 172)
    assert row["ofd_mm"] == pytest.approx(ofd / 2) and row["ofd_true_mm"] == 100
    assert row["ofd_error_mm"] == pytest.approx(ofd / 2 - 100)
    assert row["ofd_abs_error_mm"] == pytest.approx(100 - ofd / 2)
    assert row["bpd_error_mm"] == pytest.approx(bpd / 2 - 80)
    assert row["hc_true_mm"] == pytest.approx(Ellipse(0, 0, 50, 40, 0).perimeter)
    assert row["hc_error_mm"] == pytest.approx(row["hc_mm"] - row["hc_true_mm"])
    assert {type(value) for value in row.values()} == {float}


@given(points, points)
def test_the_order_within_an_axis_matters_only_where_it_says_strict(found, truth):
    for axis in (slice(0, 2), slice(2, 4)):  # where both orders are as good, either may be taken
        orders = [np.hypot(*(found[axis][::step] - truth[axis]).T).sum() for step in (1, -1)]
        assume(abs(orders[0] - orders[1]) > 1e-6)
    expected = landmark_errors(found, truth, None)
    for swap_ofd, swap_bpd in itertools.product([[0, 1], [1, 0]], [[2, 3], [3, 2]]):
        row = landmark_errors(found[swap_ofd + swap_bpd], truth, None)
        for name in NAMES - {"radial_error_strict_px"}:
            assert row[name] == pytest.approx(expected[name], abs=1e-9), name
        strict = np.linalg.norm(found[swap_ofd + swap_bpd] - truth, axis=1).mean()
        assert row["radial_error_strict_px"] == pytest.approx(strict)
        assert row["radial_error_px"] <= strict + 1e-9


@given(points, points)
def test_the_better_order_of_each_axis_by_brute_force(found, truth):
    row = landmark_errors(found, truth, None)
    best = 0.0
    for axis in ([0, 1], [2, 3]):
        best += min(
            sum(np.linalg.norm(found[p] - truth[t]) for p, t in zip(order, axis, strict=True))
            for order in itertools.permutations(axis)
        )
    assert row["radial_error_px"] == pytest.approx(best / 4)
    for axis, name in ((slice(0, 2), "ofd"), (slice(2, 4), "bpd")):
        ends = [row[f"{end}_error_px"] for end in LANDMARKS[axis]]
        length = np.linalg.norm(truth[axis][1] - truth[axis][0])
        assert row[f"{name}_nme"] == pytest.approx(np.mean(ends) / length)


@given(points, points, st.floats(0, 360), st.floats(-300, 300), st.floats(-300, 300))
def test_turning_and_moving_both_changes_nothing(found, truth, turn, dx, dy):
    angle = np.radians(turn)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    first = landmark_errors(found, truth, None)
    second = landmark_errors(found @ rotation.T + [dx, dy], truth @ rotation.T + [dx, dy], None)
    for name in ("radial_error_px", "radial_error_strict_px", "ofd_nme", "bpd_nme"):
        assert second[name] == pytest.approx(first[name], rel=1e-6, abs=1e-6)


def test_axes_that_were_confused_are_not_forgiven():
    row = landmark_errors(TRUTH[[2, 3, 0, 1]], TRUTH, None)
    assert row["radial_error_px"] == pytest.approx(np.hypot(100, 80))
    assert row["success_100px"] == 0


def test_what_was_not_predicted_is_unknown_and_keeps_its_columns():
    for nothing in (None, np.full((4, 2), np.nan), TRUTH * [[1, 1], [1, 1], [1, 1], [1, np.nan]]):
        row = landmark_errors(nothing, TRUTH, 0.5)
        assert set(row) == NAMES
        known = {name for name, value in row.items() if value is not None}
        assert known == {"ofd_true_mm", "bpd_true_mm", "hc_true_mm"}


def test_without_a_pixel_size_there_are_no_millimetres():
    row = landmark_errors(TRUTH + 1, TRUTH, None)
    assert {name for name, value in row.items() if value is None} == {
        name for name in NAMES if name.startswith(("ofd_", "bpd_", "hc_")) and "mm" in name
    } | {f"{quantity}_error_percent" for quantity in ("ofd", "bpd", "hc")}


def test_a_landmark_that_the_expert_left_out():
    truth = TRUTH.copy()
    truth[3] = np.nan
    row = landmark_errors(TRUTH[[1, 0, 2, 3]] + [3, 4], truth, 0.5)
    assert row["radial_error_px"] == pytest.approx(5)
    assert row["bpd_2_error_px"] is None and row["bpd_1_error_px"] == pytest.approx(5)
    assert row["ofd_nme"] is not None and row["bpd_nme"] is None
    assert row["success_5px"] == 1.0
    assert row["bpd_true_mm"] is None and row["hc_true_mm"] is None and row["bpd_mm"] is not None
    assert landmark_errors(TRUTH, np.full((4, 2), np.nan), 0.5)["radial_error_px"] is None


def test_points_that_span_no_ellipse_have_no_circumference():
    flat = np.array([[0.0, 0.0], [10.0, 0.0], [2.0, 0.0], [8.0, 0.0]])
    row = landmark_errors(flat, TRUTH, 0.5)
    assert row["hc_mm"] is None and row["hc_error_mm"] is None and row["ofd_mm"] == 5


def test_senseless_input():
    with pytest.raises(ValueError, match=r"truth must be \[4, 2\]"):
        landmark_errors(TRUTH, TRUTH[:2], 0.5)
    with pytest.raises(ValueError, match=r"predicted must be \[4, 2\]"):
        landmark_errors(TRUTH.ravel(), TRUTH, 0.5)
    with pytest.raises(DataError, match="ofd_mm"):
        landmark_errors(TRUTH, TRUTH[[0, 0, 2, 3]], 0.5)


def many(count=200, spread=1.0, seed=0):
    """Landmarks of heads of any size at any place in frames of 800 by 540."""
    random = np.random.default_rng(seed)
    heads = [
        Ellipse(
            400 + spread * random.uniform(-100, 100),
            270 + spread * random.uniform(-60, 60),
            200 + spread * random.uniform(-80, 80),
            110,
            40 * spread * random.uniform(-1, 1),
        )
        for _ in range(count)
    ]
    return [ellipse_landmarks(head) for head in heads]


def test_the_span_of_a_grid_by_hand():
    """101 places from 0 to 1 in x and from 0 to 0.5 in y: 90 % and 45 % lie between."""
    shift = np.linspace(0, 1, 101)[:, None, None] * [1.0, 0.5]
    base = np.array([[0.0, 0.2], [0.4, 0.2], [0.2, 0.1], [0.2, 0.3]])
    size = (200, 400)
    places = (base + shift) * [400, 200] - 0.5
    assert span_share(list(places), [size] * 101) == pytest.approx(0.9 * 0.45)


def test_the_mean_of_all_heads_spans_nothing():
    truths, sizes = many(), [(540, 800)] * 200
    mean = np.mean(truths, axis=0)
    trembling = [mean + np.random.default_rng(i).normal(0, 3, (4, 2)) for i in range(200)]
    collapsed = collapse(trembling, truths, sizes)
    assert collapsed["span_ratio"] < 0.01
    assert collapsed["span_ratio"] == collapsed["span_share"] / collapsed["span_share_true"]
    close = [t + np.random.default_rng(i).normal(0, 3, (4, 2)) for i, t in enumerate(truths)]
    assert collapse(close, truths, sizes)["span_ratio"] == pytest.approx(1, abs=0.1)
    assert span_share([mean] * 9, sizes[:9]) == 0


def test_ends_named_by_lot_are_no_span():
    truths, sizes = many(spread=0.1), [(540, 800)] * 200
    by_lot = [t[[1, 0, 3, 2]] if i % 2 else t for i, t in enumerate(truths)]
    assert span_share(by_lot, sizes) == span_share(truths, sizes)


def test_the_span_counts_shares_of_each_image():
    truths = many()
    assert span_share([2 * t + 0.5 for t in truths], [(1080, 1600)] * 200) == pytest.approx(
        span_share(truths, [(540, 800)] * 200)
    )


def test_images_without_a_prediction_have_no_part_in_the_span():
    truths, sizes = many(20), [(540, 800)] * 20
    found = [None if i % 2 else t for i, t in enumerate(truths)]
    assert span_share(found, sizes) == span_share(truths[::2], sizes[::2])
    assert collapse(found, truths, sizes)["span_ratio"] == pytest.approx(1)
    assert span_share([truths[0], None], sizes[:2]) is None
    assert collapse([None], truths[:1], sizes[:1]) == {
        "span_share": None,
        "span_share_true": None,
        "span_ratio": None,
    }
    with pytest.raises(ValueError):
        span_share(truths, sizes[:3])


def test_the_summary_counts_what_was_not_predicted_as_missed():
    offsets = (np.array([1.0, 3.0, 8.0, 20.0]), np.array([0.0, 0.0, 60.0, 300.0]))
    rows = [landmark_errors(TRUTH + np.c_[o, 0 * o], TRUTH, 0.5) for o in offsets]
    rows.append(landmark_errors(None, TRUTH, 0.5))
    summary = landmark_summary(frame_of(rows))
    assert summary["not_predicted"] == 1
    every = np.concatenate(offsets)
    assert summary["landmarks"]["all"] == {
        "n": 8,
        "mean": pytest.approx(every.mean()),
        "sd": pytest.approx(every.std(ddof=1)),
        "median": pytest.approx(5.5),
        "min": 0.0,
        "max": pytest.approx(300.0),
    }
    assert summary["landmarks"]["bpd_1"]["mean"] == pytest.approx(34)
    assert summary["success"]["10px"] == {
        "successes": 5,
        "n": 12,
        "share": pytest.approx(5 / 12),
        "ci95": wilson_interval(5, 12),
    }
    assert summary["success"]["200px"]["successes"] == 7
    assert summary["nme"]["ofd"]["mean"] == pytest.approx((2 / 200 + 0) / 2)
    assert summary["nme"]["all"]["n"] == 4


def test_the_summary_of_nothing():
    summary = landmark_summary(frame_of([]))
    assert summary["landmarks"]["all"]["n"] == 0 and summary["landmarks"]["all"]["mean"] is None
    assert summary["success"]["5px"]["share"] is None


def test_what_is_left_when_the_axis_is_the_experts():
    """An ellipse of the right size that points elsewhere has no error but the axis."""
    truth = ellipse_landmarks(Ellipse(400, 270, 230, 180, 10))
    turned = [ellipse_landmarks(Ellipse(400, 270, 230, 180, 10 + off)) for off in (-6, 170, 8)]
    found = axis_summary([*turned, None], [truth] * 4)["axis"]
    assert found["error_deg"]["n"] == found["radial_error_turned_px"]["n"] == 3
    assert found["error_deg"]["mean"] == pytest.approx((6 + 10 + 8) / 3)
    # Turning keeps the sum of the squared axes, so a small share of the angle stays.
    assert found["radial_error_turned_px"]["max"] < 8
    moved = ellipse_landmarks(Ellipse(403, 274, 230, 180, 10))
    alone = axis_summary([moved], [truth])["axis"]
    assert alone["error_deg"]["mean"] == pytest.approx(0, abs=1e-9)
    assert alone["radial_error_turned_px"]["mean"] == pytest.approx(5)


def test_without_predictions_there_is_no_axis():
    found = axis_summary([None, np.full((4, 2), np.nan)], [np.ones((4, 2))] * 2)["axis"]
    assert found["error_deg"]["n"] == 0 and found["radial_error_turned_px"]["mean"] is None
