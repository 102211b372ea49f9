"""Frames of something else: what a net has to see to learn that nothing is to be found there.

A net for heads that has seen only heads finds one in every round thing. Frames of another plane,
learnt with an empty mask, teach it to answer with nothing, which the measurement refuses.
"""

import functools
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from fetal_tf.data.sample import Sample
from fetal_tf.edge.geometry.landmarks import LANDMARKS
from fetal_tf.edge.io.images import image_size


def as_negatives(samples: Iterable[Sample]) -> list[Sample]:
    """The frames as negatives: nothing is left to learn of what their own dataset annotates.

    Returns:
        Samples with `negative`: an empty mask without labels, landmarks that are nowhere (NaN).
        What is known of the frame is kept; its dataset is credited by `reference` and `ellipses`.
    """
    return [
        replace(
            sample,
            load_mask=functools.partial(_empty_mask, sample.image_path),
            labels=None,
            present=frozenset(),
            load_landmarks=_no_landmarks,
            negative=True,
        )
        for sample in samples
    ]


def _empty_mask(image_path: Path) -> np.ndarray:
    return np.zeros(image_size(image_path), np.uint8)


def _no_landmarks() -> np.ndarray:
    return np.full((len(LANDMARKS), 2), np.nan)
