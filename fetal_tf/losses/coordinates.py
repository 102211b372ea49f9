"""Losses of landmarks as coordinates: the ends of two axes, in shares of the frame.

All take `y_true` (N, 4, 3): x as a share of the frame's width, y of its height, and a weight, 0
where the landmark is outside the frame or unknown. `y_pred` is (N, 4, 2).
"""

import math
from typing import Any

import keras
from keras import KerasTensor, ops
from pydantic import NonNegativeFloat, PositiveFloat

from fetal_tf.losses.landmark_geometry import (
    LandmarkLoss,
    axis_geometry,
    cheaper_order,
    other_order,
)
from fetal_tf.losses.registry import LOSSES


class CoordinateLoss(LandmarkLoss):
    """The weighted mean of what each difference costs, over an image's landmarks and x and y.

    Differences are shares: where the frame is not square, a pixel weighs more along the shorter
    side. An image without any weight costs 0.

    Args:
        aspect_ratio: height / width of the network's frame. Shares do not show it, and without it
            axes that are perpendicular in the image are not so in shares. It cannot be inferred
            from the true axes: parallel to the frame's sides, they are perpendicular at any ratio.

    Raises:
        ValueError: a geometry weight without an aspect ratio.
    """

    def __init__(self, *, aspect_ratio: PositiveFloat | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        if self.geometry_weight and aspect_ratio is None:
            raise ValueError(
                "aspect_ratio: geometry_weight needs the height / width of data.image_size, which "
                "coordinates as shares do not show; found nothing"
            )
        self.aspect_ratio = aspect_ratio

    def call(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        """(N, 4, 3) and (N, 4, 2) to (N,)."""
        costs = self._weighted_costs(y_true, y_pred)
        weight = y_true[..., 2]
        visible = weight > 0
        if self.order_invariant:
            swapped = self._weighted_costs(other_order(y_true, axis=1), y_pred)
            costs = cheaper_order(costs, swapped, visible)
        loss = ops.divide_no_nan(ops.sum(costs, axis=1), ops.sum(weight, axis=1))
        if not self.geometry_weight:
            return loss
        isotropic = ops.convert_to_tensor([1.0, self.aspect_ratio], y_pred.dtype)
        truth = _known_points(y_true) * isotropic
        return loss + self.geometry_weight * axis_geometry(y_pred * isotropic, truth, visible)

    def _weighted_costs(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        distance = ops.abs(_known_points(y_true) - y_pred)
        return y_true[..., 2] * ops.mean(self._cost(distance), axis=-1)

    def _cost(self, distance: KerasTensor) -> KerasTensor:
        """The cost of each absolute difference, of the same shape."""
        raise NotImplementedError


def _known_points(y_true: KerasTensor) -> KerasTensor:
    """(N, 4, 3) to (N, 4, 2); 0 for a landmark without weight, whose place may be NaN."""
    return ops.where(y_true[..., 2:] > 0, y_true[..., :2], 0.0)


@LOSSES.register("l1_smooth_l1")
@keras.saving.register_keras_serializable(package="fetal_tf")
class L1SmoothL1(CoordinateLoss):
    """`l1_weight` |d| + `smooth_l1_weight` times d² / (2 beta), or |d| - beta / 2 from beta on.

    Source: smooth L1 is Girshick 2015, "Fast R-CNN", arXiv 1504.08083, eq. 3, where beta is 1. No
    share differs by more than 1, so with that beta its part is half the squared difference, which
    is small beside L1.

    Args:
        l1_weight: of the first part.
        smooth_l1_weight: of the second.
        beta: a share of the frame.
    """

    def __init__(
        self,
        *,
        l1_weight: NonNegativeFloat = 1.0,
        smooth_l1_weight: NonNegativeFloat = 1.0,
        beta: PositiveFloat = 1.0,
        name: str = "l1_smooth_l1",
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        self.l1_weight = l1_weight
        self.smooth_l1_weight = smooth_l1_weight
        self.beta = beta

    def _cost(self, distance: KerasTensor) -> KerasTensor:
        near = ops.square(distance) / (2 * self.beta)
        smooth = ops.where(distance < self.beta, near, distance - self.beta / 2)
        return self.l1_weight * distance + self.smooth_l1_weight * smooth


@LOSSES.register("wing")
@keras.saving.register_keras_serializable(package="fetal_tf")
class Wing(CoordinateLoss):
    """w ln(1 + |d| / epsilon) below w, |d| - w + w ln(1 + w / epsilon) from there on.

    The slope falls from w / epsilon to that of L1, so small and medium errors keep a gradient that
    L1 leaves to the large ones.

    Source: Feng et al. 2018, "Wing loss for robust facial landmark localisation with convolutional
    neural networks", CVPR, arXiv 1711.06753, eq. 5. Their 10 and 2 px, in frames of 64 px, are the
    defaults here.

    Args:
        w: a share of the frame, like all differences.
        epsilon: a share of the frame; what counts is how far it is below w.
    """

    def __init__(
        self,
        *,
        w: PositiveFloat = 0.15,
        epsilon: PositiveFloat = 0.03,
        name: str = "wing",
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        self.w = w
        self.epsilon = epsilon

    def _cost(self, distance: KerasTensor) -> KerasTensor:
        joint = self.w - self.w * math.log1p(self.w / self.epsilon)
        near = self.w * ops.log1p(distance / self.epsilon)
        return ops.where(distance < self.w, near, distance - joint)
