"""The loss of a head's mask with the direction of its long axis beside it.

It takes `y_true` and `y_pred` (N, h, w, 3): the head's coverage, 0..1, and the two maps of
`fetal_tf.edge.geometry.axis`. The maps count only inside the true head.
"""

from typing import Any

import keras
from keras import KerasTensor, ops
from pydantic import NonNegativeFloat

from fetal_tf.edge.geometry.axis import UNKNOWN
from fetal_tf.losses.head import HeadAndMore
from fetal_tf.losses.masks import CrossentropyDice
from fetal_tf.losses.registry import LOSSES


@keras.saving.register_keras_serializable(package="fetal_tf")
class HeadAndAxis(HeadAndMore):
    """`head_loss` on channel 0, plus `axis_weight` times the maps' squared error inside the head.

    With truth t, prediction p and the head's coverage m, per image::

        4 sum(m |t - p|^2) / sum(m)

    The 4 scales maps of 0..1 to the unit circle: a direction that is off by d degrees costs
    2 - 2 cos 2d. A net that is not sure lowers its cost by answering with a shorter vector, so the
    length of the mean says how sure it is. An image without a head, or one whose axis is unknown
    (`t` is UNKNOWN twice), costs nothing here.

    Args:
        head_loss: takes (N, h, w, 1) twice.
        axis_weight: of the second term.
    """

    def __init__(
        self,
        head_loss: keras.losses.Loss,
        *,
        axis_weight: NonNegativeFloat = 0.2,
        name: str = "head_and_axis",
        **kwargs: Any,
    ):
        super().__init__(head_loss, name=name, **kwargs)
        self.axis_weight = axis_weight

    def beside(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        """(N, h, w, 3) twice to (N,)."""
        inside, truth = y_true[..., 0], y_true[..., 1:]
        known = ops.cast(ops.any(ops.abs(truth - UNKNOWN) > 0, axis=-1), inside.dtype)
        weight = inside * known
        squared = 4 * ops.sum(ops.square(truth - y_pred[..., 1:]), axis=-1)
        axis = ops.divide_no_nan(
            ops.sum(weight * squared, axis=(1, 2)), ops.sum(weight, axis=(1, 2))
        )
        return self.axis_weight * axis


@LOSSES.register("head_and_axis", CrossentropyDice)
def head_and_axis(*, axis_weight: NonNegativeFloat = 0.2, **head: Any) -> HeadAndAxis:
    """`bce_dice` with the keywords of `head`, and the axis beside it."""
    return HeadAndAxis(CrossentropyDice(**head), axis_weight=axis_weight)
