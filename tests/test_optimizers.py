"""Schedules and optimizers against their formulas and Keras."""

import keras
import numpy as np
import pytest

from fetal_tf.edge.errors import ConfigError
from fetal_tf.optimizers import OPTIMIZERS, SCHEDULES, Plateau, Schedule


def rates(schedule, steps):
    return np.array([float(schedule.steps(step)) for step in range(steps)])


def test_cosine_follows_its_formula():
    schedule = SCHEDULES.build("schedule", {"name": "cosine"}, 0.1, 100, 10)
    expected = 0.05 * (1 + np.cos(np.pi * np.arange(100) / 100))
    np.testing.assert_allclose(rates(schedule, 100), expected, rtol=1e-4, atol=1e-7)


def test_warm_up_rises_to_the_peak_and_ends_at_the_floor():
    spec = {"name": "cosine", "warmup_epochs": 2, "final_fraction": 0.01}
    spec["warmup_epochs"] = 2.0
    course = rates(SCHEDULES.build("schedule", spec, 0.1, 100, 10), 101)
    assert np.all(np.diff(course[:20]) > 0)
    assert np.argmax(course) == 20
    assert course[20] == pytest.approx(0.1, rel=1e-5)
    assert course[100] == pytest.approx(0.001, rel=1e-4)


def test_warm_up_longer_than_the_training_still_builds():
    schedule = SCHEDULES.build("schedule", {"name": "cosine", "warmup_epochs": 5.0}, 0.1, 3, 3)
    assert np.all(np.isfinite(rates(schedule, 3)))


@pytest.mark.parametrize("seed", range(5))
def test_plateau_is_keras_own_rule(seed):
    """`keras.callbacks.ReduceLROnPlateau` is the oracle, fed the same losses."""
    losses = np.random.default_rng(seed).normal(size=60).cumsum() * 0.01 + 5
    plateau = Plateau(initial=0.1, factor=0.5, patience=3, minimum=1e-3, min_delta=1e-4)

    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    oracle = keras.callbacks.ReduceLROnPlateau(
        "loss", factor=0.5, patience=3, min_lr=1e-3, min_delta=1e-4
    )
    oracle.set_model(model)
    oracle.on_train_begin()
    for epoch, loss in enumerate(losses):
        oracle.on_epoch_end(epoch, {"loss": loss})
        expected = float(model.optimizer.learning_rate)
        assert plateau.rate_after(losses[: epoch + 1]) == pytest.approx(expected, rel=1e-5)


def test_biases_and_normalisation_do_not_decay():
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3), keras.layers.BatchNormalization()]
    )
    spec = {"name": "adamw", "learning_rate": 0.1, "weight_decay": 0.5}
    optimizer = OPTIMIZERS.build("optimizer", spec, Schedule(0.1))
    optimizer.build(model.trainable_variables)
    before = [v.numpy().copy() for v in model.trainable_variables]
    optimizer.apply([np.zeros(v.shape, "float32") for v in model.trainable_variables])
    for variable, old in zip(model.trainable_variables, before, strict=True):
        changed = not np.allclose(variable.numpy(), old)
        assert changed == (variable.name == "kernel"), variable.path


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_clip_norm_bounds_all_gradients_together(name):
    spec = {"name": name, "learning_rate": 1.0, "clip_norm": 1.0}
    optimizer = OPTIMIZERS.build("optimizer", spec, Schedule(1.0))
    weights = [keras.Variable(np.zeros(2, "float32")), keras.Variable(np.zeros(1, "float32"))]
    optimizer.build(weights)
    optimizer.apply([np.array([3.0, 0.0], "float32"), np.array([4.0], "float32")])
    # Adam's step does not show the norm; its momentum does: 1 - beta_1 = 0.1 of the gradients.
    momenta = [v.numpy() for v in optimizer.variables if "momentum" in v.path]
    np.testing.assert_allclose(np.concatenate(momenta), [0.06, 0.0, 0.08], atol=1e-6)


@pytest.mark.parametrize("wrong", [{"learning_rate": -0.1}, {"learning_rate": 1, "clip_norm": 0}])
def test_rates_and_norms_are_positive(wrong):
    with pytest.raises(ConfigError, match="greater than 0"):
        OPTIMIZERS.check("optimizer", {"name": "adam"} | wrong)


def test_a_missing_rate_is_named():
    with pytest.raises(ConfigError, match=r"optimizer\.learning_rate"):
        OPTIMIZERS.check("optimizer", {"name": "adam"})


@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_gradients_of_two_batches_are_one_step_of_their_mean(name):
    """The same weights as by one step on both at once."""
    rng = np.random.default_rng(0)
    start = rng.normal(size=(5,)).astype(np.float32)
    gradients = rng.normal(size=(4, 5)).astype(np.float32)

    def trained(accumulated, steps):
        weight = keras.Variable(start)
        spec = {"name": name, "learning_rate": 0.1}
        optimizer = OPTIMIZERS.build("optimizer", spec, Schedule(0.1), accumulated)
        for step in steps:
            optimizer.apply([keras.ops.convert_to_tensor(step)], [weight])
        return weight.numpy(), int(optimizer.iterations)

    both = (gradients[0::2] + gradients[1::2]) / 2
    (found, moved), (expected, steps) = trained(2, gradients), trained(1, both)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert moved == steps == 2
    assert np.abs(found - start).max() > 0.05
