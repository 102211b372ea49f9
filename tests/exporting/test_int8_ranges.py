"""The draw of the images that set 8-bit ranges, and the frames they become."""

import numpy as np
import pytest
from PIL import Image

from fetal_tf.data.sample import Sample
from fetal_tf.edge.errors import DataError
from fetal_tf.exporting.comparison import spread_probes
from fetal_tf.exporting.int8_ranges import choose_range_samples, full_range, read_frames
from fetal_tf.scores.rows import image_frame


def samples(count, folder=None):
    ids = [f"{i:03d}" for i in range(count)]
    return [Sample(i, (folder / f"{i}.png") if folder else None, i) for i in ids]


def test_draw_depends_on_seed_and_ids_not_on_order():
    found = samples(50)
    first = [s.id for s in choose_range_samples(found, 10, seed=3)]
    assert len(set(first)) == 10
    assert first == [s.id for s in choose_range_samples(found[::-1], 10, seed=3)]
    assert first != [s.id for s in choose_range_samples(found, 10, seed=4)]


def test_fewer_images_than_wanted_are_all_taken():
    assert len(choose_range_samples(samples(5), 100, seed=0)) == 5


def test_no_training_image_is_an_error():
    with pytest.raises(DataError, match="training split holds no image"):
        choose_range_samples([], 100, seed=0)


def test_frames_are_letterboxed_and_keep_their_gray_values(tmp_path):
    for sample in samples(2):
        Image.fromarray(np.full((20, 60), 40, np.uint8)).save(tmp_path / f"{sample.id}.png")
    frames = read_frames(samples(2, tmp_path), (40, 60, 1))
    assert (frames.shape, frames.dtype) == ((2, 40, 60, 1), np.uint8)
    assert (frames[:, 10:30] == 40).all()
    assert (frames[:, :10] == 0).all()
    assert (frames[:, 30:] == 0).all()
    assert read_frames([], (40, 60, 1)).shape == (0, 40, 60, 1)


def test_probes_are_spread_and_skip_what_could_not_be_evaluated():
    rows = image_frame([{"id": f"{i:03d}", "error": "bad" if i == 0 else ""} for i in range(9)])
    assert [s.id for s in spread_probes(samples(9), rows, count=3)] == ["001", "005", "008"]
    assert len(spread_probes(samples(9), rows, count=100)) == 8


def test_no_readable_image_is_an_error():
    with pytest.raises(DataError, match=r"not one of 2 images .* truncated"):
        spread_probes(samples(2), image_frame([{"error": "truncated"}] * 2))


def test_full_range_adds_both_ends_and_leaves_its_argument():
    frames = np.random.default_rng(0).integers(30, 200, (6, 16, 24, 1)).astype(np.uint8)
    before = frames.copy()
    wide = full_range(frames)
    assert (wide.min(), wide.max()) == (0, 255)
    assert (wide != frames).sum() <= 2
    np.testing.assert_array_equal(frames, before)
