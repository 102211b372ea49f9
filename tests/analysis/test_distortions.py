import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetal_tf.analysis.distortions import DISPLAY_RANGE_DB, DISTORTIONS, sector

HEIGHT, WIDTH = 120, 160
KEEP_BLACK = ("speckle", "contrast", "gamma", "shadow")
EVERY_LEVEL = [(d.name, level) for d in DISTORTIONS.values() for level in d.levels]


def fan(texture=90):
    """A sector with its apex above the frame, black around it; and where it lies."""
    y, x = np.indices((HEIGHT, WIDTH))
    radius, angle = np.hypot(x - WIDTH / 2, y + 60), np.arctan2(x - WIDTH / 2, y + 60)
    inside = (radius > 70) & (radius < 165) & (np.abs(angle) < 0.4)
    image = np.random.default_rng(1).integers(texture - 40, texture + 40, inside.shape)
    return np.where(inside, image, 0).astype(np.uint8), inside


@pytest.mark.parametrize("name", DISTORTIONS)
def test_at_its_identity_a_frame_comes_back_bit_by_bit(name):
    distortion = DISTORTIONS[name]
    image, _ = fan()
    same = distortion.at(distortion.identity)(image)
    np.testing.assert_array_equal(same, image)
    assert same is not image


@pytest.mark.parametrize(("name", "level"), EVERY_LEVEL)
def test_every_level_gives_another_frame_and_leaves_its_input_alone(name, level):
    image, _ = fan()
    before = image.copy()
    spoilt = DISTORTIONS[name].at(level)(image)
    assert spoilt.dtype == np.uint8 and spoilt.shape == image.shape
    assert (spoilt != image).any()
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("name", DISTORTIONS)
def test_levels_ascend_around_the_identity_and_are_allowed(name):
    distortion = DISTORTIONS[name]
    low, high = distortion.allowed
    assert list(distortion.levels) == sorted(set(distortion.levels))
    assert distortion.identity not in distortion.levels
    assert low <= min(distortion.levels) and max(distortion.levels) <= high


@pytest.mark.parametrize("name", DISTORTIONS)
def test_the_further_from_the_identity_the_more_changes(name):
    distortion = DISTORTIONS[name]
    image, _ = fan()
    for side in (
        [level for level in distortion.levels if level > distortion.identity],
        [level for level in distortion.levels if level < distortion.identity][::-1],
    ):
        changes = [np.abs(distortion.at(v)(image).astype(float) - image).mean() for v in side]
        assert changes == sorted(changes)


@pytest.mark.parametrize(("name", "level"), EVERY_LEVEL)
def test_black_around_the_sector_stays_black_where_it_should(name, level):
    image, inside = fan()
    spoilt = DISTORTIONS[name].at(level)(image)
    if name in KEEP_BLACK:
        assert not spoilt[~inside].any()


