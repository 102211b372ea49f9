import keras
import numpy as np
import pytest

from fetal_tf.models.saving import load_model
from fetal_tf.scores.monitor import Monitor
from fetal_tf.training.callbacks import (
    EpochEnd,
    StopAtNaN,
    StopWhen,
    TrainingDiverged,
)
from fetal_tf.training.checkpoint import TrainingState, load_state
from fetal_tf.training.weight_average import WeightAverage
from tests.losses.jax_process import run_on_jax


def model_with_batch_norm(rate=0.05):
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4), keras.layers.BatchNormalization()]
    )
    model.add(keras.layers.Dense(1))
    model.compile(keras.optimizers.SGD(rate), "mse")
    return model


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    x = rng.normal(2, 3, size=(24, 3)).astype("float32")
    return x, (x @ np.ones((3, 1), "float32"))


class Recorder(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.weights = []

    def on_train_batch_end(self, batch, logs=None):
        self.weights.append([w.numpy().copy() for w in self.model.weights])


def test_the_average_is_the_average(data):
    """NumPy oracle over the recorded weights, moving statistics of batch norm included."""
    model = model_with_batch_norm()
    first = [w.numpy().copy() for w in model.weights]
    average, recorder = WeightAverage(0.9, {}), Recorder()
    model.fit(*data, batch_size=4, epochs=5, verbose=0, callbacks=[average, recorder])

    expected = first
    for step, weights in enumerate(recorder.weights, start=1):
        decay = min(0.9, (1 + step) / (10 + step))
        expected = [decay * e + (1 - decay) * w for e, w in zip(expected, weights, strict=True)]
    found = average.averages()
    assert len(found) == len(model.weights)
    for variable, value in zip(model.weights, expected, strict=True):
        np.testing.assert_allclose(found[variable.path], value, rtol=1e-4, atol=1e-5)


def test_validation_sees_the_averaged_network_and_training_goes_on_with_its_own(data):
    model = model_with_batch_norm()
    average = WeightAverage(0.99, {})
    history = model.fit(
        *data, batch_size=4, epochs=2, verbose=0, callbacks=[average], validation_data=data
    ).history
    raw = [w.numpy().copy() for w in model.weights]
    with average.applied():
        averaged_loss = model.evaluate(*data, batch_size=4, verbose=0)
    assert history["val_loss"][-1] == pytest.approx(averaged_loss, rel=1e-5)
    assert averaged_loss != pytest.approx(model.evaluate(*data, verbose=0), rel=1e-3)
    for variable, before in zip(model.weights, raw, strict=True):
        np.testing.assert_array_equal(variable.numpy(), before)


def test_the_average_moves_with_the_steps_of_the_optimizer(data):
    """Not with batches whose gradients are only collected."""
    model = model_with_batch_norm()
    model.compile(keras.optimizers.SGD(1e-3, gradient_accumulation_steps=3), "mse")
    calls, average = [], WeightAverage(0.9, {})
    hook = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: setattr(average, "_update", calls.append)
    )
    model.fit(*data, batch_size=4, epochs=2, verbose=0, callbacks=[average, hook])
    assert len(calls) == 4  # of 12 batches
    np.testing.assert_allclose(calls[0], (1 + 1) / (10 + 1))


def test_several_steps_in_one_call_move_it_by_as_much(data):
    model = model_with_batch_norm()
    model.compile("sgd", "mse", steps_per_execution=3)
    calls, average = [], WeightAverage(0.9, {})
    hook = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: setattr(average, "_update", calls.append)
    )
    model.fit(*data, batch_size=4, epochs=1, verbose=0, callbacks=[average, hook])
    np.testing.assert_allclose(calls, [(4 / 13) ** 3, (7 / 16) ** 3])


