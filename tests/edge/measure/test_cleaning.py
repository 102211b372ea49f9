"""Cleaning of label maps, against brute force and geometry."""

import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fetal_tf.edge.geometry.ellipse import Ellipse, rasterise
from fetal_tf.edge.measure.cleaning import Cleaning, clean
from fetal_tf.edge.measure.structures import features
from tests.edge.measure.painted_brain import BRAIN, CLASSES, CSP, LV, SHAPE, TRUTH, painted

AS_IS = Cleaning(closing=0, min_area=0, top_k={}, margin=0.05)


def test_a_clean_map_stays_as_it_is():
    np.testing.assert_array_equal(clean(TRUTH, CLASSES, Cleaning()), TRUTH)
    csp_only = np.where(TRUTH == 3, 1, TRUTH).astype(np.uint8)
    np.testing.assert_array_equal(clean(csp_only, CLASSES[:3], Cleaning()), csp_only)


maps = hnp.arrays(
    np.uint8, st.tuples(st.integers(1, 14), st.integers(1, 14)), elements=st.integers(0, 3)
)
cleanings = st.builds(
    Cleaning,
    closing=st.sampled_from([0.0, 0.02, 0.3, 0.6]),
    min_area=st.sampled_from([0.0, 0.001, 0.1]),
    top_k=st.sampled_from([{}, {"csp": 1, "lv": 2}]),
    margin=st.sampled_from([0.0, 0.05, 0.5]),
)


@settings(max_examples=300)
@given(maps, cleanings, st.integers(1, 4))
def test_cleaning_twice_is_cleaning_once(labels, cleaning, zoom):
    labels = np.kron(labels, np.ones((zoom, zoom), np.uint8))
    before = labels.copy()
    once = clean(labels, CLASSES, cleaning)
    np.testing.assert_array_equal(labels, before)
    np.testing.assert_array_equal(clean(once, CLASSES, cleaning), once)
    assert once.dtype == np.uint8 and once.shape == labels.shape
    if not (labels == 1).any():
        assert not once.any()
    elif not set(np.unique(labels)) - {0, 1}:
        assert (once == 1).any() and not (once > 1).any()
        assert features(once == 1, None).fragments == 1
        holes = outside_of(once == 1)
        assert (holes | (once == 1)).all()


def outside_of(mask):
    """Background that reaches the frame's edge over sides, by brute force."""
    reached = np.zeros((mask.shape[0] + 2, mask.shape[1] + 2), bool)
    open_ = ~np.pad(mask, 1)
    reached[0, 0] = True
    while True:
        grown = reached.copy()
        grown[1:] |= reached[:-1]
        grown[:-1] |= reached[1:]
        grown[:, 1:] |= reached[:, :-1]
        grown[:, :-1] |= reached[:, 1:]
        grown &= open_
        if (grown == reached).all():
            return reached[1:-1, 1:-1]
        reached = grown


@settings(max_examples=60)
@given(hnp.arrays(np.uint8, (9, 9), elements=st.integers(0, 1)))
def test_holes_are_what_the_outside_does_not_reach(inside):
    """Largest part by pixels, then its holes: brute force on small maps."""
    found = clean(inside, CLASSES[:2], AS_IS) == 1
    parts, sizes = [], []
    left = inside.astype(bool)
    while left.any():
        part = np.zeros_like(left)
        part[tuple(np.argwhere(left)[0])] = True
        while True:
            wide = np.pad(part, 1)
            grown = (
                np.logical_or.reduce(
                    [wide[dy : dy + 9, dx : dx + 9] for dy in range(3) for dx in range(3)]
                )
                & left
            )
            if (grown == part).all():
                break
            part = grown
        parts.append(part)
        sizes.append(int(part.sum()))
        left &= ~part
    if not parts:
        assert not found.any()
        return
    # A filled part may swallow smaller ones; the largest decides, any of several as large.
    candidates = [~outside_of(p) for p, n in zip(parts, sizes, strict=True) if n == max(sizes)]
    assert any((found == candidate).all() for candidate in candidates)


def test_speckle_goes():
    rng = np.random.default_rng(1)
    noisy = TRUTH.copy()
    where = rng.random(SHAPE) < 0.01
    noisy[where] = rng.integers(0, 4, where.sum())
    wrong = clean(noisy, CLASSES, Cleaning()) != TRUTH
    assert wrong.sum() < 0.15 * (noisy != TRUTH).sum()
    interior = rasterise(BRAIN.shrunk(4), SHAPE) & ~rasterise(LV.shrunk(-4), SHAPE)
    interior &= ~rasterise(CSP.shrunk(-4), SHAPE)
    assert not (wrong & interior).any()


def test_the_brain_is_one_part_without_holes():
    labels = painted((1, BRAIN), (0, Ellipse(160, 80, 10, 6, 0)), (1, Ellipse(20, 20, 15, 12, 0)))
    np.testing.assert_array_equal(clean(labels, CLASSES, AS_IS), painted((1, BRAIN)))


def test_a_larger_structure_elsewhere_does_not_make_a_brain():
    labels = painted((1, Ellipse(240, 120, 50, 40, 0)), (3, Ellipse(80, 120, 70, 60, 0)))
    expected = painted((1, Ellipse(240, 120, 50, 40, 0)))
    np.testing.assert_array_equal(clean(labels, CLASSES, AS_IS), expected)


