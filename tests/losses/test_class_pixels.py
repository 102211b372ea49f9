"""Class frequencies: counted by hand, weighed by the stated formula, stored as JSON."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fetal_tf.losses.class_pixels import ClassPixels

CLASSES = ("background", "brain", "csp", "lv")
MAPS = st.lists(hnp.arrays(np.uint8, (5, 6), elements=st.integers(0, 3)), min_size=1, max_size=4)
PIXELS = st.lists(st.integers(0, 10**12), min_size=2, max_size=6).filter(any)


def class_pixels(pixels) -> ClassPixels:
    names = tuple(f"class {i}" for i in range(len(pixels)))
    return ClassPixels(names, tuple(pixels), tuple(int(p > 0) for p in pixels))


@given(MAPS)
def test_counts_equal_a_walk_over_every_pixel(maps):
    pixels, images = [0] * 4, [0] * 4
    for labels in maps:
        seen = set()
        for label in labels.ravel().tolist():
            pixels[label] += 1
            seen.add(label)
        for label in seen:
            images[label] += 1
    expected = ClassPixels(CLASSES, tuple(pixels), tuple(images))
    assert ClassPixels.count(maps, CLASSES) == expected
    assert ClassPixels.count((labels[..., None] for labels in maps), CLASSES) == expected


def test_many_large_frames_do_not_overflow_eight_bits():
    frame = np.full((512, 512), 1, np.uint8)
    counted = ClassPixels.count([frame] * 300, CLASSES)
    assert counted.pixels == (0, 300 * 512 * 512, 0, 0)
    assert counted.images == (0, 300, 0, 0)


def test_weights_follow_the_formula():
    shares = np.array([0.70, 0.285, 0.005, 0.01])
    inverse = 1 / (shares + 0.02)
    weights = class_pixels([7000, 2850, 50, 100]).inverse_frequency_weights(0.02)
    np.testing.assert_allclose(weights, 4 * inverse / inverse.sum(), rtol=1e-12)
    assert weights[2] / weights[0] == pytest.approx(0.72 / 0.025)  # the 29 of the docstring


@given(PIXELS, st.floats(1e-6, 10))
def test_rarer_weighs_more_and_absent_stays_finite(pixels, smoothing):
    weights = class_pixels(pixels).inverse_frequency_weights(smoothing)
    assert np.isfinite(weights).all() and (weights > 0).all()
    assert weights.mean() == pytest.approx(1)
    assert (np.diff(weights[np.argsort(pixels)]) <= 1e-12).all()
    ratio = weights.max() / weights.min()
    assert ratio <= (1 + smoothing) / smoothing * (1 + 1e-9)


@pytest.mark.parametrize("smoothing", [0.0, -0.1, np.inf, np.nan])
def test_a_senseless_smoothing_is_refused(smoothing):
    with pytest.raises(ValueError, match="smoothing"):
        class_pixels([5, 0]).inverse_frequency_weights(smoothing)


@given(MAPS)
def test_json_round_trip(maps):
    counted = ClassPixels.count(maps, CLASSES)
    assert ClassPixels.from_record(json.loads(json.dumps(counted.as_record()))) == counted


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixels": [1, 2]}, "each class needs one of both"),
        ({"images": [1, 1, 1, 1, 1]}, "each class needs one of both"),
        ({"pixels": [1, 2, 3, -4]}, "negative"),
        ({"pixels": [1, 2, 3, 4.5]}, "whole numbers"),
        ({"images": [1, 2, 3, True]}, "whole numbers"),
        ({"pixels": [0, 0, 0, 0]}, "no training frame"),
    ],
)
def test_a_damaged_record_is_refused(change, message):
    record = {"classes": list(CLASSES), "pixels": [4, 3, 2, 1], "images": [1, 1, 1, 1]}
    with pytest.raises(ValueError, match=message):
        ClassPixels.from_record(record | change)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (np.full((2, 2), 4, np.uint8), r"label map 1: holds class 4; .* 0 background to 3 lv"),
        (np.zeros((2, 2, 4), np.uint8), r"label map 1: found uint8 \[2, 2, 4\]"),
        (np.zeros((2, 2), np.float32), r"label map 1: found float32 \[2, 2\]"),
        (np.zeros(4, np.uint8), r"label map 1: found uint8 \[4\]"),
    ],
)
def test_a_target_that_is_no_label_map_is_named(target, message):
    with pytest.raises(ValueError, match=message):
        ClassPixels.count([np.zeros((2, 2), np.uint8), target], CLASSES)


def test_no_frames_at_all_is_refused():
    with pytest.raises(ValueError, match="no training frame"):
        ClassPixels.count([], CLASSES)
