"""Loss and metric of a head's mask with the direction of its long axis beside it.

Both take `y_true` and `y_pred` (N, h, w, 3): the head's coverage, 0..1, and the two maps of
`fetal_tf.edge.geometry.axis`. What the maps say outside of the true head does not count.
"""

from typing import Any

import keras
from keras import KerasTensor, ops

from fetal_tf.edge.geometry.axis import UNKNOWN
from fetal_tf.losses.head import HeadAndMore


@keras.saving.register_keras_serializable(package="fetal_tf")
class HeadAndAxis(HeadAndMore):
    """`head_loss` on channel 0, plus `axis_weight` times the maps' squared error inside the head.

    With truth t, prediction p and the head's coverage m, per image::

        4 sum(m |t - p|^2) / sum(m)

    The 4 takes maps of 0..1 to the unit circle: a direction that is off by d degrees costs
    2 - 2 cos 2d. A net that cannot tell lowers its cost by answering with a shorter vector, so the
    length of the mean says how sure it is. An image without a head, or one whose axis is unknown
    (`t` is UNKNOWN twice), costs nothing here.

    Args:
        head_loss: takes (N, h, w, 1) twice.
        axis_weight: of the second term.
        reduction: as in `keras.losses.Loss`; the mean is over images.
        name: the loss's name.
        dtype: as in `keras.losses.Loss`.
    """

    parts = ("head_loss",)

    def __init__(
        self,
        head_loss: keras.losses.Loss,
        axis_weight: float = 0.2,
        reduction: str = "sum_over_batch_size",
        name: str = "head_and_axis",
        dtype: Any = None,
    ):
        super().__init__(head_loss, reduction, name, dtype)
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

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis_weight": self.axis_weight}
