from types import SimpleNamespace

import numpy as np
import pytest

from fetal_tf.data.pipeline.dataset import FrameCache
from fetal_tf.data.pipeline.targets import Target, coverage_shares
from fetal_tf.data.sample import Sample
from fetal_tf.edge.io.images import write_png
from fetal_tf.training.gallery import TILE, soft_overlap, validation_gallery

SIZE = (32, 48)
NO_GATES = SimpleNamespace(layers=[])


class BrightTask:
    """The target is the right half; a drawing is the frame with the output's mean as its red."""

    def target(self, sample, letterbox):
        target = np.zeros((*SIZE, 1), np.uint8)
        target[:, 24:] = 255
        return Target(target)

    def draw(self, image, probabilities, letterbox, sample):
        rgb = np.repeat(image[..., None], 3, -1)
        rgb[..., 0] = round(255 * float(probabilities.mean()))
        return rgb


class ConstantPredictor:
    """Output i is right where i is even, and the less so the larger an odd i is."""

    def __init__(self, _model):
        pass

    def predict(self, images):
        outputs = np.zeros((len(images), *SIZE, 1), np.float32)
        outputs[:, :, 24:] = 1
        for i in range(1, len(images), 2):
            outputs[i, :, 24 : 24 + i] = 0
        return outputs


@pytest.fixture
def cache(tmp_path):
    samples = []
    for i in range(10):
        path = tmp_path / f"{i}.png"
        write_png(path, np.full((64, 96 + i), 10 * i, np.uint8))  # sizes differ, tiles do not
        samples.append(Sample(str(i), path, str(i)))
    return FrameCache(
        samples, BrightTask().target, SIZE, lambda target: coverage_shares(target.maps)
    )


def test_the_worst_frames_come_first(cache):
    pictures = validation_gallery(cache, BrightTask(), ConstantPredictor)(NO_GATES)
    assert set(pictures) == {"validation/fixed", "validation/worst"}
    assert pictures["validation/worst"].shape == (4, *TILE, 3)
    gray = [int(p[TILE[0] // 2, TILE[1] // 2, 1]) for p in pictures["validation/worst"]]
    assert gray == [90, 70, 50, 30]


def test_fixed_frames_do_not_change(cache):
    draw = validation_gallery(cache, BrightTask(), ConstantPredictor)
    np.testing.assert_array_equal(
        draw(NO_GATES)["validation/fixed"], draw(NO_GATES)["validation/fixed"]
    )


def test_overlap_of_same_half_and_none():
    target = np.zeros((3, 4, 4, 1))
    target[:, :, :2] = 1
    outputs = target.copy()
    outputs[1, :2] = 0
    outputs[2] = 1 - target[2]
    np.testing.assert_allclose(soft_overlap(outputs, target), [1, 1 - 4 / 12, 0], atol=1e-6)
