"""Losses of landmarks as maps, one gaussian per landmark, and of a head's mask beside them.

All take `y_true` and `y_pred` (N, h, w, K) in 0..1. Landmarks as coordinates are in
`fetal_tf.losses.coordinates`.
"""

from typing import Annotated, Any

import keras
from keras import KerasTensor, ops
from pydantic import Field, NonNegativeFloat

from fetal_tf.config.registry import keywords
from fetal_tf.losses.head import HeadAndMore
from fetal_tf.losses.landmark_geometry import (
    LandmarkLoss,
    axis_geometry,
    cheaper_order,
    other_order,
)
from fetal_tf.losses.masks import CrossentropyDice
from fetal_tf.losses.registry import LOSSES

# The point of a map with a lower peak moves to the frame's centre; above it, only shape matters.
LOWEST_PEAK = 1e-6


def soft_argmax(maps: KerasTensor, power: float = 4.0) -> KerasTensor:
    """Centre of gravity of maps that are raised to a power, differentiable everywhere.

    It finds a single symmetric peak in an empty map exactly. Elsewhere it is biased:

    - a background that weighs b times the peak (in sums of p^power) pulls it b / (1 + b) of the way
      to the frame's centre. Beside a gaussian of sigma 3 in 192x288, a background of 0.02 takes it
      95 % of the way at power 1, 0.06 % at power 4;
    - a peak that the frame's edge cuts off lies too far inside, up to 0.8 sigma / sqrt(power);
    - of two peaks it finds neither: it lies between them.

    So a loss compares it with the soft-argmax of the true map. Measurements are decoded from the
    peak's neighbourhood instead, see `fetal_tf.edge.geometry.landmarks.decode_heatmaps`.

    Source: Sun et al. 2018, "Integral human pose regression", arXiv 1711.08229, eq. 2, with a power
    in place of the softmax: maps of probabilities then need no temperature, and a peak of 0.3 is
    sharpened like one of 1.

    Args:
        maps: (N, h, w, K), not negative.
        power: at least 1. A gaussian's sigma shrinks by its root; below half a pixel, the result
            is drawn to pixel centres.

    Returns:
        (N, K, 2): x and y in pixels of the map, pixel centres at integers; the centre of the frame
        where a map is empty.
    """
    peak = ops.stop_gradient(ops.max(maps, axis=(1, 2), keepdims=True))
    mass = ops.power(maps / ops.maximum(peak, LOWEST_PEAK), power)
    # One axis after the other, as in `fetal_tf.losses.classes`. The peak itself weighs 1.
    columns, rows = ops.sum(mass, axis=1), ops.sum(mass, axis=2)
    whole = ops.maximum(ops.sum(rows, axis=1), 1.0)
    return ops.stack([_centre_of_gravity(side, whole) for side in (columns, rows)], axis=-1)


def _centre_of_gravity(mass: KerasTensor, whole: KerasTensor) -> KerasTensor:
    """Positions (N, K) from mass (N, size, K) and its sums (N, K)."""
    centre = (mass.shape[1] - 1) / 2
    offset = ops.arange(mass.shape[1], dtype=mass.dtype) - centre
    return ops.sum(mass * offset[:, None], axis=1) / whole + centre


