"""The protocol that every predictor follows: frames in, probabilities out."""

from typing import Protocol

import numpy as np


class Predictor(Protocol):
    """Turns letterboxed frames into probabilities.

    Attributes:
        input_shape: (height, width, channels) of one frame.
    """

    @property
    def input_shape(self) -> tuple[int, int, int]: ...

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Frames uint8 (N, H, W, C), 0..255, to probabilities float32 (N, h, w, K)."""
        ...
