"""The metric of a head's long axis."""

import math
from typing import Any

import keras
from keras import KerasTensor, ops

from fetal_tf.metrics.masks import MeanOfKnown


@keras.saving.register_keras_serializable(package="fetal_tf")
class AxisError(MeanOfKnown):
    """Mean angle between the true axis and the maps' mean over the true head, 0..90 degrees.

    Maps without any direction count as 45 degrees, the mean error of a guess. An image without a
    head or without a known axis is left out.
    """

    def __init__(self, name: str = "axis_error", dtype: Any = None):
        super().__init__(name=name, dtype=dtype)

    def update_state(
        self, y_true: KerasTensor, y_pred: KerasTensor, sample_weight: KerasTensor | None = None
    ) -> None:
        """Add a batch (N, h, w, 3) twice; `sample_weight` (N,) weighs its images."""
        y_true, y_pred = (ops.cast(y, "float32") for y in (y_true, y_pred))
        inside = y_true[..., :1]
        truth, seen = (
            ops.sum(inside * (2 * y[..., 1:] - 1), axis=(1, 2)) for y in (y_true, y_pred)
        )
        cross = truth[:, 0] * seen[:, 1] - truth[:, 1] * seen[:, 0]
        twice = ops.abs(ops.arctan2(cross, ops.sum(truth * seen, axis=-1)))
        errors = ops.where(ops.any(seen != 0, axis=-1), 90 / math.pi * twice, 45.0)
        self.add(errors, ops.any(truth != 0, axis=-1), sample_weight)
