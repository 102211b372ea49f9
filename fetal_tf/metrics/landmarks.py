"""Training metrics of landmarks: the mean radial error in pixels of the network's frame.

Each axis takes the nearer order of its ends, and only visible landmarks count. The names end in
`error`, so `train.monitor` minimises them. A head's mask beside landmark maps is scored by
`fetal_tf.metrics.masks.Dice(channel=0)`.

The evaluation after training works in pixels of the original image and in millimetres.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import KerasTensor, ops

from fetal_tf.losses.landmark_geometry import cheaper_order, other_order
from fetal_tf.metrics.masks import MeanOfKnown


class RadialError(MeanOfKnown):
    """The mean distance of visible landmarks from their truth, every landmark alike."""

    def __init__(self, name: str = "radial_error", dtype: Any = None):
        super().__init__(name=name, dtype=dtype)

    def update_state(
        self, y_true: KerasTensor, y_pred: KerasTensor, sample_weight: KerasTensor | None = None
    ) -> None:
        """Add a batch; `sample_weight` (N,) weighs its images."""
        y_true, y_pred = (ops.cast(y, "float32") for y in (y_true, y_pred))
        truth, found, visible = self._points(y_true, y_pred)
        errors = cheaper_order(
            _distance(truth, found), _distance(other_order(truth, axis=1), found), visible
        )
        self.add(errors, visible, sample_weight)

    def _points(
        self, y_true: KerasTensor, y_pred: KerasTensor
    ) -> tuple[KerasTensor, KerasTensor, KerasTensor]:
        """True and found (x, y) in px, (N, K, 2) each, and which are visible, bool (N, K)."""
        raise NotImplementedError


@keras.saving.register_keras_serializable(package="fetal_tf")
class CoordinateError(RadialError):
    """`RadialError` of coordinates: (N, 4, 3) of x share, y share and weight against (N, 4, 2).

    Args:
        image_size: (height, width) of the network's frame, px.
        name: the name in the logs.
        dtype: as in `keras.metrics.Metric`.
    """

    def __init__(self, image_size: Sequence[int], name: str = "radial_error", dtype: Any = None):
        super().__init__(name=name, dtype=dtype)
        self.image_size = [int(side) for side in image_size]

    def _points(
        self, y_true: KerasTensor, y_pred: KerasTensor
    ) -> tuple[KerasTensor, KerasTensor, KerasTensor]:
        height, width = self.image_size
        size = ops.convert_to_tensor([width, height], "float32")
        return y_true[..., :2] * size, y_pred * size, y_true[..., 2] > 0

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "image_size": self.image_size}


@keras.saving.register_keras_serializable(package="fetal_tf")
class HeatmapError(RadialError):
    """`RadialError` between the highest pixels of true and predicted maps, (N, h, w, K) twice.

    It is in whole pixels of the map; evaluation decodes fractions of a pixel. A landmark whose
    truth is empty is not visible.

    Args:
        first_channel: of the first landmark; 1 where channel 0 is the head's mask.
        name: the name in the logs.
        dtype: as in `keras.metrics.Metric`.
    """

    def __init__(self, first_channel: int = 0, name: str = "radial_error", dtype: Any = None):
        super().__init__(name=name, dtype=dtype)
        self.first_channel = first_channel

    def _points(
        self, y_true: KerasTensor, y_pred: KerasTensor
    ) -> tuple[KerasTensor, KerasTensor, KerasTensor]:
        truth, found = (y[..., self.first_channel :] for y in (y_true, y_pred))
        return _highest(truth), _highest(found), ops.max(truth, axis=(1, 2)) > 0

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "first_channel": self.first_channel}


def _highest(maps: KerasTensor) -> KerasTensor:
    """(x, y) of the highest pixel of each map (N, h, w, K), the first of equals: (N, K, 2)."""
    width, landmarks = maps.shape[2:]
    flat = ops.reshape(maps, (-1, maps.shape[1] * width, landmarks))
    index = ops.argmax(flat, axis=1)
    return ops.cast(ops.stack([index % width, index // width], axis=-1), "float32")


def _distance(a: KerasTensor, b: KerasTensor) -> KerasTensor:
    return ops.sqrt(ops.sum(ops.square(a - b), axis=-1))
