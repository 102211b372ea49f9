"""Overlap of exclusive classes, pooled over a batch: Dice and Tversky.

Both take `y_true` (N, H, W, K), one-hot, and `y_pred` of the same shape, softmax probabilities, as
every loss of exclusive classes does, see `fetal_tf.losses.classes`.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import KerasTensor, ops

# Below this, a power with an exponent under 1 has no usable derivative.
BASE_FLOOR = 1e-7


class BatchOverlap(keras.losses.Loss):
    """The weighted mean over classes of an overlap loss whose sums run over the whole batch.

    A rare class is missing from most images, and an image without it can only say "less": pooled
    over the batch, its few pixels are judged together. A class that the batch's truth lacks is left
    out, so this term has no gradient for it; where none is left, the loss is 0. Every image gets
    the batch's value. A `sample_weight` scales that value; it takes no image out of the sums.

    Args:
        class_weights: w_c, one per class; None weighs all alike.
        include_background: False leaves out class 0.
        smooth: epsilon in numerator and denominator, in pixels.
        reduction: as in `keras.losses.Loss`.
        name: the loss's name.
        dtype: as in `keras.losses.Loss`.
    """

    def __init__(
        self,
        class_weights: Sequence[float] | None = None,
        include_background: bool = True,
        smooth: float = 1.0,
        reduction: str = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.class_weights = weight_list(class_weights)
        self.include_background = include_background
        self.smooth = smooth

    def call(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        """(N, H, W, K) twice to (N,), the batch's one value."""
        present = ops.cast(ops.max(y_true, axis=(0, 1, 2)) > 0, y_pred.dtype)
        weights = channel_weights(self.class_weights, y_pred) * present
        if not self.include_background:
            weights = weights * ops.cast(ops.arange(y_pred.shape[-1]) > 0, y_pred.dtype)
        losses = self._per_class(y_true, y_pred)
        value = ops.divide_no_nan(ops.sum(weights * losses), ops.sum(weights))
        return value * ops.ones_like(y_pred[:, 0, 0, 0])

    def _per_class(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        """(N, H, W, K) twice to (K,), each 0..1."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "class_weights": self.class_weights,
            "include_background": self.include_background,
            "smooth": self.smooth,
        }


@keras.saving.register_keras_serializable(package="fetal_tf")
class WeightedDice(BatchOverlap):
    """Soft Dice with squared denominators, pooled over the batch, weighted by class.

    With truth t and probability p, sums over all pixels of the batch::

        sum_c w_c (1 - (2 sum(t p) + smooth) / (sum(t^2) + sum(p^2) + smooth)) / sum_c w_c

    Source: the thesis whose brain segmentation this repeats, eq. 3.4, after Milletari et al. 2016,
    V-Net, arXiv 1606.04797.

    Args:
        name: the loss's name.
        **kwargs: as in `BatchOverlap`.
    """

    def __init__(self, name: str = "weighted_dice", **kwargs: Any):
        super().__init__(name=name, **kwargs)

    def _per_class(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        shared = _batch_sum(y_true * y_pred)
        total = _batch_sum(ops.square(y_true) + ops.square(y_pred))
        return 1 - (2 * shared + self.smooth) / (total + self.smooth)


@keras.saving.register_keras_serializable(package="fetal_tf")
class Tversky(BatchOverlap):
    """(1 - T_c)^gamma per class, where T_c weighs false positives and misses apart.

    With TP = sum(t p), FP = sum((1 - t) p), FN = sum(t (1 - p)) over all pixels of the batch::

        T_c = (TP + smooth) / (TP + alpha FP + beta FN + smooth)

    Source: Salehi et al. 2017, arXiv 1706.05721; the exponent is Abraham & Khan 2019, arXiv
    1810.07842, who write it 1/gamma. alpha = beta = 0.5 is Dice with plain denominators.

    Args:
        alpha: weight of false positives.
        beta: weight of misses; above alpha, it trades precision for recall.
        gamma: exponent; 1 is the plain Tversky loss, below 1 keeps pulling at nearly right classes.
        **kwargs: as in `BatchOverlap`.
    """

    def __init__(
        self,
        alpha: float = 0.3,
        beta: float = 0.7,
        gamma: float = 1.0,
        name: str = "tversky",
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        self.alpha = alpha
        self.beta = beta
        self.gamma = gamma

    def _per_class(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        shared = _batch_sum(y_true * y_pred)
        false = _batch_sum((1 - y_true) * y_pred)
        missed = _batch_sum(y_true * (1 - y_pred))
        wrong = self.alpha * false + self.beta * missed
        # 1 - T, without the cancellation that the subtraction has near T = 1.
        distance = wrong / (shared + wrong + self.smooth)
        return ops.power(ops.maximum(distance, BASE_FLOOR), self.gamma)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {**config, "alpha": self.alpha, "beta": self.beta, "gamma": self.gamma}


def weight_list(weights: Sequence[float] | None) -> list[float] | None:
    """Class weights as a list of floats: what a `.keras` file gives back."""
    return None if weights is None else [float(weight) for weight in weights]


def channel_weights(weights: Sequence[float] | None, y_pred: KerasTensor) -> KerasTensor:
    """One weight per channel of `y_pred`, (K,); ones where there are none.

    Raises:
        ValueError: another number of weights than channels.
    """
    classes = y_pred.shape[-1]
    if weights is None:
        return ops.ones((classes,), y_pred.dtype)
    if len(weights) != classes:
        raise ValueError(f"{len(weights)} class weights for {classes} classes: {weights}")
    return ops.convert_to_tensor(weights, y_pred.dtype)


def _batch_sum(y: KerasTensor) -> KerasTensor:
    """(N, H, W, K) to (K,), one axis after the other.

    TensorFlow adds up three axes at once into a single float32 per class: over a batch of 8 frames
    of 256x256 the sum of one small square is off by 0.7 %. A row at a time, it is off by 4e-6.
    """
    return ops.sum(ops.sum(ops.sum(y, axis=2), axis=1), axis=0)
