"""What losses and metrics of landmarks share: the order of an axis' ends, and two axes' geometry.

Landmarks come in pairs, the two ends of an axis: `fetal_tf.edge.geometry.landmarks.LANDMARKS`.
Which end is "1" is a convention that an image need not show.
"""

from typing import Any

from keras import KerasTensor, ops
from pydantic import NonNegativeFloat

from fetal_tf.losses.keyword_loss import KeywordLoss

# A cosine divides by the length of an axis, which counts as at least this share of the true one:
# the direction of two ends that have met is noise, and its gradient has no bound.
SHORTEST_AXIS = 0.1


class LandmarkLoss(KeywordLoss):
    """Base of the losses of landmarks.

    Args:
        order_invariant: whether each axis takes the cheaper order of its ends; landmarks are then
            pairs of ends.
        geometry_weight: weight of `axis_geometry`; landmarks are then the two ends of one axis and
            the two of the other.
    """

    def __init__(
        self,
        *,
        order_invariant: bool = False,
        geometry_weight: NonNegativeFloat = 0.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.order_invariant = order_invariant
        self.geometry_weight = geometry_weight


def axis_geometry(points: KerasTensor, truth: KerasTensor, visible: KerasTensor) -> KerasTensor:
    """How far two axes are from perpendicular and from bisecting each other, (N,).

    The sum of |cos| of the angle between them, and of the distance of their midpoints divided by
    the mean length of the *true* axes: divided by the predicted length, it would fall as the axes
    grow. Swapping ends changes nothing.

    Args:
        points: (N, 4, 2), the ends of one axis and then of the other, in isotropic units.
        truth: likewise; only its lengths count, as the scale.
        visible: (N, 4), bool. An image with an end that is not visible, or with a true axis of no
            length, costs 0.
    """
    first, second = points[:, 1] - points[:, 0], points[:, 3] - points[:, 2]
    true_lengths = _length(truth[:, 1::2] - truth[:, 0::2])
    known = ops.logical_and(ops.all(visible, axis=-1), ops.all(true_lengths > 0, axis=-1))
    scale = ops.where(known[:, None], true_lengths, 1.0)
    lengths = ops.maximum(_length(points[:, 1::2] - points[:, 0::2]), SHORTEST_AXIS * scale)
    cosine = ops.abs(ops.sum(first * second, axis=-1)) / (lengths[:, 0] * lengths[:, 1])
    midpoints = (points[:, 0::2] + points[:, 1::2]) / 2
    apart = _length(midpoints[:, 1] - midpoints[:, 0]) / ops.mean(scale, axis=-1)
    return ops.where(known, cosine + apart, 0.0)


def _length(vectors: KerasTensor) -> KerasTensor:
    """Length of vectors along the last axis; the gradient of a zero vector is 0."""
    squared = ops.sum(ops.square(vectors), axis=-1)
    some = squared > 0
    return ops.where(some, ops.sqrt(ops.where(some, squared, 1.0)), 0.0)


def other_order(ends: KerasTensor, axis: int) -> KerasTensor:
    """The same landmarks with the two ends of every axis swapped along `axis`.

    Raises:
        ValueError: an odd number of them.
    """
    count = ends.shape[axis]
    if count % 2:
        raise ValueError(f"{count} landmarks are not pairs of ends of an axis")
    return ops.take(ends, [index ^ 1 for index in range(count)], axis=axis)


def cheaper_order(given: KerasTensor, swapped: KerasTensor, visible: KerasTensor) -> KerasTensor:
    """For each axis, the costs of its ends in the order that costs less, (N, K).

    Args:
        given: (N, K), what each landmark costs in the order of the truth.
        swapped: likewise, against the other end of its axis.
        visible: (N, K), bool. An axis with an end that is not visible is not swapped.
    """
    pairs = (-1, given.shape[1] // 2, 2)
    given, swapped, visible = (ops.reshape(x, pairs) for x in (given, swapped, visible))
    cheaper = ops.sum(swapped, axis=-1) < ops.sum(given, axis=-1)
    swap = ops.logical_and(cheaper, ops.all(visible, axis=-1))
    return ops.reshape(ops.where(swap[..., None], swapped, given), (-1, pairs[1] * 2))
