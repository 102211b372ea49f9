"""The loss of a reconstruction: the mean squared difference of gray values inside the frame."""

from typing import Any

import keras
from keras import KerasTensor, ops

from fetal_tf.losses.keyword_loss import KeywordLoss
from fetal_tf.losses.registry import LOSSES


def mean_squared_error(y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
    """Mean over pixels and channels of (t - p)², (N, H, W, K) to (N,).

    Args:
        y_true: (N, H, W, K) in 0..1, or (N, H, W, K + 1): the last channel is then the weight of
            each pixel, 1 inside the frame and 0 in its padding.
        y_pred: (N, H, W, K) in 0..1.

    Returns:
        One value per image, 0 where no pixel has a weight.
    """
    channels = y_pred.shape[-1]
    squared = ops.mean(ops.square(y_true[..., :channels] - y_pred), axis=-1)
    if y_true.shape[-1] == channels:
        return ops.mean(squared, axis=(1, 2))
    inside = y_true[..., channels]
    weight = ops.sum(inside, axis=(1, 2))
    # Weights are 0..1 and whole frames have thousands of them: 1 only guards an empty frame.
    return ops.sum(inside * squared, axis=(1, 2)) / ops.maximum(weight, 1.0)


@LOSSES.register("mse")
@keras.saving.register_keras_serializable(package="fetal_tf")
class MeanSquaredError(KeywordLoss):
    """`mean_squared_error` per image, then the mean: images of any aspect weigh alike."""

    def __init__(self, *, name: str = "mse", **kwargs: Any):
        super().__init__(name=name, **kwargs)

    def call(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        """See `mean_squared_error`."""
        return mean_squared_error(y_true, y_pred)
