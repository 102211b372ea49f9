"""A Keras model as a predictor: the protocol that exported files fulfil too."""

import keras
import numpy as np


class KerasPredictor:
    """A Keras model as a predictor: uint8 [N, h, w, C] → float32 [N, h, w, K]."""

    def __init__(self, model: keras.Model, batch_size: int = 8):
        self.model = model
        self.input_shape: tuple[int, int, int] = tuple(model.input_shape[1:])
        self._batch_size = batch_size

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Probabilities of uint8 frames, computed batch by batch."""
        parts = [
            self.model.predict_on_batch(images[i : i + self._batch_size].astype(np.float32))
            for i in range(0, len(images), self._batch_size)
        ]
        return np.concatenate(parts).astype(np.float32)
