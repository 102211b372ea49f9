"""Losses by name: `{name: bce_dice, dice_weight: 1.0}` in a config.

All but `l1_smooth_l1` and `wing` take `y_true` (N, H, W, K), fractional coverage 0..1, and `y_pred`
of the same shape, probabilities. `keras.losses.Loss` casts both to float32 before `call`, so they
hold under mixed precision too. `bce`, `dice` and `bce_dice` judge channels that may overlap
(sigmoid), `mse` a reconstructed frame, `heatmap` and `head_and_landmarks` maps of landmarks,
`head_and_axis` a mask with the direction of its axis, the first two coordinates, all others
exclusive classes (softmax).

A builder is handed what the training frames hold of each class, or None where a task does not
count it; from that, a config may ask for weights by `inverse_frequency`.
"""

from typing import Annotated, Any, Literal

import keras
from keras import KerasTensor, ops
from pydantic import Field, NonNegativeFloat, PositiveFloat

from fetal_tf.config.registry import Registry
from fetal_tf.edge.errors import ConfigError
from fetal_tf.losses.class_pixels import ClassPixels
from fetal_tf.losses.classes import (
    BoundaryCrossentropy,
    ClassCrossentropy,
    FocalCrossentropy,
    HybridLoss,
)
from fetal_tf.losses.coordinates import L1SmoothL1, Wing
from fetal_tf.losses.ellipse import ellipse_distance
from fetal_tf.losses.head_axis import HeadAndAxis
from fetal_tf.losses.landmark_maps import HeadAndLandmarks, HeatmapLoss
from fetal_tf.losses.overlap import Tversky, WeightedDice
from fetal_tf.losses.reconstruction import MeanSquaredError

LOSSES: Registry[keras.losses.Loss] = Registry("loss")

Weights = list[NonNegativeFloat] | Literal["inverse_frequency"] | None  # by class; None: all alike
Share = Annotated[float, Field(ge=0, le=1)]
Power = Annotated[float, Field(ge=1)]
SMOOTHING = 0.02  # a class of 0.5 % of all pixels then weighs 29 times one of 70 %


@LOSSES.register("bce")
def bce(class_pixels: ClassPixels | None) -> keras.losses.Loss:
    """Binary cross-entropy, the mean over pixels, classes and batch."""
    return keras.losses.BinaryCrossentropy()


@LOSSES.register("dice")
def dice(class_pixels: ClassPixels | None, *, smooth: PositiveFloat = 1.0) -> keras.losses.Loss:
    """Soft Dice, see `SoftDice`."""
    return SoftDice(smooth=smooth)


@LOSSES.register("bce_dice")
def bce_dice(
    class_pixels: ClassPixels | None,
    *,
    bce_weight: NonNegativeFloat = 1.0,
    dice_weight: NonNegativeFloat = 1.0,
    ellipse_weight: NonNegativeFloat = 0.0,
    smooth: PositiveFloat = 1.0,
) -> keras.losses.Loss:
    """Cross-entropy for steady gradients, Dice for rare foreground, the ellipse for what is
    measured; see `CrossentropyDice`.
    """
    return CrossentropyDice(bce_weight, dice_weight, smooth, ellipse_weight)


@LOSSES.register("head_and_axis")
def head_and_axis(
    class_pixels: ClassPixels | None,
    *,
    axis_weight: NonNegativeFloat = 0.2,
    bce_weight: NonNegativeFloat = 1.0,
    dice_weight: NonNegativeFloat = 1.0,
    ellipse_weight: NonNegativeFloat = 0.0,
    smooth: PositiveFloat = 1.0,
) -> keras.losses.Loss:
    """`bce_dice` on channel 0 plus the axis' squared error beside it, see `HeadAndAxis`."""
    head = CrossentropyDice(bce_weight, dice_weight, smooth, ellipse_weight)
    return HeadAndAxis(head, axis_weight)


@LOSSES.register("mse")
def mse(class_pixels: ClassPixels | None) -> keras.losses.Loss:
    """Mean squared error of gray values inside the frame, see `MeanSquaredError`."""
    return MeanSquaredError()


@LOSSES.register("cross_entropy")
def cross_entropy(class_pixels: ClassPixels | None) -> keras.losses.Loss:
    """Cross-entropy of exclusive classes, every pixel alike."""
    return ClassCrossentropy(name="cross_entropy")