def test_a_ventricle_from_edge_to_edge_does_not_cut_the_brain_in_two():
    labels = TRUTH.copy()
    labels[:, 150:170][labels[:, 150:170] > 0] = 3
    np.testing.assert_array_equal(clean(labels, CLASSES, AS_IS), labels)


def test_slits_are_closed_up_to_a_share_of_the_brain():
    labels = painted((1, BRAIN))
    labels[:120, 160:163] = 0
    closed = clean(labels, CLASSES, Cleaning(closing=0.03))
    assert (closed[45:, 160:163] == 1).all(where=painted((1, BRAIN))[45:, 160:163] == 1)
    assert (clean(labels, CLASSES, AS_IS)[60:120, 160:163] == 0).all()
    # Twice the gap in the same brain is too wide.
    labels[:120, 157:166] = 0
    assert (clean(labels, CLASSES, Cleaning(closing=0.03))[60:110, 160] == 0).all()


def test_a_slit_in_a_ventricle_is_closed_and_its_hole_filled():
    labels = TRUTH.copy()
    labels[150, :][labels[150, :] == 3] = 1
    labels[145:148, 200:204] = 1
    found = clean(labels, CLASSES, Cleaning()) == 3
    # A disc does not reach the very ends of the slit.
    assert np.count_nonzero(found != (TRUTH == 3)) <= 2
    assert features(found, None).fragments == 1 and found[145:151, 200:204].all()


def test_only_the_largest_fragments_stay_and_the_others_become_brain():
    second, third = Ellipse(150, 60, 12, 6, 0), Ellipse(120, 160, 9, 5, 0)
    labels = TRUTH.copy()
    for part in (second, third):
        labels[rasterise(part, SHAPE)] = 3
    labels[rasterise(Ellipse(140, 110, 6, 5, 0), SHAPE)] = 2
    expected = TRUTH.copy()
    expected[rasterise(second, SHAPE)] = 3
    np.testing.assert_array_equal(clean(labels, CLASSES, Cleaning()), expected)
    np.testing.assert_array_equal(clean(labels, CLASSES, AS_IS), labels)


def test_small_fragments_become_brain():
    crumb = Ellipse(150, 60, 3, 2, 0)
    labels = painted((1, BRAIN), (3, crumb))
    share = rasterise(crumb, SHAPE).sum() / rasterise(BRAIN, SHAPE).sum()
    kept = clean(labels, CLASSES, Cleaning(min_area=0.9 * share))
    removed = clean(labels, CLASSES, Cleaning(min_area=1.1 * share))
    assert (kept == 3).sum() >= rasterise(crumb, SHAPE).sum()
    np.testing.assert_array_equal(removed, painted((1, BRAIN)))


@pytest.mark.parametrize("gap_px, stays", [(1, True), (12, False)])
def test_structures_lie_inside_the_grown_brain(gap_px, stays):
    brain = Ellipse(150, 120, 100, 80, 0)  # the margin is about 4.5 px
    labels = painted((1, brain))
    labels[115:125, 251 + gap_px : 254 + gap_px] = 3
    found = clean(labels, CLASSES, AS_IS)
    assert (found == 3).any() == stays
    assert (found[:, 251 + gap_px :] == 0).all() != stays


def test_a_ventricle_that_leaks_out_is_cut_off():
    labels = painted((1, Ellipse(130, 120, 90, 75, 0)), (3, Ellipse(220, 120, 60, 12, 0)))
    found = clean(labels, CLASSES, AS_IS)
    columns = np.flatnonzero((found == 3).any(axis=0))
    assert columns[0] == 160 and 220 <= columns[-1] <= 226  # 130 + 90, and 5 % of the radius
    assert not found[:, 228:].any()


def test_without_brain_there_is_nothing():
    labels = painted((3, LV), (2, CSP))
    assert not clean(labels, CLASSES, Cleaning()).any()
    assert not clean(np.zeros(SHAPE, np.uint8), CLASSES, Cleaning()).any()


@pytest.mark.parametrize("zoom", [2, 3])
def test_cleaning_does_not_know_the_frame_size(zoom):
    labels = TRUTH.copy()
    labels[:110, 160:162] = 0
    fragments = [
        (3, Ellipse(150, 70, 9, 6, 0)),
        (3, Ellipse(120, 160, 5, 3, 0)),
        (2, Ellipse(120, 140, 2.5, 2, 0)),
        (1, Ellipse(15, 15, 8, 8, 0)),
    ]
    for index, part in fragments:
        labels[rasterise(part, SHAPE)] = index
    large = np.kron(labels, np.ones((zoom, zoom), np.uint8))
    small_clean = clean(labels, CLASSES, Cleaning(min_area=0.004))
    expected = np.kron(small_clean, np.ones((zoom, zoom), np.uint8))
    found = clean(np.pad(large, 40), CLASSES, Cleaning(min_area=0.004))[40:-40, 40:-40]
    assert np.mean(found != expected) < 0.002
    for index in (1, 2, 3):
        assert (
            features(found == index, None).fragments == features(expected == index, None).fragments
        )


def test_cleaning_is_json_and_checks_itself():
    cleaning = Cleaning(closing=0.01, top_k={"lv": 1})
    assert Cleaning(**json.loads(json.dumps(dataclasses.asdict(cleaning)))) == cleaning
    for wrong in ({"closing": -0.1}, {"min_area": math.nan}, {"margin": 1.0}, {"top_k": {"lv": 0}}):
        with pytest.raises(ValueError, match=f"cleaning.{next(iter(wrong))}"):
            Cleaning(**wrong)
