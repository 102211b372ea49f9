"""Augmentation recipes: the same seed gives the same result, and targets move with frames."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fetal_tf.data.pipeline.augment import Augmenter
from fetal_tf.data.pipeline.targets import Target
from fetal_tf.edge.errors import ConfigError

RECIPE = [
    {"name": "HorizontalFlip", "p": 0.5},
    {"name": "Affine", "rotate": [-40, 40], "scale": [0.8, 1.2], "p": 0.9},
    {"name": "GaussNoise", "std_range": [0.05, 0.1], "p": 0.5},
]


@pytest.fixture
def frame():
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (48, 64, 1), np.uint8)
    target = np.zeros((48, 64, 1), np.uint8)
    target[10:30, 20:50] = 255
    return image, Target(target, np.array([[20.0, 10.0], [np.nan, np.nan], [49.0, 29.0]]))


def test_the_same_seed_gives_the_same_pair_in_any_thread_and_order(frame):
    augment = Augmenter(RECIPE)
    alone = {seed: augment(*frame, seed) for seed in range(40)}
    with ThreadPoolExecutor(4) as pool:
        seeds = list(range(39, -1, -1))
        threaded = dict(zip(seeds, pool.map(lambda s: augment(*frame, s), seeds), strict=True))
    for seed, (image, target) in alone.items():
        np.testing.assert_array_equal(image, threaded[seed][0])
        np.testing.assert_array_equal(target.maps, threaded[seed][1].maps)
        np.testing.assert_array_equal(target.points, threaded[seed][1].points)


def test_different_seeds_differ(frame):
    augment = Augmenter(RECIPE)
    images = {augment(*frame, seed)[0].tobytes() for seed in range(20)}
    assert len(images) >= 15  # now and then no transform is drawn


def test_the_target_moves_with_the_image():
    blob = np.zeros((64, 64, 1), np.uint8)
    blob[20:30, 35:55] = 255
    augment = Augmenter([{"name": "Affine", "rotate": [30, 30], "p": 1.0}])
    image, target = augment(blob, Target(blob), 0)
    assert not np.array_equal(target.maps, blob)
    difference = np.abs(image.astype(int) - target.maps).max()
    assert difference <= 1, "image and coverage are warped with the same interpolation"


def test_noise_leaves_the_target_alone(frame):
    image, target = Augmenter([{"name": "GaussNoise", "std_range": [0.1, 0.2], "p": 1.0}])(
        *frame, 1
    )
    assert not np.array_equal(image, frame[0])
    np.testing.assert_array_equal(target.maps, frame[1].maps)
    np.testing.assert_array_equal(target.points, frame[1].points)


def test_an_empty_recipe_changes_nothing(frame):
    image, target = Augmenter([])(*frame, 7)
    np.testing.assert_array_equal(image, frame[0])
    np.testing.assert_array_equal(target.maps, frame[1].maps)
    np.testing.assert_array_equal(target.points, frame[1].points)


def test_the_input_is_not_written_to(frame):
    arrays = frame[0], frame[1].maps, frame[1].points
    before = [array.copy() for array in arrays]
    Augmenter(RECIPE)(*frame, 5)
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"name": "Afine"}, "augment.0.name: unknown transform 'Afine' (did you mean Affine?)"),
        ({"name": "Affine", "rotat": 3}, "augment.0.rotat: unknown parameter of Affine (did you"),
        ({"name": "GaussianBlur", "p": 3}, "augment.0.p: Input should be less than or equal to 1"),
        ({"name": "Affine", "rotate": "x"}, "augment.0.rotate: "),
        ({"name": "RandomCrop", "height": 8, "width": 8}, "leave out what changes size or type"),
        ({"name": "ToFloat"}, "leave out what changes size or type"),
    ],
)
def test_a_wrong_recipe_is_refused_by_place(spec, expected):
    with pytest.raises(ConfigError) as error:
        Augmenter([spec])
    assert expected in str(error.value)


def test_a_crop_to_the_networks_own_size_is_allowed():
    spec = {"name": "RandomResizedCrop", "size": [48, 64], "p": 1.0}
    image = np.zeros((48, 64, 1), np.uint8)
    assert Augmenter([spec], (48, 64))(image, Target(image), 0)[0].shape == image.shape
    with pytest.raises(ConfigError, match="leave out what changes size"):
        Augmenter([spec], (96, 64))


GEOMETRY = [
    {"name": "HorizontalFlip"},
    {"name": "VerticalFlip"},
    {"name": "Affine", "rotate": [20, 20]},
    {"name": "Affine", "scale": [1.15, 1.15], "translate_percent": [0.1, 0.1]},
    {"name": "Affine", "shear": [8, 8]},
    {"name": "ElasticTransform", "alpha": 60, "sigma": 10},
    {"name": "GridDistortion", "distort_limit": [-0.3, 0.3]},
    {"name": "OpticalDistortion", "distort_limit": [0.2, 0.2]},
]


@pytest.mark.parametrize("spec", GEOMETRY, ids=lambda spec: "-".join(map(str, spec.values())))
@pytest.mark.parametrize("seed", range(3))
def test_points_move_with_the_image(spec, seed):
    """A blob about each point is where the point went, to a fraction of a pixel."""
    points = np.array([[40.0, 30.0], [90.0, 25.0], [64.0, 70.0], [35.0, 60.0]])
    y, x = np.mgrid[:96, :128]
    squared = [(x - px) ** 2 + (y - py) ** 2 for px, py in points]
    blobs = np.stack([255 * np.exp(-d / 18) for d in squared], axis=-1).round().astype(np.uint8)
    image = blobs.max(axis=-1, keepdims=True)
    augment = Augmenter([spec | {"p": 1.0}], (96, 128))
    _, moved = augment(image, Target(blobs, points), seed)
    weights = moved.maps.astype(float).reshape(-1, 4)
    centres = np.stack([weights.T @ x.ravel(), weights.T @ y.ravel()], -1) / weights.sum(0)[:, None]
    assert np.abs(moved.points - points).max() > 0.5, "nothing moved"
    assert np.abs(moved.points - centres).max() < 0.5


def test_a_point_that_leaves_the_frame_is_unknown_and_keeps_its_place_in_the_list():
    shift = [{"name": "Affine", "translate_px": {"x": [40, 40], "y": [0, 0]}, "p": 1.0}]
    points = np.array([[50.0, 10.0], [np.nan, np.nan], [10.0, 20.0], [23.25, 47.5]])
    blank = np.zeros((48, 64, 1), np.uint8)
    _, moved = Augmenter(shift, (48, 64))(blank, Target(blank[..., :0], points), 0)
    assert np.isnan(moved.points[:2]).all()
    np.testing.assert_allclose(moved.points[2:], [[50, 20], [63.25, 47.5]], atol=1e-3)
    assert moved.maps.shape == (48, 64, 0)


def test_a_frame_that_is_blanked_shows_nothing():
    """Recipes for nets that must refuse frames use it: one gray value, an empty target."""
    spec = {"name": "PixelDropout", "dropout_prob": 1.0, "drop_value": None, "mask_drop_value": 0}
    augmenter = Augmenter([{**spec, "p": 1.0}], (32, 48))
    image = np.random.default_rng(0).integers(0, 256, (32, 48, 1)).astype(np.uint8)
    target = Target(np.full((32, 48, 1), 255, np.uint8), np.array([[10.0, 12.0], [30.0, 20.0]]))
    grays = set()
    for seed in range(8):
        blank, nothing = augmenter(image, target, seed)
        assert blank.min() == blank.max() and not nothing.maps.any()
        assert np.isnan(nothing.points).all()
        grays.add(int(blank.max()))
    assert len(grays) > 4
