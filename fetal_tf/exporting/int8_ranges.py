"""The training images that set the ranges of the 8-bit formats, and the frames made of them."""

from collections.abc import Sequence

import numpy as np

from fetal_tf.data.sample import Sample
from fetal_tf.edge.errors import DataError
from fetal_tf.evaluation.evaluate import Frame


def choose_range_samples(training: Sequence[Sample], count: int, seed: int) -> list[Sample]:
    """Draw `count` of the training samples, or all where there are fewer.

    The draw depends on the ids and the seed, not on the order in which files were found.

    Raises:
        DataError: no training sample at all.
    """
    if not training:
        raise DataError(
            "calibration: the run's training split holds no image; "
            "the 8-bit formats need some. Check data.root and splits.csv."
        )
    by_id = sorted(training, key=lambda sample: sample.id)
    drawn = np.random.default_rng(seed).permutation(len(by_id))[:count]
    return [by_id[index] for index in sorted(drawn)]


def read_frames(samples: Sequence[Sample], input_shape: tuple[int, int, int]) -> np.ndarray:
    """The samples as the network sees them, uint8 [N, height, width, channels], unaugmented.

    Raises:
        ImageError: a file that cannot be read.
    """
    frames = np.empty((len(samples), *input_shape), np.uint8)
    for index, sample in enumerate(samples):
        frames[index] = Frame.read(sample.image_path, input_shape).pixels
    return frames


def full_range(frames: np.ndarray) -> np.ndarray:
    """Copy `frames` [N, height, width, C], uint8, and make sure that 0 and 255 both occur.

    The int8 input then has scale 1 and zero point 0: a tablet passes raw pixels, and a frame
    brighter than all of these is not clipped. Two corner pixels of the first frame carry
    the values, so no other layer's range is touched noticeably.
    """
    frames = frames.copy()
    frames[0, 0, 0, :] = 0
    frames[0, -1, -1, :] = 255
    return frames
