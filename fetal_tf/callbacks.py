"""What happens between the steps: averaging, stopping, checkpoints, logs, pictures."""

import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
from keras import ops

from fetal_tf.checkpoint import TrainingState, best_epoch, lower_is_better, save_checkpoint
from fetal_tf.edge.errors import FetalTFError
from fetal_tf.edge.files import write_text_atomic
from fetal_tf.optimization import Plateau


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
            kept = (
                f"; {self._checkpoint} holds the last good epoch"
                if self._checkpoint.exists()
                else ""
            )
            raise TrainingDiverged(
                f"epoch {self._epoch + 1}, step {batch + 1}: loss is {loss}{kept}. "
                "Lower optimizer.learning_rate, or set optimizer.clip_norm: 1.0."
            )


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
            start = self._start.get(variable.path, ops.convert_to_numpy(variable))
            copy = keras.Variable(start, dtype="float32", trainable=False)
            self._pairs.append((variable, copy))

    def on_train_batch_end(self, batch, logs=None):
        step = float(ops.convert_to_numpy(self.model.optimizer.iterations))
        decay = min(self._decay, (1 + step) / (10 + step))
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


class PlateauRate(keras.callbacks.Callback):
    """Sets the learning rate of each epoch from the history of the monitored value."""

    def __init__(self, plateau: Plateau, state: TrainingState, monitor: str):
        super().__init__()
        self._plateau, self._state, self._monitor = plateau, state, monitor

    def on_epoch_begin(self, epoch, logs=None):
        sign = 1 if lower_is_better(self._monitor) else -1
        losses = [sign * row[self._monitor] for row in self._state.history]
        self.model.optimizer.learning_rate.assign(self._plateau.rate_after(losses))


class EpochEnd(keras.callbacks.Callback):
    """Closes an epoch: history, last checkpoint, then everything that is derived from it.

    The checkpoint is the moment at which the epoch counts. `best.keras` and `metrics.csv` follow;
    a run killed between them finds both out of date on resuming and writes them again.
    """

    def __init__(
        self,
        run: Path,
        state: TrainingState,
        monitor: str,
        average: WeightAverage | None = None,
        patience: int | None = None,
        min_delta: float = 0.0,
    ):
        super().__init__()
        self._run, self._state, self._monitor = run, state, monitor
        self._average, self._patience, self._min_delta = average, patience, min_delta
        self._began = 0.0
        self.stopped_early = False

    def on_train_begin(self, logs=None):
        history = self._state.history
        if history and best_epoch(history, self._monitor) == len(history) - 1:
            self._save_best()  # killed after the checkpoint and before the best model

        if history:
            write_history(history, self._run / "metrics.csv")

    def on_epoch_begin(self, epoch, logs=None):
        self._began = time.perf_counter()
        if epochs_without_gain(self._state.history, self._monitor, self._min_delta) >= (
            self._patience or np.inf
        ):
            self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        row = {name: float(value) for name, value in (logs or {}).items()}
        row["learning_rate"] = float(ops.convert_to_numpy(self.model.optimizer.learning_rate))
        row["seconds"] = time.perf_counter() - self._began
        self._state.history.append(row)
        if self._average:
            self._state.average = self._average.averages()
        try:
            save_checkpoint(self.model, self._state, self._run / "last.keras")
        except FetalTFError:
            self._state.history.pop()
            raise
        if best_epoch(self._state.history, self._monitor) == epoch:
            self._save_best()
        write_history(self._state.history, self._run / "metrics.csv")
        waited = epochs_without_gain(self._state.history, self._monitor, self._min_delta)
        if self._patience and waited >= self._patience:
            self.model.stop_training = self.stopped_early = True

    def _save_best(self):
        state = TrainingState(self._state.history)
        if self._average:
            with self._average.applied():
                save_checkpoint(self.model, state, self._run / "best.keras")
        else:
            save_checkpoint(self.model, state, self._run / "best.keras")


class TensorBoardLog(keras.callbacks.Callback):
    """Scalars of every epoch and, now and then, pictures of the validation frames."""

    def __init__(
        self,
        folder: Path,
        state: TrainingState,
        draw: Callable[[keras.Model], dict[str, np.ndarray]],
        every: int,
        average: WeightAverage | None = None,
    ):
        """Log into `folder`; `draw(model)` returns RGB uint8 images [n, H, W, 3] by title."""
        super().__init__()
        self._folder, self._state, self._draw = folder, state, draw
        self._every, self._average = every, average

    def on_train_begin(self, logs=None):
        import tensorflow as tf  # TensorBoard's event files are TensorFlow's

        self._tf = tf
        self._writer = tf.summary.create_file_writer(str(self._folder))

    def on_epoch_end(self, epoch, logs=None):
        with self._writer.as_default(step=epoch):
            for name, value in self._state.history[-1].items():
                split, _, metric = (
                    ("validation/" + name[4:]).rpartition("/")
                    if name.startswith("val_")
                    else ("training/" + name).rpartition("/")
                )
                self._tf.summary.scalar(f"{split}/{metric}", value)
            if epoch % self._every == 0 or epoch + 1 == self.params["epochs"]:
                for title, images in self._pictures().items():
                    self._tf.summary.image(title, images, max_outputs=len(images))
        self._writer.flush()

    def on_train_end(self, logs=None):
        self._writer.close()

    def _pictures(self) -> dict[str, np.ndarray]:
        if self._average is None:
            return self._draw(self.model)
        with self._average.applied():
            return self._draw(self.model)


def epochs_without_gain(
    history: list[dict[str, float]], monitor: str, min_delta: float = 0.0
) -> int:
    """Epochs since `monitor` last improved by more than `min_delta`; a function of the history."""
    sign = 1 if lower_is_better(monitor) else -1
    best, waited = np.inf, 0
    for row in history:
        value = sign * row[monitor]
        if value < best - min_delta:
            best, waited = value, 0
        else:
            waited += 1
    return waited


def write_history(history: list[dict[str, float]], path: Path) -> None:
    """`metrics.csv`: one row per finished epoch, rewritten whole so that none is doubled."""
    columns = ["epoch", *history[-1]]
    lines = [",".join(columns)]
    for epoch, row in enumerate(history, start=1):
        lines.append(",".join([str(epoch), *(f"{row[c]:.6g}" for c in columns[1:])]))
    write_text_atomic(path, "\n".join(lines) + "\n")
