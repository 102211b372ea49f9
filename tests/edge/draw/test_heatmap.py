"""Heatmaps show the value they were given; mismatch maps count what differs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fetal_tf.edge.draw.heatmap import COLORS, heatmap, mismatch_map


def lightness(rgb):
    """CIE L* of sRGB 0..255."""
    linear = np.asarray(rgb, float) / 255
    linear = np.where(linear <= 0.04045, linear / 12.92, ((linear + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    return np.where(luminance > 0.008856, 116 * np.cbrt(luminance) - 16, 903.3 * luminance)


def test_the_colours_grow_evenly_lighter_and_are_not_mirrored():
    steps = np.diff(lightness(COLORS[::15]))
    assert len(steps) == 17 and steps.min() > 0 and steps.max() < 2.5 * np.median(steps)
    assert COLORS[0].max() < 10 and COLORS[255].min() > 120
    red, _, blue = COLORS[140].astype(int)
    assert red > blue + 80  # RGB, not BGR


def test_the_blend_is_the_documented_formula():
    image = np.array([[0, 200, 255, 40, 90]], np.uint8)
    values = np.array([[0.0, 0.2, 0.5, 1.0, 7.0]])
    picture = heatmap(image, values, opacity=0.6)
    for x, (gray, value) in enumerate(zip(image[0], [0, 0.2, 0.5, 1, 1], strict=True)):
        a = 0.6 * (1 + value) / 2
        expected = (1 - a) * float(gray) + a * COLORS[round(255 * value)].astype(float)
        np.testing.assert_allclose(picture[0, x], expected, atol=0.5001)
    assert picture.dtype == np.uint8 and picture.shape == (1, 5, 3)


def test_without_opacity_only_the_frame_is_left():
    image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    picture = heatmap(image, np.random.default_rng(0).random((16, 16)), opacity=0)
    np.testing.assert_array_equal(picture, np.repeat(image[..., None], 3, axis=-1))


@pytest.mark.parametrize("gray", [0, 90, 255])
def test_a_higher_value_never_looks_lower(gray):
    """On any ground the colours of values a fifth apart stay clearly apart."""
    values = np.linspace(0, 1, 6)[None]
    row = heatmap(np.full((1, 6), gray, np.uint8), values)[0].astype(int)
    distance = np.abs(row[1:] - row[:-1]).max(-1)
    assert distance.min() > 25


@pytest.mark.parametrize(
    "image, values, opacity, word",
    [
        (np.zeros((4, 5), np.uint8), np.zeros((5, 4)), 0.5, r"\(5, 4\)"),
        (np.zeros((4, 5, 3), np.uint8), np.zeros((4, 5, 3)), 0.5, r"\(H, W\)"),
        (np.zeros((4, 5), np.uint8), np.zeros((4, 5)), 1.2, "1.2"),
        (np.zeros((4, 5), np.uint8), np.full((4, 5), np.nan), 0.5, "20 of the values"),
    ],
)
def test_what_cannot_be_drawn_is_refused(image, values, opacity, word):
    with pytest.raises(ValueError, match=word):
        heatmap(image, values, opacity)


def smoothed(different, sigma):
    """Gaussian by its definition, mirrored at the edges, row by row and column by column."""
    reach = int(np.ceil(4 * sigma))
    weights = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    weights /= weights.sum()
    for axis in (0, 1):
        width = [(reach, reach) if a == axis else (0, 0) for a in (0, 1)]
        padded = np.pad(different, width, mode="symmetric")
        different = np.apply_along_axis(np.convolve, axis, padded, weights, mode="valid")
    return different


@given(
    arrays(np.uint8, (9, 13), elements=st.integers(0, 3)),
    arrays(np.uint8, (9, 13), elements=st.integers(0, 3)),
    st.sampled_from([0.4, 1.0, 2.7, 6.0]),
)
def test_mismatch_is_the_smoothed_indicator(pred, truth, sigma):
    found = mismatch_map(pred, truth, sigma)
    expected = smoothed((pred != truth).astype(float), sigma)
    np.testing.assert_allclose(found, expected, atol=2e-4)
    assert found.dtype == np.float32 and found.min() >= 0 and found.max() <= 1
    assert found.mean() == pytest.approx((pred != truth).mean(), abs=2e-4)
    np.testing.assert_array_equal(found, mismatch_map(truth, pred, sigma))


def test_without_smoothing_mismatch_is_the_indicator_itself():
    pred, truth = np.array([[0, 1, 2, 3]], np.uint8), np.array([[0, 2, 2, 0]], np.uint8)
    np.testing.assert_array_equal(mismatch_map(pred, truth, 0), [[0, 1, 0, 1]])


def test_a_missed_structure_shows_more_than_a_border_one_pixel_off():
    truth = np.zeros((80, 80), np.uint8)
    truth[20:60, 20:60] = 1
    missed, moved = truth * 0, np.roll(truth, 1, axis=1)
    assert mismatch_map(missed, truth, 4).max() > 0.99
    assert mismatch_map(moved, truth, 4).max() < 0.15


def test_maps_that_cannot_be_compared_are_refused():
    labels = np.zeros((4, 5), np.uint8)
    with pytest.raises(ValueError, match=r"\(5, 4\)"):
        mismatch_map(labels, labels.T, 1)
    for sigma in (-1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="sigma_px"):
            mismatch_map(labels, labels, sigma)
