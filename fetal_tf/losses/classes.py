"""Losses of exclusive classes: every pixel is exactly one of background, brain, CSP, LV.

All take `y_true` (N, H, W, K), one-hot, and `y_pred` of the same shape, softmax probabilities.
"""

from collections.abc import Sequence
from typing import Annotated, Any

import keras
from keras import KerasTensor, ops
from pydantic import Field, NonNegativeFloat, PositiveFloat

from fetal_tf.losses.keyword_loss import KeywordLoss
from fetal_tf.losses.registry import LOSSES, Weights

# Smallest probability a logarithm sees. Keras clips at 1e-7, where the gradient of a wrong pixel
# stops although a float32 softmax goes much lower; this one is reached at a logit gap of 69.
PROBABILITY_FLOOR = 1e-30
# Below this, a power with an exponent under 1 has no usable derivative.
BASE_FLOOR = 1e-7

Share = Annotated[float, Field(ge=0, le=1)]


@keras.saving.register_keras_serializable(package="fetal_tf")
class ClassCrossentropy(KeywordLoss):
    """-sum_c w_c t_c log p_c, the mean over the pixels of each image.

    The mean is over all pixels, not over their weights: a batch with rare classes costs more.

    Args:
        class_weights: w_c, one per class; None weighs all 1.
    """

    def __init__(
        self, *, class_weights: Weights = None, name: str = "cross_entropy", **kwargs: Any
    ):
        super().__init__(name=name, **kwargs)
        self.class_weights = _weight_list(class_weights)

    def call(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        """(N, H, W, K) twice to (N,)."""
        return ops.mean(self._per_pixel(y_true, y_pred), axis=(1, 2))

    def _per_pixel(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        weighted = y_true * _channel_weights(self.class_weights, y_pred)
        return -ops.sum(weighted * ops.log(ops.maximum(y_pred, PROBABILITY_FLOOR)), axis=-1)


@LOSSES.register("cross_entropy")
def cross_entropy() -> ClassCrossentropy:
    """Cross-entropy of exclusive classes, every pixel alike."""
    return ClassCrossentropy()


@LOSSES.register("weighted_cross_entropy")
def weighted_cross_entropy(*, class_weights: Weights = "inverse_frequency") -> ClassCrossentropy:
    """Cross-entropy weighted by `ClassPixels.inverse_frequency_weights`, or by given weights."""
    return ClassCrossentropy(class_weights=class_weights, name="weighted_cross_entropy")


@keras.saving.register_keras_serializable(package="fetal_tf")
class FocalCrossentropy(ClassCrossentropy):
    """-sum_c w_c t_c (1 - p_c)^gamma log p_c: pixels that are right already hardly count.

    With gamma 0 it is `ClassCrossentropy`.

    Source: Lin et al. 2017, "Focal loss for dense object detection", arXiv 1708.02002, eq. 5; their
    alpha_t are the `class_weights`.
    """

    def __init__(self, *, gamma: NonNegativeFloat = 2.0, name: str = "focal", **kwargs: Any):
        super().__init__(name=name, **kwargs)
        self.gamma = gamma

    def _per_pixel(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        doubt = ops.power(ops.maximum(1 - y_pred, BASE_FLOOR), self.gamma)
        return super()._per_pixel(y_true * doubt, y_pred)


@LOSSES.register("focal")
def focal(*, gamma: NonNegativeFloat = 2.0, alpha: Weights = None) -> FocalCrossentropy:
    """Focal loss with the class weights `alpha`, see `FocalCrossentropy`."""
    return FocalCrossentropy(gamma=gamma, class_weights=alpha)


@LOSSES.register("weighted_dice")
@keras.saving.register_keras_serializable(package="fetal_tf")
class WeightedDice(KeywordLoss):
    """Soft Dice with squared denominators, pooled over the batch, weighted by class.

    With truth t and probability p, sums over all pixels of the batch::

        sum_c w_c (1 - (2 sum(t p) + smooth) / (sum(t^2) + sum(p^2) + smooth)) / sum_c w_c

    Most images lack a rare class, and such an image can only ask for less of it. Pooled over the
    batch, the few pixels of the class are judged together. A class that the batch's truth lacks is
    left out, so it has no gradient here; where no class is left, the loss is 0. Every image gets
    the batch's value. A `sample_weight` scales that value; it takes no image out of the sums.

    Source: the thesis whose brain segmentation this repeats, eq. 3.4, after Milletari et al. 2016,
    V-Net, arXiv 1606.04797.

    Args:
        class_weights: w_c, one per class; None weighs all alike.
        include_background: False leaves out class 0.
        smooth: in numerator and denominator, in pixels.
    """

    def __init__(
        self,
        *,
        class_weights: Weights = None,
        include_background: bool = True,
        smooth: PositiveFloat = 1.0,
        name: str = "weighted_dice",
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        self.class_weights = _weight_list(class_weights)
        self.include_background = include_background
        self.smooth = smooth

    def call(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        """(N, H, W, K) twice to (N,), the batch's one value."""
        present = ops.cast(ops.max(y_true, axis=(0, 1, 2)) > 0, y_pred.dtype)
        weights = _channel_weights(self.class_weights, y_pred) * present
        if not self.include_background:
            weights = weights * ops.cast(ops.arange(y_pred.shape[-1]) > 0, y_pred.dtype)
        shared = _batch_sum(y_true * y_pred)
        total = _batch_sum(ops.square(y_true) + ops.square(y_pred))
        losses = 1 - (2 * shared + self.smooth) / (total + self.smooth)
        value = ops.divide_no_nan(ops.sum(weights * losses), ops.sum(weights))
        return value * ops.ones_like(y_pred[:, 0, 0, 0])


@LOSSES.register("hybrid")
@keras.saving.register_keras_serializable(package="fetal_tf")
class HybridLoss(KeywordLoss):
    """(1 - alpha - beta) cross-entropy + beta focal + alpha Dice.

    Args:
        alpha: share of `WeightedDice`.
        beta: share of `FocalCrossentropy`.
        gamma: of the focal term.
        focal_alpha: class weights of the focal term.
        dice_weights: class weights of the Dice term.
        include_background: whether the Dice term judges class 0.
        smooth: of the Dice term.

    Raises:
        ValueError: alpha and beta add up to more than 1.
    """

    def __init__(
        self,
        *,
        alpha: Share = 0.4,
        beta: Share = 0.2,
        gamma: NonNegativeFloat = 2.0,
        focal_alpha: Weights = None,
        dice_weights: Weights = None,
        include_background: bool = True,
        smooth: PositiveFloat = 1.0,
        name: str = "hybrid",
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        rest = 1 - alpha - beta
        if rest < -1e-9:
            raise ValueError(
                f"alpha: alpha {alpha:g} + beta {beta:g} leaves cross-entropy a share of {rest:g}; "
                "together they are at most 1"
            )
        self.alpha = alpha
        self.beta = beta
        self.gamma = gamma
        self.focal_alpha = _weight_list(focal_alpha)
        self.dice_weights = _weight_list(dice_weights)
        self.include_background = include_background
        self.smooth = smooth
        self._terms = [
            (max(0.0, rest), ClassCrossentropy()),
            (beta, FocalCrossentropy(gamma=gamma, class_weights=focal_alpha)),
            (
                alpha,
                WeightedDice(
                    class_weights=dice_weights, include_background=include_background, smooth=smooth
                ),
            ),
        ]

    def call(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        """(N, H, W, K) twice to (N,)."""
        return sum(share * term.call(y_true, y_pred) for share, term in self._terms)


def _weight_list(weights: Weights) -> list[float] | None:
    """Class weights as a list of floats, as a `.keras` file returns them."""
    return None if weights is None else [float(weight) for weight in weights]


def _channel_weights(weights: Sequence[float] | None, y_pred: KerasTensor) -> KerasTensor:
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
