"""Optimizers and learning-rate schedules by name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import keras
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from fetal_tf.config.registry import Registry

OPTIMIZERS: Registry[keras.optimizers.Optimizer] = Registry("optimizer")
SCHEDULES: Registry["Schedule"] = Registry("schedule")


@dataclass(frozen=True)
class Schedule:
    """The learning rate over training.

    Attributes:
        steps: for the optimizer: a constant, or a Keras schedule over training steps.
        plateau: lowers the constant between epochs; None for the other schedules.
    """

    steps: float | keras.optimizers.schedules.LearningRateSchedule
    plateau: "Plateau | None" = None


@dataclass(frozen=True)
class Plateau:
    """Multiply the rate by `factor` after `patience` epochs without improvement."""

    initial: float
    factor: float
    patience: int
    minimum: float
    min_delta: float = 1e-4

    def rate_after(self, losses: Sequence[float]) -> float:
        """Learning rate of the next epoch, from all past values of the monitor; lower is better.

        It depends on the history alone, so a resumed run needs no other state.
        `fetal_tf.training.callbacks` negates a monitor that is maximised.
        """
        rate, best, waited = self.initial, float("inf"), 0
        for loss in losses:
            if loss < best - self.min_delta:
                best, waited = loss, 0
                continue
            waited += 1
            if waited >= self.patience:
                rate, waited = max(rate * self.factor, self.minimum), 0
        return rate


@SCHEDULES.register("constant")
def constant(learning_rate: float, total_steps: int, steps_per_epoch: int) -> Schedule:
    """A constant learning rate."""
    return Schedule(learning_rate)


@SCHEDULES.register("cosine")
def cosine(
    learning_rate: float,
    total_steps: int,
    steps_per_epoch: int,
    *,
    warmup_epochs: NonNegativeFloat = 0.0,
    final_fraction: NonNegativeFloat = 0.0,
) -> Schedule:
    """Linear warm-up to the learning rate, then cosine decay to `final_fraction` of it."""
    warmup_steps = min(round(warmup_epochs * steps_per_epoch), total_steps - 1)
    if warmup_steps <= 0:
        return Schedule(
            keras.optimizers.schedules.CosineDecay(
                learning_rate, max(total_steps, 1), alpha=final_fraction
            )
        )
    return Schedule(
        keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=learning_rate / warmup_steps,
            decay_steps=total_steps - warmup_steps,
            alpha=final_fraction,
            warmup_target=learning_rate,
            warmup_steps=warmup_steps,
        )
    )


@SCHEDULES.register("plateau")
def plateau(
    learning_rate: float,
    total_steps: int,
    steps_per_epoch: int,
    *,
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.5,
    patience: PositiveInt = 5,
    minimum: NonNegativeFloat = 1e-6,
    min_delta: NonNegativeFloat = 1e-4,
) -> Schedule:
    """Multiply the rate by `factor` when `train.monitor` has not improved for `patience` epochs."""
    return Schedule(learning_rate, Plateau(learning_rate, factor, patience, minimum, min_delta))


@OPTIMIZERS.register("adam")
def adam(
    schedule: Schedule,
    accumulated: int = 1,
    *,
    learning_rate: PositiveFloat,
    clip_norm: PositiveFloat | None = None,
) -> keras.optimizers.Optimizer:
    """Adam (Kingma & Ba 2015); `clip_norm` limits the global norm of the gradients."""
    return keras.optimizers.Adam(
        schedule.steps,
        global_clipnorm=clip_norm,
        gradient_accumulation_steps=_more_than_one(accumulated),
    )


@OPTIMIZERS.register("adamw")
def adamw(
    schedule: Schedule,
    accumulated: int = 1,
    *,
    learning_rate: PositiveFloat,
    weight_decay: NonNegativeFloat = 1e-4,
    clip_norm: PositiveFloat | None = None,
) -> keras.optimizers.Optimizer:
    """AdamW (Loshchilov & Hutter 2019); biases and normalisation weights do not decay."""
    optimizer = keras.optimizers.AdamW(
        schedule.steps,
        weight_decay=weight_decay,
        global_clipnorm=clip_norm,
        gradient_accumulation_steps=_more_than_one(accumulated),
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def _more_than_one(accumulated: int) -> int | None:
    """Keras knows accumulation over two batches and more."""
    return accumulated if accumulated > 1 else None
