"""Which training images set the ranges of the 8-bit formats."""

from collections.abc import Sequence

import numpy as np

from fetal_tf.data.sample import Sample
from fetal_tf.edge.errors import DataError
from fetal_tf.evaluation.evaluate import Frame


def choose_calibration(training: Sequence[Sample], count: int, seed: int) -> list[Sample]:
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
