"""The base of losses of a head's mask with further channels beside it."""

from typing import Any

import keras
from keras import KerasTensor

from fetal_tf.losses.keyword_loss import KeywordLoss


class HeadAndMore(KeywordLoss):
    """`head_loss` on channel 0, the head's mask, plus `beside` for the other channels.

    Args:
        head_loss: takes (N, h, w, 1) twice.
    """

    def __init__(self, head_loss: keras.losses.Loss, **kwargs: Any):
        super().__init__(**kwargs)
        self.head_loss = head_loss

    def call(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        """(N, h, w, K) twice to (N,)."""
        head = self.head_loss.call(y_true[..., :1], y_pred[..., :1])
        return head + self.beside(y_true, y_pred)

    def beside(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        """The cost of the other channels, from all of them: (N, h, w, K) twice to (N,)."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        parts = {key: v for key, v in vars(self).items() if isinstance(v, keras.losses.Loss)}
        stored = {key: keras.saving.serialize_keras_object(part) for key, part in parts.items()}
        return {**super().get_config(), **stored}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "HeadAndMore":
        return cls(**keras.saving.deserialize_keras_object(config))
