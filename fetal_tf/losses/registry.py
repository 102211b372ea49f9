"""The registry of losses: it builds a Keras loss from a config.

A builder is a class or a function whose keywords are typed::

    @LOSSES.register("dice")
    @keras.saving.register_keras_serializable(package="fetal_tf")
    class SoftDice(KeywordLoss):
        def __init__(self, *, smooth: PositiveFloat = 1.0, name: str = "soft_dice", **kwargs): ...

    LOSSES.build("loss", {"name": "dice", "smooth": 2.0}, None)

A keyword of the type `Weights` may ask for weights by `inverse_frequency`; the builder gets their
numbers.
"""

import inspect
from collections.abc import Mapping
from typing import Any, Literal

import keras
from pydantic import NonNegativeFloat, PositiveFloat

from fetal_tf.config.registry import Registry
from fetal_tf.edge.errors import ConfigError
from fetal_tf.losses.class_pixels import ClassPixels

Weights = list[NonNegativeFloat] | Literal["inverse_frequency"] | None  # by class; None: all alike
SMOOTHING = inspect.Parameter(
    "smoothing",
    inspect.Parameter.KEYWORD_ONLY,
    default=0.02,  # a class of 0.5 % of all pixels then weighs 29 times one of 70 %
    annotation=PositiveFloat,
)


class LossRegistry(Registry[keras.losses.Loss]):
    """Losses by name. A builder with `Weights` has the key `smoothing` as well."""

    def parameters(self, key: str, name: str) -> dict[str, inspect.Parameter]:
        found = super().parameters(key, name)
        weighted = any(parameter.annotation == Weights for parameter in found.values())
        return found | {"smoothing": SMOOTHING} if weighted else found

    def build(self, key: str, spec: Mapping[str, Any], *args: ClassPixels | None) -> Any:
        """Check `spec`, resolve its class weights and build the loss.

        Args:
            key: of the config, to blame.
            spec: `{"name": …, parameter: value}`.
            args: one, the pixels of each class in the training frames; None where a task does not
                count them.

        Raises:
            ConfigError: as in `check`, or class weights that fit no class, or values that the
                loss refuses with a ValueError (its text begins with the parameter and a colon).
        """
        (class_pixels,) = args
        checked = self.check(key, spec)
        given = {}
        for name, parameter in super().parameters(key, spec["name"]).items():
            given[name] = checked[name]
            if parameter.annotation == Weights:
                blamed = f"{key}.{name if name in spec else 'name'}"
                given[name] = _numbers(blamed, checked[name], class_pixels, checked["smoothing"])
        try:
            return self.get(key, spec["name"])(**given)
        except ValueError as error:
            raise ConfigError(f"{key}.{error}") from error


def _numbers(
    key: str, given: Weights, class_pixels: ClassPixels | None, smoothing: float
) -> list[float] | None:
    """The class weights that `key` asks for, one per class."""
    if given is None:
        return None
    if given == "inverse_frequency":
        if class_pixels is None:
            raise ConfigError(
                f"{key}: weights by inverse frequency need the pixels of each class in the "
                "training frames, which this task does not count; "
                "use cross_entropy, or list one weight per class"
            )
        return class_pixels.inverse_frequency_weights(smoothing).tolist()
    if class_pixels is not None and len(given) != len(class_pixels.classes):
        raise ConfigError(
            f"{key}: found {len(given)} weights for {len(class_pixels.classes)} classes "
            f"({', '.join(class_pixels.classes)})"
        )
    if not any(given):
        raise ConfigError(f"{key}: every weight is 0, found {given}; nothing would be learnt")
    return list(given)


LOSSES = LossRegistry("loss")
