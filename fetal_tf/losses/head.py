"""What losses of a head's mask have in common when the same net says something more."""

from typing import Any

import keras
from keras import KerasTensor


class HeadAndMore(keras.losses.Loss):
    """`head_loss` on channel 0, the head's mask, plus what `beside` says of the other channels.

    Args:
        head_loss: takes (N, h, w, 1) twice.
        reduction: as in `keras.losses.Loss`; the mean is over images.
        name: the loss's name.
        dtype: as in `keras.losses.Loss`.
    """

    parts: tuple[str, ...]  # attributes that are losses themselves

    def __init__(self, head_loss: keras.losses.Loss, reduction: str, name: str, dtype: Any):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.head_loss = head_loss

    def call(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        """(N, h, w, K) twice to (N,)."""
        head = self.head_loss.call(y_true[..., :1], y_pred[..., :1])
        return head + self.beside(y_true, y_pred)

    def beside(self, y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
        """What comes to the mask's loss, of all channels: (N, h, w, K) twice to (N,)."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        stored = {
            part: keras.saving.serialize_keras_object(getattr(self, part)) for part in self.parts
        }
        return {**super().get_config(), **stored}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "HeadAndMore":
        built = {part: keras.saving.deserialize_keras_object(config[part]) for part in cls.parts}
        return cls(**{**config, **built})
