"""A teacher blends its answer to a frame into the target by the stated share."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fetal_tf.data.pipeline.augment import Augmenter
from fetal_tf.data.pipeline.dataset import FrameCache, training_dataset
from fetal_tf.data.pipeline.targets import Target, coverage_shares
from fetal_tf.data.pipeline.teacher import Teacher, check_bundles
from fetal_tf.data.sample import Sample
from fetal_tf.edge.bundle.bundle import Bundle, resolve_bundle
from fetal_tf.edge.errors import ConfigError
from fetal_tf.edge.geometry.letterbox import letterboxed
from fetal_tf.edge.io.images import write_png

CLASSES = ("head", "axis_cos", "axis_sin")
SHAPE = (192, 288, 1)


@pytest.fixture(scope="module")
def frames():
    """A bright ring on speckle, large and small, and nothing at all."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:192, :288]
    made = []
    for radius in (70, 40):
        distance = np.hypot((rows - 96) * 1.25, columns - 144)
        frame = rng.integers(10, 60, SHAPE[:2])
        frame[np.abs(distance - radius) < 4] = 220
        made.append(frame[..., None].astype(np.uint8))
    return [*made, np.zeros(SHAPE, np.uint8)]


def opened(name):
    return [Bundle.open(resolve_bundle(name))]


def teacher_of(name, share, threads=1, known=(True, True, True)):
    return Teacher(opened(name), share, lambda target: np.array(known), threads)


def answer(name, frame):
    (bundle,) = opened(name)
    return bundle.predictor().predict(frame[None])[0]


def test_the_target_is_the_experts_and_the_teachers_by_their_shares(frames):
    teacher = teacher_of("zoo:hc18", share=0.3)
    target = np.random.default_rng(1).random((192, 288, 3), np.float32)
    for frame in frames:
        blended = teacher.blend(frame, target)
        assert blended.dtype == np.float32
        expected = 0.7 * target + 0.3 * answer("zoo:hc18", frame)
        np.testing.assert_allclose(blended, expected, atol=1e-6)


def test_a_channel_in_which_nothing_is_known_stays_as_it_is(frames):
    teacher = teacher_of("zoo:hc18", share=0.3, known=(True, False, True))
    target = np.full((192, 288, 3), 0.5, np.float32)
    blended = teacher.blend(frames[0], target)
    assert (blended[..., 1] == 0.5).all()
    assert (blended[..., 0] != 0.5).any() and (blended[..., 2] != 0.5).any()


def test_several_teach_by_their_mean(frames):
    class Saying:
        """A bundle whose net says the same of every pixel."""

        def __init__(self, value):
            self.value = value

        def predictor(self):
            return self

        def predict(self, images):
            return np.full((len(images), 192, 288, 3), self.value, np.float32)

    teacher = Teacher([Saying(0.2), Saying(0.3), Saying(0.7)], 0.5, lambda target: True, 1)
    np.testing.assert_allclose(teacher.answer(frames[0]), 0.4, rtol=1e-6)
    np.testing.assert_allclose(teacher.blend(frames[0], np.ones((192, 288, 3))), 0.7, rtol=1e-6)


def test_threads_may_share_it(frames):
    teacher = teacher_of("zoo:hc18", share=0.5, threads=2)
    alone = [teacher.answer(frame) for frame in frames]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(teacher.answer, frames * 8))
    for i, found in enumerate(together):
        np.testing.assert_array_equal(found, alone[i % len(frames)])


@pytest.mark.parametrize(
    ("shape", "classes", "message"),
    [
        ((96, 144, 1), CLASSES, r"zoo/hc18 has other frames: \(192, 288, 1\) there, \(96"),
        (SHAPE, ("head",), r"zoo/hc18 has other classes: \('head', 'axis_cos'"),
    ],
)
def test_one_that_answers_another_question_is_refused(shape, classes, message):
    with pytest.raises(ConfigError, match=message):
        check_bundles(opened("zoo:hc18"), shape, classes)


def test_one_that_measures_worse_than_its_float_model_is_refused():
    (bundle,) = opened("zoo:hc18")
    check_bundles([bundle], SHAPE, CLASSES)
    bundle.manifest["files"]["int8"]["parity"] = "failed"
    with pytest.raises(ConfigError, match="int8 does not measure as well"):
        check_bundles([bundle], SHAPE, CLASSES)


def test_it_sees_the_augmented_frame_that_the_net_sees(tmp_path, frames, monkeypatch):
    samples = []
    for i, frame in enumerate(frames):
        write_png(tmp_path / f"{i}.png", frame[..., 0])
        samples.append(Sample(str(i), tmp_path / f"{i}.png", group=str(i)))

    def batches(teacher, workers=1, first=0):
        cache = FrameCache(
            samples,
            lambda sample, letterbox: Target(np.zeros((192, 288, 3), np.uint8)),
            SHAPE[:2],
            lambda target: coverage_shares(target.maps),
        )
        dataset = training_dataset(
            cache,
            Augmenter([{"name": "VerticalFlip", "p": 0.5}, {"name": "GaussNoise", "p": 1.0}]),
            batch_size=3,
            seed=0,
            first_epoch=first,
            last_epoch=2,
            workers=workers,
            teacher=teacher,
        )
        return [(image.numpy(), target.numpy()) for image, target in dataset]

    (bundle,) = opened("zoo:hc18")
    own = bundle.predictor()

    def expected(frame):
        return own.predict(frame[None])[0]

    loads = []
    predictor = Bundle.predictor
    monkeypatch.setattr(Bundle, "predictor", lambda self: loads.append(self) or predictor(self))
    teacher = teacher_of("zoo:hc18", share=1.0, threads=3)
    assert len(loads) == 3
    taught, alone = batches(teacher), batches(None)
    assert len(taught) == 2
    for (image, target), (same, empty) in zip(taught, alone, strict=True):
        np.testing.assert_array_equal(image, same)
        assert not empty.any()
        for frame, learnt in zip(image, target, strict=True):
            shown, _ = letterboxed(frame[..., 0].astype(np.uint8), SHAPE)
            np.testing.assert_array_equal(shown, frame)
            np.testing.assert_array_equal(learnt, expected(shown))
    # Threads change nothing, nor does going on from a later epoch.
    for again, before in (
        (batches(teacher, workers=3), taught),
        (batches(teacher, 2, 1), taught[1:]),
    ):
        for (image, target), (image2, target2) in zip(again, before, strict=True):
            np.testing.assert_array_equal(image, image2)
            np.testing.assert_array_equal(target, target2)
    assert len(loads) == 3, "no frame waits for a model to be read"
