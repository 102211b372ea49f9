"""Training metrics of masks that may overlap: Dice, IoU and pixel accuracy at threshold 0.5.

Scores are averaged over images. Metrics of exclusive classes are in `fetal_tf.metrics.classes`. The
evaluation after training is `fetal_tf.scores`: per image, at the original size, in millimetres.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import KerasTensor, ops

THRESHOLD = 0.5


class MeanOfKnown(keras.metrics.Metric):
    """The weighted mean of known values; NaN where there was none (an error of 0 would be best)."""

    def __init__(self, name: str, dtype: Any = None):
        super().__init__(name=name, dtype=dtype)
        # float32 under every policy: float16 counts exactly only up to 2048.
        self.total = self.add_variable((), "zeros", dtype="float32", name="total")
        self.count = self.add_variable((), "zeros", dtype="float32", name="count")

    def add(
        self, values: KerasTensor, known: KerasTensor, sample_weight: KerasTensor | None
    ) -> None:
        """Add values (N, …) where `known`, bool of the same shape; `sample_weight` (N,)."""
        weight = ops.cast(known, "float32")
        if sample_weight is not None:
            per_sample = (-1, *[1] * (len(weight.shape) - 1))
            weight *= ops.cast(ops.reshape(sample_weight, per_sample), "float32")
        self.total.assign_add(ops.sum(ops.where(known, values, 0.0) * weight))
        self.count.assign_add(ops.sum(weight))

    def result(self) -> KerasTensor:
        mean = ops.divide_no_nan(self.total, self.count)
        return ops.where(self.count > 0, mean, float("nan"))


class MeanPerImage(MeanOfKnown):
    """The mean over images of a score of truth and prediction, both thresholded at 0.5.

    Classes are averaged within an image. Every image weighs the same, whatever its batch.

    Args:
        score: takes truth and prediction, (N, H, W, K) float32 of 0 and 1, and returns (N, K).
        name: the name in the logs.
        channel: the only class to score; None averages them all.
    """

    def __init__(
        self,
        score: Callable[[KerasTensor, KerasTensor], KerasTensor],
        name: str,
        dtype: Any = None,
        channel: int | None = None,
    ):
        super().__init__(name=name, dtype=dtype)
        self._score = score
        self.channel = channel

    def update_state(
        self, y_true: KerasTensor, y_pred: KerasTensor, sample_weight: KerasTensor | None = None
    ) -> None:
        """Add a batch: coverage 0..1 and probabilities, (N, H, W, K); `sample_weight` (N,)."""
        chosen = slice(None) if self.channel is None else slice(self.channel, self.channel + 1)
        truth, predicted = (_above_threshold(y[..., chosen]) for y in (y_true, y_pred))
        per_image = ops.mean(self._score(truth, predicted), axis=-1)
        self.add(per_image, ops.ones_like(per_image, dtype="bool"), sample_weight)

    def result(self) -> KerasTensor:
        """0 where there was no image."""
        return ops.divide_no_nan(self.total, self.count)

    def get_config(self) -> dict[str, Any]:
        """`score` belongs to the class, not to the config."""
        return {**super().get_config(), "channel": self.channel}


@keras.saving.register_keras_serializable(package="fetal_tf")
class Dice(MeanPerImage):
    """2 |A and B| / (|A| + |B|) per image and class; 1 where both are empty."""

    def __init__(self, name: str = "dice", dtype: Any = None, channel: int | None = None):
        super().__init__(_dice, name=name, dtype=dtype, channel=channel)


@keras.saving.register_keras_serializable(package="fetal_tf")
class IoU(MeanPerImage):
    """|A and B| / |A or B| per image and class; 1 where both are empty."""

    def __init__(self, name: str = "iou", dtype: Any = None, channel: int | None = None):
        super().__init__(_iou, name=name, dtype=dtype, channel=channel)


@keras.saving.register_keras_serializable(package="fetal_tf")
class PixelAccuracy(MeanPerImage):
    """The share of pixels on the right side of 0.5. Large backgrounds make it high for any net."""

    def __init__(self, name: str = "pixel_accuracy", dtype: Any = None, channel: int | None = None):
        super().__init__(_agreement, name=name, dtype=dtype, channel=channel)


def _above_threshold(y: KerasTensor) -> KerasTensor:
    # Compared before any cast: rounded to float16, 0.4999 could become 0.5.
    return ops.cast(ops.convert_to_tensor(y) >= THRESHOLD, "float32")


def _dice(truth: KerasTensor, predicted: KerasTensor) -> KerasTensor:
    return _ratio(2 * _pixels(truth * predicted), _pixels(truth) + _pixels(predicted))


def _iou(truth: KerasTensor, predicted: KerasTensor) -> KerasTensor:
    return _ratio(_pixels(truth * predicted), _pixels(ops.maximum(truth, predicted)))


def _agreement(truth: KerasTensor, predicted: KerasTensor) -> KerasTensor:
    return ops.mean(ops.cast(ops.equal(truth, predicted), "float32"), axis=(1, 2))


def _pixels(mask: KerasTensor) -> KerasTensor:
    return ops.sum(mask, axis=(1, 2))


def _ratio(part: KerasTensor, whole: KerasTensor) -> KerasTensor:
    """`part / whole`, and 1 where both are zero: an empty truth was predicted as empty."""
    return ops.where(whole > 0, part / ops.maximum(whole, 1.0), 1.0)
