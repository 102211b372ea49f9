"""MixUp and CutMix treat a frame and its target alike."""

from collections import Counter

import numpy as np
import pytest

from fetal_tf.data.pipeline.mixing import Mixer

BLACK = np.zeros((20, 30, 1), np.uint8), np.zeros((20, 30, 2), np.float32)
WHITE = np.full((20, 30, 1), 200, np.uint8), np.ones((20, 30, 2), np.float32)


def pairs(kind, alpha=0.8, count=60):
    for seed in range(count):
        yield Mixer(0.5, 0.5, alpha).mix(kind, BLACK, WHITE, np.random.default_rng(seed))


def test_mixup_blends_image_and_target_by_the_same_share():
    shares = set()
    for image, target in pairs("mixup"):
        assert image.dtype == np.uint8 and target.dtype == np.float32
        assert len(np.unique(image)) == 1 and len(np.unique(target)) == 1
        assert image[0, 0, 0] / 200 == pytest.approx(target[0, 0, 0], abs=0.003)
        shares.add(round(float(target[0, 0, 0]), 2))
    assert min(shares) < 0.2 and max(shares) > 0.8


def test_cutmix_pastes_the_same_box_into_both():
    areas = []
    for image, target in pairs("cutmix"):
        box = image[..., 0] == 200
        np.testing.assert_array_equal(target[..., 0] == 1, box)
        np.testing.assert_array_equal(target[..., 1], target[..., 0])
        rows, columns = box.any(axis=1), box.any(axis=0)
        np.testing.assert_array_equal(box, np.outer(rows, columns))
        areas.append(box.mean())
    assert min(areas) < 0.1 and max(areas) > 0.5


def test_neither_frame_is_written_to():
    list(pairs("cutmix", count=5))
    assert not BLACK[0].any() and (WHITE[1] == 1).all()


def test_each_kind_happens_as_often_as_it_should():
    mixer, rng = Mixer(0.2, 0.3, 0.4), np.random.default_rng(0)
    found = Counter(mixer.draw(rng) for _ in range(4000))
    assert found["mixup"] == pytest.approx(800, abs=90)
    assert found["cutmix"] == pytest.approx(1200, abs=100)
