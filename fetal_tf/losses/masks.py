"""Losses of masks that may overlap (sigmoid): cross-entropy, Dice, and the ellipse of a head."""

from typing import Any

import keras
from keras import KerasTensor, ops
from pydantic import NonNegativeFloat, PositiveFloat

from fetal_tf.losses.ellipse import ellipse_distance
from fetal_tf.losses.keyword_loss import KeywordLoss
from fetal_tf.losses.registry import LOSSES


@LOSSES.register("bce")
def bce() -> keras.losses.Loss:
    """Binary cross-entropy, the mean over pixels, classes and batch."""
    return keras.losses.BinaryCrossentropy()


@LOSSES.register("dice")
@keras.saving.register_keras_serializable(package="fetal_tf")
class SoftDice(KeywordLoss):
    """1 - Dice per image and class, then the mean: a rare class counts as much as a common one.

    With truth t and probability p, sums over the pixels of one image and class::

        1 - (2 sum(t p) + smooth) / (sum(t^2) + sum(p^2) + smooth)        in [0, 1]

    The squares (Milletari et al. 2016, V-Net, arXiv 1606.04797) matter for fractional truth: the
    minimum, zero, lies at p = t, so border pixels keep their coverage. With plain sums it would
    lie at p in {0, 1}, and the sub-pixel border that we measure would be lost.

    Args:
        smooth: in pixels. An image without foreground costs sum(p^2) / (sum(p^2) + smooth): about
            zero when empty is predicted, about one from some tens of false pixels on.
    """

    def __init__(self, *, smooth: PositiveFloat = 1.0, name: str = "soft_dice", **kwargs: Any):
        super().__init__(name=name, **kwargs)
        self.smooth = smooth

    def call(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        """(N, H, W, K) twice to (N,)."""
        shared = ops.sum(y_true * y_pred, axis=(1, 2))
        total = ops.sum(ops.square(y_true) + ops.square(y_pred), axis=(1, 2))
        return ops.mean(1 - (2 * shared + self.smooth) / (total + self.smooth), axis=-1)


@LOSSES.register("bce_dice")
@keras.saving.register_keras_serializable(package="fetal_tf")
class CrossentropyDice(SoftDice):
    """Binary cross-entropy, `SoftDice` and `ellipse_distance`, each times its weight, per image.

    Cross-entropy gives steady gradients, Dice serves rare foreground, and the ellipse is what is
    measured.
    """

    def __init__(
        self,
        *,
        bce_weight: NonNegativeFloat = 1.0,
        dice_weight: NonNegativeFloat = 1.0,
        ellipse_weight: NonNegativeFloat = 0.0,
        name: str = "crossentropy_dice",
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        self.bce_weight = bce_weight
        self.dice_weight = dice_weight
        self.ellipse_weight = ellipse_weight

    def call(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        """(N, H, W, K) twice to (N,)."""
        crossentropy = ops.mean(keras.losses.binary_crossentropy(y_true, y_pred), axis=(1, 2))
        loss = self.bce_weight * crossentropy + self.dice_weight * super().call(y_true, y_pred)
        if self.ellipse_weight:
            loss = loss + self.ellipse_weight * ellipse_distance(y_true, y_pred)
        return loss