@LOSSES.register("weighted_cross_entropy")
def weighted_cross_entropy(
    class_pixels: ClassPixels | None, *, smoothing: PositiveFloat = SMOOTHING
) -> keras.losses.Loss:
    """Cross-entropy weighted by `ClassPixels.inverse_frequency_weights`."""
    weights = _class_weights("name", "inverse_frequency", class_pixels, smoothing)
    return ClassCrossentropy(weights, name="weighted_cross_entropy")


@LOSSES.register("focal")
def focal(
    class_pixels: ClassPixels | None,
    *,
    gamma: NonNegativeFloat = 2.0,
    alpha: Weights = None,
    smoothing: PositiveFloat = SMOOTHING,
) -> keras.losses.Loss:
    """Focal loss with the class weights `alpha`, see `FocalCrossentropy`."""
    weights = _class_weights("alpha", alpha, class_pixels, smoothing)
    return FocalCrossentropy(gamma, weights, name="focal")


@LOSSES.register("weighted_dice")
def weighted_dice(
    class_pixels: ClassPixels | None,
    *,
    class_weights: Weights = None,
    include_background: bool = True,
    smooth: PositiveFloat = 1.0,
    smoothing: PositiveFloat = SMOOTHING,
) -> keras.losses.Loss:
    """Dice pooled over the batch with squared denominators, see `WeightedDice`."""
    weights = _class_weights("class_weights", class_weights, class_pixels, smoothing)
    return WeightedDice(class_weights=weights, include_background=include_background, smooth=smooth)


@LOSSES.register("hybrid")
def hybrid(
    class_pixels: ClassPixels | None,
    *,
    alpha: Share = 0.4,
    beta: Share = 0.2,
    gamma: NonNegativeFloat = 2.0,
    focal_alpha: Weights = None,
    dice_weights: Weights = None,
    include_background: bool = True,
    smooth: PositiveFloat = 1.0,
    smoothing: PositiveFloat = SMOOTHING,
) -> keras.losses.Loss:
    """(1 - alpha - beta) cross-entropy + beta focal + alpha Dice, see `HybridLoss`."""
    if alpha + beta > 1 + 1e-9:
        raise ConfigError(
            f"loss.alpha: alpha {alpha:g} + beta {beta:g} leaves cross-entropy a share of "
            f"{1 - alpha - beta:g}; together they are at most 1"
        )
    focal_weights = _class_weights("focal_alpha", focal_alpha, class_pixels, smoothing)
    weights = _class_weights("dice_weights", dice_weights, class_pixels, smoothing)
    return HybridLoss(
        alpha, beta, gamma, focal_weights, weights, include_background, smooth, name="hybrid"
    )


@LOSSES.register("tversky")
def tversky(
    class_pixels: ClassPixels | None,
    *,
    alpha: NonNegativeFloat = 0.3,
    beta: NonNegativeFloat = 0.7,
    gamma: PositiveFloat = 1.0,
    class_weights: Weights = None,
    include_background: bool = True,
    smooth: PositiveFloat = 1.0,
    smoothing: PositiveFloat = SMOOTHING,
) -> keras.losses.Loss:
    """False positives weighed by `alpha`, misses by `beta`, see `Tversky`."""
    weights = _class_weights("class_weights", class_weights, class_pixels, smoothing)
    return Tversky(
        alpha,
        beta,
        gamma,
        class_weights=weights,
        include_background=include_background,
        smooth=smooth,
    )


@LOSSES.register("boundary")
def boundary(
    class_pixels: ClassPixels | None,
    *,
    radius: Annotated[int, Field(ge=1, le=64)] = 2,
    strength: NonNegativeFloat = 4.0,
    class_weights: Weights = None,
    smoothing: PositiveFloat = SMOOTHING,
) -> keras.losses.Loss:
    """Cross-entropy that weighs pixels beside a border more, see `BoundaryCrossentropy`."""
    weights = _class_weights("class_weights", class_weights, class_pixels, smoothing)
    return BoundaryCrossentropy(radius, strength, weights, name="boundary")


@LOSSES.register("l1_smooth_l1")
def l1_smooth_l1(
    class_pixels: ClassPixels | None,
    *,
    l1_weight: NonNegativeFloat = 1.0,
    smooth_l1_weight: NonNegativeFloat = 1.0,
    beta: PositiveFloat = 1.0,
    order_invariant: bool = False,
    geometry_weight: NonNegativeFloat = 0.0,
    aspect_ratio: PositiveFloat | None = None,
) -> keras.losses.Loss:
    """L1 plus smooth L1 of landmark coordinates, see `L1SmoothL1`."""
    _check_aspect_ratio(geometry_weight, aspect_ratio)
    return L1SmoothL1(
        l1_weight,
        smooth_l1_weight,
        beta,
        order_invariant=order_invariant,
        geometry_weight=geometry_weight,
        aspect_ratio=aspect_ratio,
    )


