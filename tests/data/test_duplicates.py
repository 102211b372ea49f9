"""Copies of images are known again, and different images are not taken for copies."""

import cv2
import numpy as np
import pytest

from fetal_tf.data.duplicates import (
    NEAR_BITS,
    identical_images,
    linked,
    near_pairs,
    perceptual_hash,
)
from fetal_tf.data.phantom.hc18 import hc18_frame


@pytest.fixture(scope="module")
def images():
    return [hc18_frame(3, examination, 0)[0] for examination in range(4)]


def _bits(one, other):
    return int((perceptual_hash(one) != perceptual_hash(other)).sum())


CHANGES = {
    "as JPEG": lambda image: cv2.imdecode(cv2.imencode(".jpg", image, [1, 60])[1], 0),
    "half as large": lambda image: image[::2, ::2],
    "darker": lambda image: (image * 0.7).astype(np.uint8),
    "brighter": lambda image: (255 * (image / 255) ** 0.8).astype(np.uint8),
    "noisy": lambda image: (
        image + np.random.default_rng(0).normal(0, 10, image.shape)
    ).clip(0, 255).astype(np.uint8),
    "with text": lambda image: cv2.putText(image.copy(), "2.Trim.", (600, 60), 0, 1.0, 255, 2),
    "moved": lambda image: np.roll(image, (3, 3), (0, 1)),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_is_known_again(images, change):
    assert all(_bits(image, CHANGES[change](image)) <= NEAR_BITS for image in images)


def test_mirrored_and_other_images_are_no_copies(images):
    assert all(_bits(image, image[:, ::-1]) > NEAR_BITS for image in images)
    assert near_pairs([perceptual_hash(image) for image in images]) == []


def test_plain_images_are_told_from_nothing(images):
    assert perceptual_hash(np.full((50, 60), 7, np.uint8)) is None
    square = np.zeros((120, 160), np.uint8)
    square[40:80, 60:100] = 90
    assert perceptual_hash(square) is None
    seen = perceptual_hash(images[0])
    assert near_pairs([None, seen, None, seen]) == [(1, 3, 0)]
    assert near_pairs([None, seen]) == []


def test_pairs_are_counted_by_the_bits_that_differ(images):
    first = perceptual_hash(images[0])
    second, third = first.copy(), first.copy()
    second[:NEAR_BITS] ^= True
    third[: NEAR_BITS + 1] ^= True
    assert near_pairs([first, second, third]) == [(0, 1, NEAR_BITS), (1, 2, 1)]


def test_links_are_followed():
    assert linked([("a", "b"), ("d", "e"), ("e", "b"), ("x", "y")]) == [
        ["d", "e", "a", "b"],
        ["x", "y"],
    ]
    assert linked([]) == []


def test_identical_files_are_found_by_content(tmp_path):
    for name, text in {"a": "one", "b": "two", "c": "one", "d": "longer"}.items():
        (tmp_path / name).write_text(text)
    paths = [tmp_path / name for name in "dabc"]
    assert identical_images(paths) == [[tmp_path / "a", tmp_path / "c"]]
