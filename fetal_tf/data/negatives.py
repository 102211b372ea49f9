"""Negatives: frames of another plane, learnt with an empty mask.

A net that has seen only heads finds a head in every round object. Negatives teach it to answer with
an empty mask, which the measurement refuses.
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
    """Turn samples into negatives, without their own annotations.

    Returns:
        Samples with `negative`: an empty mask without labels, landmarks that are nowhere (NaN).
        `reference` and `ellipses` stay: the dataset is recognised by them for its credit.
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
