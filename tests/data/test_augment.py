from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fetal_tf.data.augment import Augmenter
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
    return image, target


def test_the_same_seed_gives_the_same_pair_in_any_thread_and_order(frame):
    augment = Augmenter(RECIPE)
    alone = {seed: augment(*frame, seed) for seed in range(40)}
    with ThreadPoolExecutor(4) as pool:
        seeds = list(range(39, -1, -1))
        threaded = dict(zip(seeds, pool.map(lambda s: augment(*frame, s), seeds), strict=True))
    for seed, (image, target) in alone.items():
        np.testing.assert_array_equal(image, threaded[seed][0])
        np.testing.assert_array_equal(target, threaded[seed][1])


def test_different_seeds_differ(frame):
    augment = Augmenter(RECIPE)
    images = {augment(*frame, seed)[0].tobytes() for seed in range(20)}
    assert len(images) >= 15  # now and then no transform is drawn


def test_the_target_moves_with_the_image():
    blob = np.zeros((64, 64, 1), np.uint8)
    blob[20:30, 35:55] = 255
    augment = Augmenter([{"name": "Affine", "rotate": [30, 30], "p": 1.0}])
    image, target = augment(blob, blob, 0)
    assert not np.array_equal(target, blob)
    difference = np.abs(image.astype(int) - target).max()
    assert difference <= 1, "image and coverage are warped with the same interpolation"


def test_noise_leaves_the_target_alone(frame):
    image, target = Augmenter([{"name": "GaussNoise", "std_range": [0.1, 0.2], "p": 1.0}])(
        *frame, 1
    )
    assert not np.array_equal(image, frame[0])
    np.testing.assert_array_equal(target, frame[1])


def test_an_empty_recipe_changes_nothing(frame):
    image, target = Augmenter([])(*frame, 7)
    np.testing.assert_array_equal(image, frame[0])
    np.testing.assert_array_equal(target, frame[1])


def test_the_input_is_not_written_to(frame):
    before = [array.copy() for array in frame]
    Augmenter(RECIPE)(*frame, 5)
    for array, copy in zip(frame, before, strict=True):
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
    assert Augmenter([spec], (48, 64))(image, image, 0)[0].shape == image.shape
    with pytest.raises(ConfigError, match="leave out what changes size"):
        Augmenter([spec], (96, 64))
