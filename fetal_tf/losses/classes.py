"""Losses of exclusive classes: every pixel is exactly one of background, brain, CSP, LV.

All take `y_true` (N, H, W, K), one-hot, and `y_pred` of the same shape, softmax probabilities.
`keras.losses.Loss` casts both to float32 before `call`, so sums over large frames and tiny
probabilities hold under mixed precision too. `fetal_tf.losses.registry` gives them their config
names; `fetal_tf.losses.overlap` holds those that compare whole masks.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import KerasTensor, ops

from fetal_tf.losses.overlap import BASE_FLOOR, WeightedDice, channel_weights, weight_list

# Smallest probability a logarithm sees. Keras clips at 1e-7, where the gradient of a wrong pixel
# stops although a float32 softmax goes much lower; this one is reached at a logit gap of 69.
PROBABILITY_FLOOR = 1e-30


@keras.saving.register_keras_serializable(package="fetal_tf")
class ClassCrossentropy(keras.losses.Loss):
    """-sum_c w_c t_c log p_c, the mean over the pixels of each image.

    The mean is over all pixels, not over their weights: a batch with rare classes costs more.

    Args:
        class_weights: w_c, one per class; None weighs all 1.
        reduction: as in `keras.losses.Loss`; the mean is over images.
        name: the loss's name.
        dtype: as in `keras.losses.Loss`.
    """

    def __init__(
        self,
        class_weights: Sequence[float] | None = None,
        reduction: str = "sum_over_batch_size",
        name: str = "class_crossentropy",
        dtype: Any = None,
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.class_weights = weight_list(class_weights)

    def call(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        """(N, H, W, K) twice to (N,)."""
        return ops.mean(self._per_pixel(y_true, y_pred), axis=(1, 2))

    def _per_pixel(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        weighted = y_true * channel_weights(self.class_weights, y_pred)
        return -ops.sum(weighted * ops.log(ops.maximum(y_pred, PROBABILITY_FLOOR)), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "class_weights": self.class_weights}


@keras.saving.register_keras_serializable(package="fetal_tf")
class FocalCrossentropy(ClassCrossentropy):
    """-sum_c w_c t_c (1 - p_c)^gamma log p_c: pixels that are right already hardly count.

    Source: Lin et al. 2017, "Focal loss for dense object detection", arXiv 1708.02002, eq. 5; their
    alpha_t are the `class_weights`. With gamma 0 it is `ClassCrossentropy`.
    """

    def __init__(
        self,
        gamma: float = 2.0,
        class_weights: Sequence[float] | None = None,
        reduction: str = "sum_over_batch_size",
        name: str = "focal_crossentropy",
        dtype: Any = None,
    ):
        super().__init__(class_weights, reduction=reduction, name=name, dtype=dtype)
        self.gamma = gamma

    def _per_pixel(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        doubt = ops.power(ops.maximum(1 - y_pred, BASE_FLOOR), self.gamma)
        return super()._per_pixel(y_true * doubt, y_pred)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "gamma": self.gamma}


@keras.saving.register_keras_serializable(package="fetal_tf")
class BoundaryCrossentropy(ClassCrossentropy):
    """Cross-entropy in which pixels beside a border between classes weigh 1 + strength.

    A pixel is beside a border where the square of 2 radius + 1 pixels around it holds more than one
    class: some class's mask, dilated, differs from itself eroded. Outside the frame is no class.
    The mean is over all pixels, so it is cross-entropy plus `strength` times the border's share.

    Args:
        radius: of the square, in pixels of the network's frame.
        strength: what a border pixel weighs more than another.
        class_weights: as in `ClassCrossentropy`.
        reduction: as in `keras.losses.Loss`; the mean is over images.
        name: the loss's name.
        dtype: as in `keras.losses.Loss`.
    """

    def __init__(
        self,
        radius: int = 2,
        strength: float = 4.0,
        class_weights: Sequence[float] | None = None,
        reduction: str = "sum_over_batch_size",
        name: str = "boundary_crossentropy",
        dtype: Any = None,
    ):
        super().__init__(class_weights, reduction=reduction, name=name, dtype=dtype)
        self.radius = radius
        self.strength = strength

    def _per_pixel(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        weight = 1 + self.strength * self._border(y_true)
        return weight * super()._per_pixel(y_true, y_pred)

    def _border(self, y_true: KerasTensor) -> KerasTensor:
        """(N, H, W, K) to (N, H, W): 1 beside a border, 0 elsewhere."""
        dilated = self._largest_around(y_true)
        eroded = -self._largest_around(-y_true)
        return ops.max(dilated - eroded, axis=-1)

    def _largest_around(self, y: KerasTensor) -> KerasTensor:
        side = 2 * self.radius + 1
        return ops.max_pool(y, side, strides=1, padding="same", data_format="channels_last")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "radius": self.radius, "strength": self.strength}


@keras.saving.register_keras_serializable(package="fetal_tf")
class HybridLoss(keras.losses.Loss):
    """(1 - alpha - beta) cross-entropy + beta focal + alpha Dice.

    Args:
        alpha: share of `WeightedDice`.
        beta: share of `FocalCrossentropy`.
        gamma: of the focal term.
        focal_alpha: class weights of the focal term.
        dice_weights: class weights of the Dice term.
        include_background: whether the Dice term judges class 0.
        smooth: of the Dice term.
        reduction: as in `keras.losses.Loss`; the mean is over images.
        name: the loss's name.
        dtype: as in `keras.losses.Loss`.

    Raises:
        ValueError: shares that are negative or add up to more than 1.
    """

    def __init__(
        self,
        alpha: float = 0.4,
        beta: float = 0.2,
        gamma: float = 2.0,
        focal_alpha: Sequence[float] | None = None,
        dice_weights: Sequence[float] | None = None,
        include_background: bool = True,
        smooth: float = 1.0,
        reduction: str = "sum_over_batch_size",
        name: str = "hybrid_loss",
        dtype: Any = None,
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if alpha < 0 or beta < 0 or alpha + beta > 1 + 1e-9:
            raise ValueError(f"alpha {alpha} and beta {beta} are shares; together at most 1")
        self.alpha = alpha
        self.beta = beta
        self._crossentropy = ClassCrossentropy(dtype=dtype)
        self._focal = FocalCrossentropy(gamma, focal_alpha, dtype=dtype)
        self._dice = WeightedDice(
            class_weights=dice_weights,
            include_background=include_background,
            smooth=smooth,
            dtype=dtype,
        )

    def call(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        """(N, H, W, K) twice to (N,)."""
        rest = max(0.0, 1 - self.alpha - self.beta)
        return (
            rest * self._crossentropy.call(y_true, y_pred)
            + self.beta * self._focal.call(y_true, y_pred)
            + self.alpha * self._dice.call(y_true, y_pred)
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "alpha": self.alpha,
            "beta": self.beta,
            "gamma": self._focal.gamma,
            "focal_alpha": self._focal.class_weights,
            "dice_weights": self._dice.class_weights,
            "include_background": self._dice.include_background,
            "smooth": self._dice.smooth,
        }
