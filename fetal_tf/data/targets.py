"""From a target as augmentation moves it, uint8, to what a loss takes, float32."""

import numpy as np


def coverage_shares(target: np.ndarray) -> np.ndarray:
    """Coverage uint8 [h, w, K], 255 = all of a pixel, as shares float32 0..1."""
    return target.astype(np.float32) / np.float32(255)


def one_hot(target: np.ndarray, classes: int) -> np.ndarray:
    """Class indices uint8 [h, w, 1] as float32 [h, w, classes] of 0 and 1."""
    return np.eye(classes, dtype=np.float32)[target[..., 0]]
