"""Losses by name: `{name: bce_dice, dice_weight: 1.0}` in a config.

All take `y_true` (N, H, W, K), fractional coverage 0..1, and `y_pred` of the same shape,
probabilities. `keras.losses.Loss` casts both to float32 before `call`, so they hold under mixed
precision too.
"""

from typing import Any

import keras
from keras import KerasTensor, ops
from pydantic import NonNegativeFloat, PositiveFloat

from fetal_tf.registry import Registry

LOSSES: Registry[keras.losses.Loss] = Registry("loss")


@LOSSES.register("bce")
def bce() -> keras.losses.Loss:
    """Binary cross-entropy, the mean over pixels, classes and batch."""
    return keras.losses.BinaryCrossentropy()


@LOSSES.register("dice")
def dice(*, smooth: PositiveFloat = 1.0) -> keras.losses.Loss:
    """Soft Dice, see `SoftDice`."""
    return SoftDice(smooth=smooth)


@LOSSES.register("bce_dice")
def bce_dice(
    *,
    bce_weight: NonNegativeFloat = 1.0,
    dice_weight: NonNegativeFloat = 1.0,
    smooth: PositiveFloat = 1.0,
) -> keras.losses.Loss:
    """Weighted sum of the two: cross-entropy for steady gradients, Dice for rare foreground."""
    return CrossentropyDice(bce_weight=bce_weight, dice_weight=dice_weight, smooth=smooth)


@keras.saving.register_keras_serializable(package="fetal_tf")
class SoftDice(keras.losses.Loss):
    """1 - Dice per image and class, then the mean: a rare class weighs as much as a common one.

    With truth t and probability p, sums over the pixels of one image and class::

        1 - (2 sum(t p) + smooth) / (sum(t^2) + sum(p^2) + smooth)        in [0, 1]

    The squares (Milletari et al. 2016, V-Net, arXiv 1606.04797) matter for fractional truth: the
    minimum, zero, lies at p = t, so border pixels keep their coverage. With plain sums it would
    lie at p in {0, 1}, and the sub-pixel border that we measure at would be trained away.

    Args:
        smooth: in pixels. An image without foreground costs sum(p^2) / (sum(p^2) + smooth): about
            zero when empty is predicted, about one from some tens of false pixels on.
        reduction: as in `keras.losses.Loss`; the mean is over images.
        name: the loss's name.
    """

    def __init__(
        self,
        smooth: float = 1.0,
        reduction: str = "sum_over_batch_size",
        name: str = "soft_dice",
        dtype: Any = None,
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.smooth = smooth

    def call(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        """(N, H, W, K) twice to (N,)."""
        shared = ops.sum(y_true * y_pred, axis=(1, 2))
        total = ops.sum(ops.square(y_true) + ops.square(y_pred), axis=(1, 2))
        return ops.mean(1 - (2 * shared + self.smooth) / (total + self.smooth), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "smooth": self.smooth}


@keras.saving.register_keras_serializable(package="fetal_tf")
class CrossentropyDice(SoftDice):
    """`bce_weight` times binary cross-entropy plus `dice_weight` times `SoftDice`, per image."""

    def __init__(
        self,
        bce_weight: float = 1.0,
        dice_weight: float = 1.0,
        smooth: float = 1.0,
        reduction: str = "sum_over_batch_size",
        name: str = "crossentropy_dice",
        dtype: Any = None,
    ):
        super().__init__(smooth=smooth, reduction=reduction, name=name, dtype=dtype)
        self.bce_weight = bce_weight
        self.dice_weight = dice_weight

    def call(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        """(N, H, W, K) twice to (N,)."""
        crossentropy = ops.mean(keras.losses.binary_crossentropy(y_true, y_pred), axis=(1, 2))
        return self.bce_weight * crossentropy + self.dice_weight * super().call(y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {**config, "bce_weight": self.bce_weight, "dice_weight": self.dice_weight}