@pytest.mark.parametrize("name", ["noise", "speckle", "shadow"])
def test_random_numbers_follow_from_seed_and_frame_alone(name):
    distortion = DISTORTIONS[name]
    first, other = fan()[0], fan(100)[0]
    distort = distortion.at(distortion.levels[-1], seed=4)
    alone = distort(first)
    distort(other)
    np.testing.assert_array_equal(distort(first), alone)
    np.testing.assert_array_equal(distortion.at(distortion.levels[-1], seed=4)(first), alone)
    assert (distortion.at(distortion.levels[-1], seed=5)(first) != alone).any()
    # A frame that differs in one pixel gets random numbers of its own.
    nearly = first.copy()
    nearly[HEIGHT // 2, WIDTH // 2] += 1
    elsewhere = np.ones(first.shape, bool)
    elsewhere[HEIGHT // 2, WIDTH // 2] = False
    assert (distort(nearly) != alone)[elsewhere].any()


def test_a_frame_that_is_a_view_draws_what_its_copy_draws():
    image, _ = fan()
    view = np.asfortranarray(image)
    distort = DISTORTIONS["noise"].at(20)
    np.testing.assert_array_equal(distort(view), distort(image))


@pytest.mark.parametrize("level", [5.0, 20.0])
def test_noise_has_its_level_as_sd_and_no_bias(level):
    image = np.full((200, 300), 128, np.uint8)
    added = DISTORTIONS["noise"].at(level)(image).astype(float) - 128
    assert abs(added.mean()) < 4 * level / np.sqrt(added.size)
    # Rounding to whole gray values adds 1/12 to the variance.
    np.testing.assert_allclose(added.std(), np.sqrt(level**2 + 1 / 12), rtol=0.02)
    rows = np.corrcoef(added[:, :-1].ravel(), added[:, 1:].ravel())[0, 1]
    assert abs(rows) < 0.02


def test_speckle_is_rayleigh_of_mean_one_and_correlated():
    image = np.full((400, 800), 60, np.uint8)
    factor = DISTORTIONS["speckle"].at(1.0)(image) / 60
    np.testing.assert_allclose(factor.mean(), 1, atol=0.01)
    # Rayleigh: sd over mean is sqrt(4 / pi - 1), median over mean is 2 sqrt(ln 2 / pi).
    np.testing.assert_allclose(factor.std(), np.sqrt(4 / np.pi - 1), rtol=0.05)
    np.testing.assert_allclose(np.median(factor), 2 * np.sqrt(np.log(2) / np.pi), rtol=0.05)
    across = np.corrcoef(factor[:, :-1].ravel(), factor[:, 1:].ravel())[0, 1]
    along = np.corrcoef(factor[:-1].ravel(), factor[1:].ravel())[0, 1]
    assert across > along > 0.5
    far = np.corrcoef(factor[:, :-40].ravel(), factor[:, 40:].ravel())[0, 1]
    assert abs(far) < 0.1


def test_speckle_of_half_the_strength_varies_half_as_much():
    image = np.full((200, 400), 100, np.uint8)
    half, full = (DISTORTIONS["speckle"].at(v)(image).astype(float) for v in (0.5, 1.0))
    unclipped = full < 255
    np.testing.assert_allclose((half - 100)[unclipped], ((full - 100) / 2)[unclipped], atol=0.8)


def test_blur_is_a_share_of_the_width():
    for width in (200, 400):
        image = np.zeros((101, width), np.uint8)
        image[:, width // 2 :] = 200
        blurred = DISTORTIONS["blur"].at(0.02)(image)[50].astype(float) / 200
        # A step becomes the normal distribution function: 0.16 and 0.84 lie two sd apart.
        low, high = np.interp([0.1587, 0.8413], blurred, np.arange(width))
        np.testing.assert_allclose(high - low, 2 * 0.02 * width, rtol=0.05)


def test_contrast_stretches_about_the_sectors_mean():
    image, inside = fan()
    middle = image[inside].mean()
    for level in (0.5, 1.5):
        spoilt = DISTORTIONS["contrast"].at(level)(image)
        expected = np.clip(middle + level * (image[inside].astype(float) - middle), 0, 255)
        np.testing.assert_allclose(spoilt[inside], expected, atol=0.5001)


def test_contrast_lifts_fluid_inside_the_sector():
    image, _ = fan()
    cv2.circle(image, (WIDTH // 2, 65), 12, 0, -1)
    spoilt = DISTORTIONS["contrast"].at(0.5)(image)
    assert spoilt[65, WIDTH // 2] > 30


@pytest.mark.parametrize(("level", "gray", "expected"), [(2.0, 128, 64), (0.5, 64, 128)])
def test_gamma_maps_gray_values(level, gray, expected):
    image = np.array([[0, gray, 255]] * 3, np.uint8)
    spoilt = DISTORTIONS["gamma"].at(level)(image)
    np.testing.assert_array_equal(spoilt[:, [0, 2]], image[:, [0, 2]])
    assert abs(int(spoilt[0, 1]) - expected) <= 1


def test_shadow_takes_decibels_away_in_bands_that_begin_below_the_surface():
    image = np.full((300, 400), 200, np.uint8)
    level = 12.0
    lost = 200.0 - DISTORTIONS["shadow"].at(level)(image)
    full = level * 255 / DISPLAY_RANGE_DB
    assert lost.min() == 0
    np.testing.assert_allclose(lost.max(), full, atol=0.5)
    assert not lost[:29].any()  # a tenth of the depth
    share = (lost > full / 2).mean(axis=1)
    assert 0.04 < share[-1] < 0.35
    bottom, middle = ((lost[row] > full / 2).sum() for row in (299, 150))
    assert bottom > middle > 0


@given(st.integers(0, 2**16))
def test_shadows_fall_inside_the_sector(seed):
    image, inside = fan()
    spoilt = DISTORTIONS["shadow"].at(40.0, seed)(image)
    darker = spoilt < image
    assert darker.any() and not darker[~inside].any()
    assert darker[inside].mean() < 0.6


def test_sector_is_what_the_black_around_it_leaves():
    image, inside = fan()
    image[inside & (np.random.default_rng(0).random(image.shape) < 0.2)] = 0  # pepper
    cv2.circle(image, (WIDTH // 2, 60), 10, 0, -1)  # fluid
    found = sector(image)
    edge = cv2.dilate(inside.astype(np.uint8), np.ones((3, 3))) != cv2.erode(
        inside.astype(np.uint8), np.ones((3, 3))
    )
    np.testing.assert_array_equal(found[~edge], inside[~edge])


def test_a_frame_without_a_border_is_all_sector_and_a_black_one_is_none():
    assert sector(np.full((60, 80), 9, np.uint8)).all()
    assert not sector(np.zeros((60, 80), np.uint8)).any()


@pytest.mark.parametrize("name", DISTORTIONS)
def test_a_black_frame_and_a_tiny_one_are_survived(name):
    distort = DISTORTIONS[name].at(DISTORTIONS[name].levels[-1])
    assert distort(np.zeros((40, 60), np.uint8)).shape == (40, 60)
    assert distort(np.full((16, 16), 77, np.uint8)).shape == (16, 16)


@pytest.mark.parametrize(("name", "level"), [("speckle", 1.5), ("blur", -0.1), ("gamma", 0.0)])
def test_a_senseless_level_is_refused(name, level):
    with pytest.raises(ValueError, match=f"{name}: level {level}"):
        DISTORTIONS[name].at(level)


@pytest.mark.parametrize("frame", [np.zeros((4, 5, 3), np.uint8), np.zeros((20, 20))])
def test_what_is_no_frame_is_refused(frame):
    with pytest.raises(TypeError, match="uint8"):
        DISTORTIONS["noise"].at(5.0)(frame)
