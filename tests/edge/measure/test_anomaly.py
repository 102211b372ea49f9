"""Descriptors, references and scores against geometry and NumPy."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fetal_tf.edge.geometry.ellipse import Ellipse, rasterise
from fetal_tf.edge.measure import anomaly
from fetal_tf.edge.measure.structures import features

SHAPE = (300, 340)
CENTER = (170.0, 150.0)


def brain(degrees=0.0, scale=1.0, csp=(-0.5, 0.0), lv=(0.4, 0.4), second_lv=None, lv_size=1.0):
    """Features of a brain 110 by 85 px; structures are placed in its semi-axes, lv 22 by 10 px."""
    a, b = 110 * scale, 85 * scale
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))

    def placed(where, along, across):
        u, v = where[0] * a, where[1] * b
        x, y = CENTER[0] + u * cos - v * sin, CENTER[1] + u * sin + v * cos
        return rasterise(Ellipse(x, y, along * scale, across * scale, degrees), SHAPE)

    empty = np.zeros(SHAPE, bool)
    cavum = empty if csp is None else placed(csp, 14, 8)
    ventricle = empty if lv is None else placed(lv, 22 * lv_size, 10 * lv_size)
    if second_lv is not None:
        ventricle = ventricle | placed(second_lv, 20, 9)
    whole = rasterise(Ellipse(*CENTER, a, b, degrees), SHAPE)
    return {
        "brain": features(whole & ~cavum & ~ventricle, None),
        "csp": features(cavum, None),
        "lv": features(ventricle, None),
    }


def test_descriptors_by_hand():
    found = anomaly.shape_descriptors(brain(), 0.15)
    expected = {
        "brain_axis_ratio": math.log(85 / 110),
        "brain_solidity": 1.0,
        "csp_area": math.log(14 * 8 / (110 * 85)),
        "csp_axis_ratio": math.log(8 / 14),
        "csp_solidity": 1.0,
        "csp_along": 0.5,
        "csp_across": 0.0,
        "lv_area": math.log(22 * 10 / (110 * 85)),
        "lv_axis_ratio": math.log(10 / 22),
        "lv_solidity": 1.0,
        "lv_along": 0.4,
        "lv_across": 0.4,
        "lv_width_share": math.log(20 / 170),
        "lv_width_mm": 3.0,
    }
    assert set(found) == set(expected)
    for name, value in expected.items():
        # The parenchyma's own axes move a little, as the structures are not in it.
        place = name.endswith(("along", "across"))
        tolerance = 0.2 if name == "lv_width_mm" else 0.02 if place else 0.07
        assert found[name] == pytest.approx(value, abs=tolerance), name


@settings(max_examples=25)
@given(st.floats(-90, 90), st.floats(0.6, 1.2), st.floats(0.2, 0.6), st.floats(0.25, 0.5))
def test_descriptors_do_not_know_direction_scale_or_mirror_image(degrees, scale, along, across):
    reference = anomaly.shape_descriptors(brain(0, 1.2, (-along, 0), (along, across)), None)
    for sign_x in (1, -1):
        for sign_y in (1, -1):
            turned = brain(degrees, scale, (-sign_x * along, 0), (sign_x * along, sign_y * across))
            found = anomaly.shape_descriptors(turned, None)
            assert found.keys() == reference.keys()
            for name, value in found.items():
                # One pixel more or less is a tenth of a small ventricle's width.
                assert value == pytest.approx(reference[name], abs=0.2 if "width" in name else 0.1)


def test_what_is_absent_is_no_descriptor():
    assert anomaly.shape_descriptors({"brain": None, "csp": None, "lv": None}, 0.1) == {}
    alone = anomaly.shape_descriptors(brain(csp=None, lv=None), 0.1)
    assert set(alone) == {"brain_axis_ratio", "brain_solidity"}
    assert set(anomaly.shape_descriptors(brain(csp=None), None)) == {
        *alone,
        *("lv_area", "lv_axis_ratio", "lv_solidity", "lv_along", "lv_across", "lv_width_share"),
    }


def test_two_ventricles_have_no_common_place_and_shape():
    both = brain(second_lv=(0.4, -0.4))
    assert both["lv"].fragments == 2
    found = anomaly.shape_descriptors(both, None)
    assert {name for name in found if name.startswith("lv")} == {"lv_area", "lv_width_share"}
    assert found["lv_width_share"] == pytest.approx(math.log(20 / 170), abs=0.1)  # of the wider
    mean = (22 * 10 + 20 * 9) / 2
    assert found["lv_area"] == pytest.approx(math.log(mean / (110 * 85)), abs=0.05)


def test_a_large_ventricle_does_not_change_the_brain():
    normal = anomaly.shape_descriptors(brain(lv=(0.35, 0.35)), None)
    large = anomaly.shape_descriptors(brain(lv=(0.35, 0.35), lv_size=2), None)
    assert large["brain_solidity"] == pytest.approx(normal["brain_solidity"], abs=0.01)
    assert large["brain_axis_ratio"] == pytest.approx(normal["brain_axis_ratio"], abs=0.05)
    assert large["lv_area"] - normal["lv_area"] == pytest.approx(math.log(4), abs=0.05)


def test_axes_and_places_need_a_brain():
    structures = brain(csp=None)
    semi_major, semi_minor = anomaly.brain_semi_axes(structures)
    assert semi_major == pytest.approx(110, rel=0.02) and semi_minor == pytest.approx(85, rel=0.02)
    with pytest.raises(ValueError, match="no csp"):
        anomaly.brain_coordinates(structures, "csp")
    with pytest.raises(ValueError, match="no brain"):
        anomaly.brain_semi_axes({"brain": None})


def test_names_for_people():
    assert anomaly.in_words("csp_area") == "csp area"
    assert anomaly.in_words("lv_across") == "lv distance from the midline"
    assert anomaly.in_words("lv_new_thing") == "lv new thing"


def test_z_scores_only_of_what_both_know():
    reference = {"csp_area": {"median": -4.0, "scale": 0.5, "n": 9}, "lv_area": {}}
    z = anomaly.z_scores({"csp_area": -3.0, "csp_along": 0.5}, reference)
    assert z == {"csp_area": 2.0}
    assert anomaly.z_scores({"csp_area": math.nan}, reference) == {}
    assert anomaly.z_scores({"csp_area": -5.0}, {}) == {}


@pytest.mark.parametrize(
    "entry, said",
    [
        ({"median": 0.0}, "scale"),
        ({"median": math.nan, "scale": 1.0}, "median"),
        ({"median": 0.0, "scale": 0.0}, "positive"),
        ({"median": "0", "scale": 1.0}, "median"),
        (3, "median"),
    ],
)
def test_references_that_are_none(entry, said):
    with pytest.raises(ValueError, match=rf"reference\.csp_area.*{said}"):
        anomaly.z_scores({"csp_area": 0.0}, {"csp_area": entry})


# Disagreement


def slow_score(disagreement, inside):
    """Every disc in turn, by distances."""
    h, w = inside.shape
    y, x = np.mgrid[:h, :w]
    outer = np.argwhere(~np.pad(inside, 1)) - 1
    depth = np.sqrt(((y[..., None] - outer[:, 0]) ** 2 + (x[..., None] - outer[:, 1]) ** 2).min(-1))
    radius = math.sqrt(inside.sum() / math.pi)
    values = np.where(inside & (depth > 0.08 * radius), disagreement, 0)
    reach = max(1, round(0.1 * radius))
    steps = np.arange(-reach, reach + 1)
    disc = np.add.outer(steps**2, steps**2) <= reach**2
    padded = np.pad(values, reach)
    return max(
        padded[r : r + 2 * reach + 1, c : c + 2 * reach + 1][disc].mean()
        for r in range(h)
        for c in range(w)
    )


@settings(max_examples=25)
@given(st.integers(5, 36), st.integers(5, 36), st.integers(0, 2**32 - 1))
def test_the_disagreement_score_by_brute_force(height, width, seed):
    rng = np.random.default_rng(seed)
    truth = Ellipse(
        width / 2, height / 2, *sorted(rng.uniform(3, 16, 2))[::-1], rng.uniform(0, 179)
    )
    inside = rasterise(truth, (height, width))
    assume(inside.any())
    disagreement = rng.random((height, width)).astype(np.float32) ** 4
    found = anomaly.disagreement_score(disagreement, inside)
    assert found == pytest.approx(slow_score(disagreement, inside), abs=1e-4)
    assert 0 <= found <= 1


def uncertain(scale, where, size, ring=0.0):
    """A brain whose views disagree by half in a disc, and along the border by `ring`."""
    shape = (round(120 * scale), round(150 * scale))
    head = Ellipse(75 * scale, 60 * scale, 60 * scale, 45 * scale, 0)
    inside = rasterise(head, shape)
    disagreement = np.zeros(shape, np.float32)
    disagreement[rasterise(head.shrunk(-2), shape) & ~rasterise(head.shrunk(2), shape)] = ring
    spot = Ellipse(where[0] * scale, where[1] * scale, size * scale, size * scale, 0)
    disagreement[rasterise(spot, shape)] = 0.5
    return anomaly.disagreement_score(disagreement, inside)


def test_a_doubtful_structure_counts_wherever_it_lies_and_however_large_the_frame_is():
    once = uncertain(1, (60, 60), 8)
    assert once == pytest.approx(0.5, abs=0.01)
    for scale in (1, 2, 3):
        assert uncertain(scale, (60, 60), 8) == pytest.approx(once, abs=0.02)
        assert uncertain(scale, (90, 75), 8) == pytest.approx(once, abs=0.02)
    assert uncertain(2, (60, 60), 1) < 0.1  # a speck is no structure


def test_doubts_about_the_skull_do_not_count():
    assert uncertain(1, (5, 5), 2, ring=0.5) < 0.01
    assert uncertain(1, (60, 60), 8, ring=0.5) == pytest.approx(0.5, abs=0.02)


def test_without_doubts_the_score_is_zero_and_without_a_brain_none():
    assert anomaly.disagreement_score(np.zeros((30, 40), np.float32), np.ones((30, 40), bool)) == 0
    assert anomaly.disagreement_score(np.ones((30, 40)), np.zeros((30, 40), bool)) is None
    everywhere = anomaly.disagreement_score(np.ones((60, 60)), np.ones((60, 60), bool))
    assert everywhere == pytest.approx(1)
