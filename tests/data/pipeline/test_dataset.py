"""The tf.data pipeline: seeded, resumable, weighted and mixed batches."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from fetal_tf.data.pipeline.augment import Augmenter
from fetal_tf.data.pipeline.dataset import (
    FrameCache,
    evaluation_dataset,
    steps_per_epoch,
    systematic_draw,
    training_dataset,
)
from fetal_tf.data.pipeline.mixing import Mixer
from fetal_tf.data.pipeline.targets import Target, coverage_shares, one_hot
from fetal_tf.data.sample import Sample
from fetal_tf.edge.errors import DataError
from fetal_tf.edge.io.images import write_png

SIZE = (32, 48)


def shares(target):
    return coverage_shares(target.maps)


class CountingTask:
    """Target = the frame's own brightness, and a count of how often it was asked for."""

    def __init__(self):
        self.calls = 0

    def target(self, sample, letterbox):
        self.calls += 1
        return Target(np.full((*SIZE, 1), int(sample.id), np.uint8))


@pytest.fixture
def samples(tmp_path):
    made = []
    for value in range(10):
        path = tmp_path / f"{value}.png"
        write_png(path, np.full((64, 96), value * 20, np.uint8))
        made.append(Sample(str(value), path, group=str(value)))
    return made


def batches(
    samples,
    *,
    workers=1,
    seed=0,
    first=0,
    last=2,
    recipe=(),
    batch_size=4,
    weights=None,
    share=(0, 1),
):
    dataset = training_dataset(
        FrameCache(samples, CountingTask().target, SIZE, shares),
        Augmenter(list(recipe)),
        batch_size=batch_size,
        seed=seed,
        first_epoch=first,
        last_epoch=last,
        workers=workers,
        weights=weights,
        share=share,
    )
    return [(image.numpy(), target.numpy()) for image, target in dataset]


NOISE = [{"name": "GaussNoise", "std_range": [0.1, 0.2], "p": 1.0}]


def test_thread_count_changes_nothing(samples):
    one, four = (batches(samples, workers=w, recipe=NOISE) for w in (1, 4))
    assert len(one) == len(four) == 4
    for (image, target), (image4, target4) in zip(one, four, strict=True):
        np.testing.assert_array_equal(image, image4)
        np.testing.assert_array_equal(target, target4)


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_the_parts_of_a_batch_are_the_batch(samples, parts):
    """Each of several processes makes one part; together they see what one would have seen."""
    whole = batches(samples, batch_size=4)
    shares = [batches(samples, batch_size=4, share=(part, parts)) for part in range(parts)]
    assert {len(share) for share in shares} == {len(whole)} and len(whole) > 3
    for number, (image, target) in enumerate(whole):
        pieces = [share[number] for share in shares]
        np.testing.assert_array_equal(np.concatenate([p[0] for p in pieces]), image)
        np.testing.assert_array_equal(np.concatenate([p[1] for p in pieces]), target)


def test_a_resumed_run_sees_the_epochs_it_would_have_seen(samples):
    whole = batches(samples, last=3, recipe=NOISE)
    tail = batches(samples, first=1, last=3, recipe=NOISE)
    for (image, target), (image2, target2) in zip(whole[2:], tail, strict=True):
        np.testing.assert_array_equal(image, image2)
        np.testing.assert_array_equal(target, target2)


def test_epochs_and_seeds_differ(samples):
    first, second = (batches(samples, recipe=NOISE)[i][0] for i in (0, 2))
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, batches(samples, seed=1, recipe=NOISE)[0][0])


def test_no_frame_comes_twice_in_an_epoch_and_image_goes_with_its_target(samples):
    ids = []
    for image, target in batches(samples, last=1):
        assert image.dtype == target.dtype == np.float32
        assert image.shape == (4, *SIZE, 1)
        for frame, truth in zip(image, target, strict=True):
            identity = round(float(truth.max()) * 255)
            assert frame.max() == identity * 20
            ids.append(identity)
    assert len(ids) == len(set(ids)) == 8


def test_every_frame_comes_within_a_few_epochs(samples):
    seen = {
        round(float(truth.max()) * 255)
        for _, target in batches(samples, last=6)
        for truth in target
    }
    assert seen == set(range(10))


def test_a_set_smaller_than_a_batch_still_trains(samples):
    made = batches(samples[:3], batch_size=20, last=2)
    assert [image.shape[0] for image, _ in made] == [3, 3]
    assert steps_per_epoch(3, 20) == 1


def test_evaluation_keeps_order_and_the_last_small_batch(samples):
    cache = FrameCache(samples, CountingTask().target, SIZE, shares)
    targets = [t.numpy() for _, t in evaluation_dataset(cache, batch_size=4, workers=2)]
    assert [len(t) for t in targets] == [4, 4, 2]
    found = [round(float(t.max()) * 255) for batch in targets for t in batch]
    assert found == list(range(10))


def test_each_frame_is_read_once(samples):
    task = CountingTask()
    cache = FrameCache(samples, task.target, SIZE, shares)
    cache.fill("frames", workers=2)
    for _ in range(3):
        list(evaluation_dataset(cache, batch_size=4, workers=1))
    assert task.calls == len(samples)


def test_broken_files_stop_the_run_before_it_begins(samples):
    samples[3].image_path.write_bytes(b"not a picture")
    samples[7].image_path.unlink()
    cache = FrameCache(samples, CountingTask().target, SIZE, shares)
    with pytest.raises(DataError, match="2 of 10 frames cannot be used") as error:
        cache.fill("frames", workers=2)
    assert "3.png" in str(error.value)
    assert "7.png" in str(error.value)