@LOSSES.register("wing")
def wing(
    class_pixels: ClassPixels | None,
    *,
    w: PositiveFloat = 0.15,
    epsilon: PositiveFloat = 0.03,
    order_invariant: bool = False,
    geometry_weight: NonNegativeFloat = 0.0,
    aspect_ratio: PositiveFloat | None = None,
) -> keras.losses.Loss:
    """Wing loss of landmark coordinates, `w` and `epsilon` in shares of the frame, see `Wing`."""
    _check_aspect_ratio(geometry_weight, aspect_ratio)
    return Wing(
        w,
        epsilon,
        order_invariant=order_invariant,
        geometry_weight=geometry_weight,
        aspect_ratio=aspect_ratio,
    )


@LOSSES.register("heatmap")
def heatmap(
    class_pixels: ClassPixels | None,
    *,
    foreground_weight: NonNegativeFloat = 100.0,
    soft_argmax_weight: NonNegativeFloat = 1.0,
    power: Power = 4.0,
    order_invariant: bool = False,
    geometry_weight: NonNegativeFloat = 0.0,
) -> keras.losses.Loss:
    """Squared error of landmark maps and the distance of their soft-argmax, see `HeatmapLoss`."""
    return HeatmapLoss(
        foreground_weight, soft_argmax_weight, power, order_invariant, geometry_weight
    )


@LOSSES.register("head_and_landmarks")
def head_and_landmarks(
    class_pixels: ClassPixels | None,
    *,
    landmark_weight: NonNegativeFloat = 1.0,
    bce_weight: NonNegativeFloat = 1.0,
    dice_weight: NonNegativeFloat = 1.0,
    smooth: PositiveFloat = 1.0,
    foreground_weight: NonNegativeFloat = 100.0,
    soft_argmax_weight: NonNegativeFloat = 1.0,
    power: Power = 4.0,
    order_invariant: bool = False,
    geometry_weight: NonNegativeFloat = 0.0,
) -> keras.losses.Loss:
    """`bce_dice` on channel 0 plus `landmark_weight` times `heatmap` on the others."""
    landmarks = HeatmapLoss(
        foreground_weight, soft_argmax_weight, power, order_invariant, geometry_weight
    )
    return HeadAndLandmarks(
        CrossentropyDice(bce_weight, dice_weight, smooth), landmarks, landmark_weight
    )


def _check_aspect_ratio(geometry_weight: float, aspect_ratio: float | None) -> None:
    """The geometry of shares needs the frame's."""
    if geometry_weight and aspect_ratio is None:
        raise ConfigError(
            "loss.aspect_ratio: geometry_weight needs the height / width of data.image_size, which "
            "coordinates as shares do not show; found nothing"
        )


def _class_weights(
    key: str, given: Weights, class_pixels: ClassPixels | None, smoothing: float
) -> list[float] | None:
    """The weights that `loss.<key>` asks for, one per class."""
    if given is None:
        return None
    if given == "inverse_frequency":
        if class_pixels is None:
            raise ConfigError(
                f"loss.{key}: weights by inverse frequency need the pixels of each class in the "
                "training frames, which this task does not count; "
                "use cross_entropy, or list one weight per class"
            )
        return class_pixels.inverse_frequency_weights(smoothing).tolist()
    if class_pixels is not None and len(given) != len(class_pixels.classes):
        raise ConfigError(
            f"loss.{key}: found {len(given)} weights for {len(class_pixels.classes)} classes "
            f"({', '.join(class_pixels.classes)})"
        )
    if not any(given):
        raise ConfigError(f"loss.{key}: every weight is 0, found {given}; nothing would be learnt")
    return list(given)


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
    """Binary cross-entropy, `SoftDice` and `ellipse_distance`, each times its weight, per image."""

    def __init__(
        self,
        bce_weight: float = 1.0,
        dice_weight: float = 1.0,
        smooth: float = 1.0,
        ellipse_weight: float = 0.0,
        reduction: str = "sum_over_batch_size",
        name: str = "crossentropy_dice",
        dtype: Any = None,
    ):
        super().__init__(smooth=smooth, reduction=reduction, name=name, dtype=dtype)
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

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "bce_weight": self.bce_weight,
            "dice_weight": self.dice_weight,
            "ellipse_weight": self.ellipse_weight,
        }