@LOSSES.register("heatmap")
@keras.saving.register_keras_serializable(package="fetal_tf")
class HeatmapLoss(LandmarkLoss):
    """Squared error of maps that weighs peaks more, plus the distance of their soft-argmax points.

    With truth t and prediction p, the mean over pixels and landmarks of::

        (1 + foreground_weight t) (t - p)^2

    A gaussian of sigma 3 covers one pixel in a thousand of 192x288: without a weight, a map of
    zeros costs next to nothing, and a net that has learnt it sends no gradient through its sigmoid.

    The second term is `soft_argmax_weight` times |dx| + |dy| between `soft_argmax` of prediction
    and truth, as a share of the map's longer side, averaged over the landmarks whose truth is not
    empty. An empty truth means that the landmark is outside the frame; its map should be zero.

    Source: Payer et al. 2019, "Integrating spatial configuration into heatmap regression based CNNs
    for landmark localization", Medical Image Analysis 54, arXiv 1908.00748, for the squared error
    of gaussians; Sun et al. 2018, arXiv 1711.08229, for the L1 of the integral beside it.

    Args:
        foreground_weight: how much more a gaussian's peak weighs than a pixel without truth.
        soft_argmax_weight: of the points' distance.
        power: of `soft_argmax`, at least 1.
    """

    def __init__(
        self,
        *,
        foreground_weight: NonNegativeFloat = 100.0,
        soft_argmax_weight: NonNegativeFloat = 1.0,
        power: Annotated[float, Field(ge=1)] = 4.0,
        name: str = "heatmap",
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        self.foreground_weight = foreground_weight
        self.soft_argmax_weight = soft_argmax_weight
        self.power = power

    def call(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        """(N, h, w, K) twice to (N,).

        Raises:
            ValueError: no landmark; `order_invariant` without pairs; `geometry_weight` without
                four landmarks.
        """
        landmarks = y_pred.shape[-1]
        if not landmarks or (self.geometry_weight and landmarks != 4):
            needed = "4 for geometry_weight" if self.geometry_weight else "at least one"
            raise ValueError(f"{landmarks} landmark maps; {self.name} needs {needed}")
        visible = ops.max(y_true, axis=(1, 2)) > 0
        truth, found = (soft_argmax(y, self.power) for y in (y_true, y_pred))
        costs = self._squared(y_true, y_pred) + self._apart(truth, found, visible, y_pred)
        if self.order_invariant:
            other = self._squared(other_order(y_true, axis=-1), y_pred)
            other += self._apart(other_order(truth, axis=1), found, visible, y_pred)
            costs = cheaper_order(costs, other, visible)
        loss = ops.sum(costs, axis=-1)
        if not self.geometry_weight:
            return loss
        return loss + self.geometry_weight * axis_geometry(found, truth, visible)

    def _squared(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        """Each map's part of the weighted squared error, (N, K)."""
        weight = 1 + self.foreground_weight * y_true
        squared = weight * ops.square(y_true - y_pred)
        return ops.mean(ops.mean(squared, axis=2), axis=1) / y_pred.shape[-1]

    def _apart(
        self, truth: KerasTensor, found: KerasTensor, visible: KerasTensor, maps: KerasTensor
    ) -> KerasTensor:
        """Each landmark's part of the weighted distance of points, (N, K)."""
        counted = ops.cast(visible, found.dtype)
        share = counted / ops.maximum(ops.sum(counted, axis=-1, keepdims=True), 1.0)
        distance = ops.sum(ops.abs(truth - found), axis=-1) / max(maps.shape[1:3])
        return self.soft_argmax_weight * share * distance


@keras.saving.register_keras_serializable(package="fetal_tf")
class HeadAndLandmarks(HeadAndMore):
    """`head_loss` on channel 0, the head's mask, plus `landmark_weight` times the maps' loss.

    Args:
        head_loss: takes (N, h, w, 1) twice.
        landmark_loss: takes (N, h, w, K - 1) twice.
        landmark_weight: of the second.
    """

    def __init__(
        self,
        head_loss: keras.losses.Loss,
        landmark_loss: keras.losses.Loss,
        *,
        landmark_weight: NonNegativeFloat = 1.0,
        name: str = "head_and_landmarks",
        **kwargs: Any,
    ):
        super().__init__(head_loss, name=name, **kwargs)
        self.landmark_loss = landmark_loss
        self.landmark_weight = landmark_weight

    def beside(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        """(N, h, w, K) twice to (N,)."""
        return self.landmark_weight * self.landmark_loss.call(y_true[..., 1:], y_pred[..., 1:])


@LOSSES.register("head_and_landmarks", CrossentropyDice, HeatmapLoss)
def head_and_landmarks(
    *, landmark_weight: NonNegativeFloat = 1.0, **parts: Any
) -> HeadAndLandmarks:
    """`bce_dice` on channel 0 plus `landmark_weight` times `heatmap` on the others."""
    head = CrossentropyDice(**{key: parts.pop(key) for key in keywords(CrossentropyDice)})
    return HeadAndLandmarks(head, HeatmapLoss(**parts), landmark_weight=landmark_weight)
