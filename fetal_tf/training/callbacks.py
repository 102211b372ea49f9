"""Keras callbacks: weight averages, stopping, learning rate, checkpoints, logs and pictures."""

import shutil
import time
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from pathlib import Path

import keras
import numpy as np
from keras import ops

from fetal_tf.edge.errors import FetalTFError
from fetal_tf.optimizers import Plateau
from fetal_tf.runs.history import write_history
from fetal_tf.scores.monitor import Monitor
from fetal_tf.training.checkpoint import TrainingState, save_checkpoint


class TrainingDiverged(FetalTFError):
    """The loss is no longer a number."""


class StopAtNaN(keras.callbacks.Callback):
    """Ends the run at the first loss that is not finite; the last good checkpoint stays."""

    def __init__(self, checkpoint: Path):
        super().__init__()
        self._checkpoint = checkpoint
        self._epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        loss = (logs or {}).get("loss")
        if loss is not None and not np.isfinite(loss):
            where = f"epoch {self._epoch + 1}, step {batch + 1}"
            raise TrainingDiverged(_diverged(f"{where}: loss is {loss}", self._checkpoint))


class WeightAverage(keras.callbacks.Callback):
    """Exponential moving average of every weight, used for validation and for the best model.

    The statistics of batch normalisation are averaged with the weights, so that they fit each
    other; Keras' `use_ema` averages the trainable weights alone and pairs them with statistics of
    other weights. Early steps use a smaller decay, min(decay, (1 + t) / (10 + t)), so that the
    random initial weights are soon forgotten.
    """

    def __init__(self, decay: float, average: dict[str, np.ndarray]):
        """Start from `average` (a resumed run) or, where it is empty, from the first weights."""
        super().__init__()
        self._decay = decay
        self._start = average
        self._pairs: list[tuple[keras.Variable, keras.Variable]] = []

    def on_train_begin(self, logs=None):
        for variable in self.model.weights:
            # A resumed run has an average of every weight; a KeyError here is a broken checkpoint.
            start = self._start[variable.path] if self._start else ops.convert_to_numpy(variable)
            copy = keras.Variable(start, dtype="float32", trainable=False)
            self._pairs.append((variable, copy))

        self._update = _compiled(self._move)

    def on_train_batch_end(self, batch, logs=None):
        step = float(ops.convert_to_numpy(self.model.optimizer.iterations))
        decay = min(self._decay, (1 + step) / (10 + step))
        self._update(ops.convert_to_tensor(decay, "float32"))

    def _move(self, decay):
        for variable, copy in self._pairs:
            copy.assign(decay * copy + (1 - decay) * ops.cast(variable, "float32"))

    def on_test_begin(self, logs=None):
        self._swap()

    def on_test_end(self, logs=None):
        self._swap()

    def averages(self) -> dict[str, np.ndarray]:
        return {variable.path: ops.convert_to_numpy(copy) for variable, copy in self._pairs}

    @contextmanager
    def applied(self):
        """The model with averaged weights, for the length of a `with` block."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self):
        for variable, copy in self._pairs:
            value = ops.convert_to_numpy(variable)
            variable.assign(ops.cast(copy, variable.dtype))
            copy.assign(value.astype("float32"))


def _compiled(update: Callable) -> Callable:
    """An update of variables as one graph, where the backend has graphs that may write to them.

    One by one the hundred weights of a small net cost as much as a tenth of a training step.
    """
    if keras.backend.backend() != "tensorflow":
        return update
    import tensorflow as tf

    return tf.function(update)


class PlateauRate(keras.callbacks.Callback):
    """Sets the learning rate of each epoch from the history of the monitored value."""

    def __init__(self, plateau: Plateau, state: TrainingState, monitor: Monitor):
        super().__init__()
        self._plateau, self._state, self._monitor = plateau, state, monitor

    def on_epoch_begin(self, epoch, logs=None):
        costs = self._monitor.costs(self._state.history)
        self.model.optimizer.learning_rate.assign(self._plateau.rate_after(costs))


class EpochEnd(keras.callbacks.Callback):
    """Writes the files of an epoch: `last.keras`, then `best.keras` and `metrics.csv`.

    An epoch counts from the moment when `last.keras` is there. A run that was killed before the
    other two files were written writes them when it is resumed.
    """

    def __init__(
        self,
        run: Path,
        state: TrainingState,
        monitor: Monitor,
        average: WeightAverage | None = None,
    ):
        super().__init__()
        self._run, self._state = run, state
        self._monitor, self._average = monitor, average
        self._began = 0.0

    def on_train_begin(self, logs=None):
        if self._state.history:
            self._write_derived()

    def on_epoch_begin(self, epoch, logs=None):
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        row = {name: float(value) for name, value in (logs or {}).items()}
        last = self._run / "last.keras"
        for name, value in row.items():
            if name.endswith("loss") and not np.isfinite(value):
                raise TrainingDiverged(_diverged(f"epoch {epoch + 1}: {name} is {value}", last))
        row["learning_rate"] = float(ops.convert_to_numpy(self.model.optimizer.learning_rate))
        row["seconds"] = time.perf_counter() - self._began
        if self._average:
            self._state.average = self._average.averages()
        self._state.history.append(row)
        save_checkpoint(self.model, self._state, last)
        self._write_derived()

    def _write_derived(self):
        history = self._state.history
        if self._monitor.best_epoch(history) == len(history) - 1:
            with self._average.applied() if self._average else nullcontext():
                save_checkpoint(self.model, TrainingState(history), self._run / "best.keras")
        write_history(history, self._run / "metrics.csv")


class StopWhen(keras.callbacks.Callback):
    """Ends training after an epoch in which `condition()` has become true."""

    def __init__(self, condition: Callable[[], bool]):
        super().__init__()
        self._condition = condition

    def on_epoch_end(self, epoch, logs=None):
        if self._condition():
            self.model.stop_training = True


class TensorBoardLog(keras.callbacks.Callback):
    """Scalars of every epoch and, now and then, pictures of the validation frames.

    A resumed run writes the scalars of all epochs anew, from the history: no epoch is lost or
    doubled. Epochs count from 1, as in metrics.csv.
    """

    def __init__(
        self,
        folder: Path,
        state: TrainingState,
        draw: Callable[[keras.Model], dict[str, np.ndarray]] | None,
        every: int,
        average: WeightAverage | None = None,
    ):
        """Log into `folder`; `draw(model)` returns RGB uint8 images [n, H, W, 3] by title, and
        without it there are no pictures.
        """
        super().__init__()
        self._folder, self._state, self._draw = folder, state, draw
        self._every, self._average = every, average

    def on_train_begin(self, logs=None):
        import tensorflow as tf  # TensorBoard's event files are TensorFlow's

        self._summary = tf.summary
        shutil.rmtree(self._folder / "scalars", ignore_errors=True)
        self._scalars = tf.summary.create_file_writer(str(self._folder / "scalars"))
        self._pictures = tf.summary.create_file_writer(str(self._folder / "pictures"))
        for epoch, row in enumerate(self._state.history, start=1):
            self._write_scalars(epoch, row)

    def on_epoch_end(self, epoch, logs=None):
        self._write_scalars(epoch + 1, self._state.history[-1])
        ends = self.model.stop_training or epoch + 1 == self.params["epochs"]
        if self._draw is not None and (epoch % self._every == 0 or ends):
            self._write_pictures(epoch + 1, self._draw)

    def on_train_end(self, logs=None):
        self._scalars.close()
        self._pictures.close()

    def _write_scalars(self, epoch: int, row: dict[str, float]):
        with self._scalars.as_default(step=epoch):
            for name, value in row.items():
                part, metric = (
                    ("validation", name[4:]) if name[:4] == "val_" else ("training", name)
                )
                self._summary.scalar(f"{part}/{metric}", value)
        self._scalars.flush()

    def _write_pictures(self, epoch: int, draw: Callable[[keras.Model], dict[str, np.ndarray]]):
        with self._average.applied() if self._average else nullcontext():
            pictures = draw(self.model)
        with self._pictures.as_default(step=epoch):
            for title, images in pictures.items():
                self._summary.image(title, images, max_outputs=len(images))
        self._pictures.flush()


def _diverged(what: str, checkpoint: Path) -> str:
    kept = f"; {checkpoint} holds the last good epoch" if checkpoint.exists() else ""
    way_out = "Lower optimizer.learning_rate, or set optimizer.clip_norm: 1.0."
    return f"{what}{kept}. {way_out}"