def test_weights_draw_a_frame_more_often_and_augment_each_draw_anew(samples):
    weights = np.ones(10, np.float32)
    weights[3] = 9
    drawn = batches(samples, recipe=NOISE, weights=weights, last=1, batch_size=10)
    image, target = drawn[0]
    ids = np.rint(target[:, 0, 0, 0] * 255).astype(int)
    times = np.bincount(ids, minlength=10)
    assert times[3] in (4, 5), "10 draws, 9 of 18 parts of the weight"
    twice = image[ids == 3]
    assert not np.array_equal(twice[0], twice[1])
    again = batches(samples, recipe=NOISE, weights=weights, last=1, batch_size=10, workers=4)
    np.testing.assert_array_equal(image, again[0][0])


def test_labels_are_encoded_after_they_were_moved(tmp_path):
    """Pixels from outside the frame are class 0, and no class is interpolated."""
    path = tmp_path / "0.png"
    write_png(path, np.full((32, 48), 90, np.uint8))
    cache = FrameCache(
        [Sample("0", path, group="0")],
        lambda sample, letterbox: Target(np.full((*SIZE, 1), 2, np.uint8)),
        SIZE,
        encode=lambda target: one_hot(target.maps, 3),
    )
    moved = {"translate_px": {"x": [7, 7], "y": [0, 0]}, "rotate": [10, 10], "p": 1.0}
    shift = [{"name": "Affine", **moved}]
    dataset = training_dataset(
        cache,
        Augmenter(shift, SIZE, target_interpolation="nearest"),
        batch_size=1, seed=0, first_epoch=0, last_epoch=1, workers=1,
    )  # fmt: skip
    _, target = next(iter(dataset))
    target = target.numpy()[0]
    assert target.shape == (*SIZE, 3) and target.dtype == np.float32
    np.testing.assert_array_equal(target.sum(axis=-1), 1)
    assert set(np.unique(target)) == {0, 1}
    assert target[..., 0].sum() > 7 * 25 and not target[..., 1].any()


def test_mixed_frames_are_the_same_at_every_resumption_and_with_any_number_of_threads(samples):
    cache = FrameCache(samples, CountingTask().target, SIZE, shares)

    def epoch(number, workers):
        dataset = training_dataset(
            cache, Augmenter(NOISE), batch_size=5, seed=4, first_epoch=number,
            last_epoch=number + 1, workers=workers, mixer=Mixer(0.5, 0.5, 0.4),
        )  # fmt: skip
        return [(image.numpy(), target.numpy()) for image, target in dataset]

    for one, other in zip(epoch(1, 1), epoch(1, 4), strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])
    mixed = [target for _, batch in epoch(1, 2) for target in batch]
    plain = {round(value / 255, 4) for value in range(10)}
    assert any(not {round(float(v), 4) for v in np.unique(t)} <= plain for t in mixed)
    assert not np.array_equal(epoch(1, 1)[0][1], epoch(2, 1)[0][1])


def mixed_pairs(samples, weights=None, epochs=40):
    """The two frames of every mixture, by index: each target holds the shares of its frames."""
    cache = FrameCache(samples, CountingTask().target, SIZE, lambda t: one_hot(t.maps, 10))
    dataset = training_dataset(
        cache, Augmenter([]), batch_size=10, seed=1, first_epoch=0, last_epoch=epochs, workers=2,
        weights=weights, mixer=Mixer(1.0, 0.0, 50.0),
    )  # fmt: skip
    return [np.flatnonzero(target[0, 0]) for _, batch in dataset for target in batch.numpy()]


def test_a_frame_is_never_mixed_with_itself(samples):
    assert all(len(pair) == 2 for pair in mixed_pairs(samples))
    heavy = np.array([50, *[1] * 9], np.float32)
    assert all(len(pair) == 2 for pair in mixed_pairs(samples, heavy))
    assert all(len(pair) == 2 for pair in mixed_pairs(samples[:2]))


def test_partners_are_drawn_by_the_weights_of_the_epochs_frames(samples):
    """A frame of weight 9 among nine of weight 1 is half of the draws, and 9 of 17 partners."""
    weights = np.ones(10, np.float32)
    weights[3], weights[7] = 9, 1e-6
    pairs = mixed_pairs(samples, weights)
    assert np.mean([3 in pair for pair in pairs]) == pytest.approx(
        9 / 17 + 8 / 17 * 9 / 16, abs=0.05
    )
    assert not any(7 in pair for pair in pairs), "a frame of next to no weight is no partner either"


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=40),
    st.integers(1, 60),
    st.integers(0, 2**31 - 1),
)
def test_each_frame_is_drawn_its_expected_number_of_times(weights, count, seed):
    """Systematic sampling: n · w / Σw rounded down or up."""
    n = len(weights)
    order = np.random.default_rng(seed).permutation(n).astype(np.int32)
    drawn = systematic_draw(
        tf.constant(order), tf.constant(weights, tf.float32), count, tf.constant([seed, 7])
    ).numpy()
    times = np.bincount(drawn, minlength=n)
    expected = count * np.array(weights) / sum(weights)
    assert times.sum() == count
    assert (times >= np.floor(expected - 1e-6)).all()
    assert (times <= np.ceil(expected + 1e-6)).all()


def test_the_same_seed_draws_the_same_and_another_epoch_does_not():
    order, weights = tf.range(100), tf.constant([1.0, 3.0] * 50)

    def draw(epoch):
        return systematic_draw(order, weights, 100, tf.constant([3, epoch])).numpy().tolist()

    assert draw(0) == draw(0)
    assert draw(0) != draw(1)
    assert sorted(draw(0)) != draw(0), "the draws are shuffled"
