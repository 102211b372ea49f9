"""Keras callbacks: weight averages, stopping, learning rate, checkpoints, logs and pictures."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from fetal_tf.edge.errors import FetalTFError
from fetal_tf.optimizers import Plateau
from fetal_tf.runs.history import write_history
from fetal_tf.scores.monitor import Monitor
from fetal_tf.training.checkpoint import TrainingState, save_checkpoint
from fetal_tf.training.distribution import ONE_DEVICE, Distribution
from fetal_tf.training.judged import Judged
from fetal_tf.training.weight_average import WeightAverage


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


class PlateauRate(keras.callbacks.Callback):
    """Sets the learning rate of each epoch from the history of the monitored value."""

    def __init__(self, plateau: Plateau, state: TrainingState, monitor: Monitor):
        super().__init__()
        self._plateau, self._state, self._monitor = plateau, state, monitor

    def on_epoch_begin(self, epoch, logs=None):
        costs = self._monitor.costs(self._state.history)
        self.model.optimizer.learning_rate.assign(self._plateau.rate_after(costs))


class Validation(keras.callbacks.Callback):
    """Validates after each epoch where Keras' own validation does not serve, see `JudgedCopy`."""

    def __init__(self, judged: Judged, batches: Any, distribution: Distribution):
        super().__init__()
        self._judged, self._batches, self._distribution = judged, batches, distribution

    def on_epoch_end(self, epoch, logs=None):
        with self._judged.of(self.model) as net:
            found = net.evaluate(self._batches, return_dict=True, verbose=0)
        values = {f"val_{name}": float(value) for name, value in found.items()}
        logs.update(self._distribution.leaders(values))


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
        judged: Judged | None = None,
        average: WeightAverage | None = None,
        distribution: Distribution = ONE_DEVICE,
    ):
        """Of the processes of `distribution` one writes; the others only count."""
        super().__init__()
        self._run, self._state = run, state
        self._monitor, self._average = monitor, average
        self._judged = judged or Judged(average)
        self._distribution = distribution
        self._began = 0.0

    def on_train_begin(self, logs=None):
        if self._state.history and self._distribution.leads:
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
        self._state.history.append(row)
        if not self._distribution.leads:
            return
        if self._average:
            self._state.average = self._average.averages()
        with self._distribution.alone():
            save_checkpoint(self.model, self._state, last)
        self._write_derived()

    def _write_derived(self):
        history = self._state.history
        if self._monitor.best_epoch(history) == len(history) - 1:
            with self._judged.of(self.model) as net:
                save_checkpoint(net, TrainingState(history), self._run / "best.keras")
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
        judged: Judged,
    ):
        """Log into `folder`; `draw(model)` returns RGB uint8 images [n, H, W, 3] by title, and
        without it there are no pictures.
        """
        super().__init__()
        self._folder, self._state, self._draw = folder, state, draw
        self._every, self._judged = every, judged

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
        with self._judged.of(self.model) as net:
            pictures = draw(net)
        with self._pictures.as_default(step=epoch):
            for title, images in pictures.items():
                self._summary.image(title, images, max_outputs=len(images))
        self._pictures.flush()


def _diverged(what: str, checkpoint: Path) -> str:
    kept = f"; {checkpoint} holds the last good epoch" if checkpoint.exists() else ""
    way_out = "Lower optimizer.learning_rate, or set optimizer.clip_norm: 1.0."
    return f"{what}{kept}. {way_out}"
