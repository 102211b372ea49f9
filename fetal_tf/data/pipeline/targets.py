"""The target of a frame before encoding, and the two encodings of maps for a loss."""

from dataclasses import dataclass, field

import numpy as np


def _no_points() -> np.ndarray:
    return np.zeros((0, 2), np.float64)


@dataclass(frozen=True)
class Target:
    """The truth of a letterboxed frame: augmentation moves it along, then a task encodes it.

    Attributes:
        maps: uint8 [h, w, T]: coverage, 255 = all of a pixel, or class indices; T may be 0.
        points: float64 [P, 2], (x, y) in pixels of the frame, pixel centres at integers; NaN where
            unknown. They may lie outside of the frame.
    """

    maps: np.ndarray
    points: np.ndarray = field(default_factory=_no_points)


def coverage_shares(maps: np.ndarray) -> np.ndarray:
    """Coverage uint8 [h, w, K], 255 = all of a pixel, as shares float32 0..1."""
    return maps.astype(np.float32) / np.float32(255)


def one_hot(labels: np.ndarray, classes: int) -> np.ndarray:
    """Class indices uint8 [h, w, 1] as float32 [h, w, classes] of 0 and 1."""
    return np.eye(classes, dtype=np.float32)[labels[..., 0]]