def test_averages_of_a_resumed_run_go_on(data):
    model = model_with_batch_norm()
    start = {w.path: np.full(w.shape, 7.0, "float32") for w in model.weights}
    average = WeightAverage(0.999999, start)
    model.optimizer.build(model.trainable_variables)
    model.optimizer.iterations.assign(10**7)
    model.fit(*data, batch_size=24, epochs=1, verbose=0, callbacks=[average])
    for value in average.averages().values():
        np.testing.assert_allclose(value, 7.0, atol=1e-3)


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_way_out(data, tmp_path):
    checkpoint = tmp_path / "last.keras"
    checkpoint.write_bytes(b"the last good one")
    model = model_with_batch_norm(rate=1e30)
    with pytest.raises(TrainingDiverged, match=r"learning_rate") as error:
        model.fit(*data, batch_size=4, epochs=3, verbose=0, callbacks=[StopAtNaN(checkpoint)])
    assert "last.keras holds the last good epoch" in str(error.value)
    assert checkpoint.read_bytes() == b"the last good one"


def test_a_run_that_breaks_in_the_last_step_keeps_its_last_good_checkpoint(data, tmp_path):
    """The loss before the update is fine, validation after it is not: nothing may be saved."""
    state = TrainingState()
    model = model_with_batch_norm(rate=1e30)
    with pytest.raises(TrainingDiverged, match=r"epoch 1: val_loss is"):
        model.fit(
            *data,
            batch_size=24,
            verbose=0,
            validation_data=data,
            callbacks=[EpochEnd(tmp_path, state, Monitor("val_loss", falls=True))],
        )
    assert list(tmp_path.iterdir()) == []
    assert state.history == []


def test_best_is_kept_last_goes_on_and_patience_ends(data, tmp_path):
    """A rate that grows worse by hand: epoch 2 is best, and three worse ones end the run."""
    model = model_with_batch_norm(rate=0.0)

    class Scripted(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["val_dice"] = [0.5, 0.8, 0.7, 0.8, 0.6, 0.9][epoch]
            self.model.weights[0].assign(np.full((3, 4), float(epoch)))

    state = TrainingState()
    monitor = Monitor("val_dice", falls=False)
    stop = StopWhen(lambda: monitor.epochs_without_gain(state.history) >= 3)
    end = EpochEnd(tmp_path, state, monitor)
    model.fit(*data, epochs=6, verbose=0, callbacks=[Scripted(), end, stop])
    assert [row["val_dice"] for row in state.history] == [0.5, 0.8, 0.7, 0.8, 0.6]
    assert load_model(tmp_path / "best.keras").weights[0].numpy()[0, 0] == 1.0
    assert load_model(tmp_path / "last.keras").weights[0].numpy()[0, 0] == 4.0
    assert load_state(tmp_path / "last.keras").history == state.history
    rows = (tmp_path / "metrics.csv").read_text().splitlines()
    assert rows[0].startswith("epoch,loss,val_dice,learning_rate,seconds")
    assert [row.split(",")[0] for row in rows[1:]] == ["1", "2", "3", "4", "5"]


ON_JAX = """
import numpy as np
from fetal_tf.training.weight_average import WeightAverage

rng = np.random.default_rng(0)
x = rng.normal(2, 3, size=(24, 3)).astype("float32")
model = keras.Sequential(
    [keras.Input((3,)), keras.layers.BatchNormalization(), keras.layers.Dense(1)]
)
model.compile("sgd", "mse", jit_compile=True)
seen = [[np.array(w) for w in model.get_weights()]]

class Recorder(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        seen.append([np.array(w) for w in self.model.get_weights()])

average = WeightAverage(0.9, {})
model.fit(x, x.sum(axis=1), batch_size=4, epochs=2, verbose=0, callbacks=[average, Recorder()])
expected = seen[0]
for step, weights in enumerate(seen[1:], start=1):
    decay = min(0.9, (1 + step) / (10 + step))
    expected = [decay * e + (1 - decay) * w for e, w in zip(expected, weights)]
for value, found in zip(expected, average.averages().values()):
    np.testing.assert_allclose(found, value, rtol=1e-4, atol=1e-5)
assert any(np.ptp(np.stack(w), axis=0).max() > 1e-3 for w in zip(*seen))
print(len(seen))
"""


def test_the_average_on_jax_is_that_of_the_weights_of_each_step():
    assert run_on_jax(ON_JAX).strip() == "13"
