"""The base of our losses: `get_config` returns what the class was given by keyword."""

from typing import Any

import keras

from fetal_tf.config.registry import keywords


class KeywordLoss(keras.losses.Loss):
    """A Keras loss that stores each of its keyword-only parameters under the parameter's name.

    `name`, `reduction` and `dtype` are those of `keras.losses.Loss`; a subclass passes them on as
    `**kwargs`. `call` returns one value per image, (N,), and the loss is their mean.
    """

    def get_config(self) -> dict[str, Any]:
        own = {keyword: getattr(self, keyword) for keyword in keywords(type(self))}
        return {**super().get_config(), **own}
