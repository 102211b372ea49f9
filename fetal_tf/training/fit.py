"""Fit a model: from the last finished epoch, with checkpoints and logs; or to one batch alone."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from fetal_tf.data.pipeline.dataset import (
    FrameCache,
    evaluation_dataset,
    make_deterministic,
    steps_per_epoch,
)
from fetal_tf.data.sample import Sample
from fetal_tf.edge.errors import FetalTFError
from fetal_tf.edge.io.files import write_text_atomic
from fetal_tf.experiment import Experiment
from fetal_tf.models.predictor import KerasPredictor
from fetal_tf.optimizers import Schedule
from fetal_tf.runs.history import has_stopped
from fetal_tf.training import callbacks
from fetal_tf.training.checkpoint import TrainingState, restore
from fetal_tf.training.frames import Frames, class_pixels_in, frame_cache, training_batches
from fetal_tf.training.gallery import validation_gallery
from fetal_tf.training.initial_weights import start_from

OVERFIT_STEPS = 200
LEARNT = 0.2  # of its first loss: a batch is learnt below that


@dataclass(frozen=True)
class Outcome:
    """The result of training; `best_epoch` counts from 0."""

    history: list[dict[str, float]]
    best_epoch: int
    stopped_early: bool


def prepare_model(experiment: Experiment, *, resumed: bool = False) -> keras.Model:
    """Build the model and check model and monitor, before a run's folder is made.

    Args:
        experiment: what to build.
        resumed: a checkpoint will give the weights, so `model.init` is ignored.

    Raises:
        ConfigError: a frame size that the model cannot take, initial weights that do not fit it, or
            a monitor that is not measured.
    """
    experiment.check_monitor()
    if experiment.config.train.deterministic:
        make_deterministic()
    model = experiment.build_model()
    init = experiment.config.model.init
    if init is not None and not resumed:
        print(start_from(model, init))
    return model


def train(
    experiment: Experiment,
    model: keras.Model,
    frames: Frames,
    run: Path,
    *,
    resume: bool,
    verbose: int,
    after_epoch: Callable[[], None] = lambda: None,
) -> Outcome:
    """Fit until `train.epochs`, or until early stopping; every epoch ends in a checkpoint.

    `after_epoch` is called when all files of an epoch are written.

    Raises:
        FetalTFError: a diverging loss, a full disk; the last checkpoint is kept.
    """
    config = experiment.config
    options = config.train
    steps = steps_per_epoch(len(frames.train), options.batch_size)
    schedule = experiment.compile(model, steps, frames.class_pixels)
    write_text_atomic(run / "loss.json", json.dumps(model.loss.get_config(), indent=2) + "\n")
    checkpoint = run / "last.keras"
    state = restore(model, checkpoint) if resume and checkpoint.exists() else TrainingState()
    first_epoch, last_epoch = state.finished_epochs, options.epochs
    monitor = experiment.monitor
    if has_stopped(state.history, monitor, options.early_stopping):
        last_epoch = first_epoch
    model.fit(
        training_batches(experiment, frames, first_epoch, last_epoch),
        validation_data=evaluation_dataset(
            frames.val, batch_size=options.batch_size, workers=options.workers
        )
        if len(frames.val)
        else None,
        shuffle=False,  # the dataset shuffles by (seed, epoch)
        steps_per_epoch=steps,
        initial_epoch=first_epoch,
        epochs=last_epoch,
        callbacks=[
            *_callbacks(experiment, schedule, state, run, frames.val),
            keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: after_epoch()),
        ],
        verbose=verbose,
    )
    return Outcome(
        state.history,
        monitor.best_epoch(state.history),
        has_stopped(state.history, monitor, options.early_stopping),
    )


def _callbacks(
    experiment: Experiment,
    schedule: Schedule,
    state: TrainingState,
    run: Path,
    val_cache: FrameCache,
) -> list[keras.callbacks.Callback]:
    """The callbacks, in the order that they need: averages, history and checkpoint, then logs."""
    options, monitor = experiment.config.train, experiment.monitor
    average = None
    if options.ema_decay is not None:
        average = callbacks.WeightAverage(options.ema_decay, state.average)
    draw = None
    if len(val_cache):
        draw = validation_gallery(val_cache, experiment.task, KerasPredictor)
    hooks = [
        callbacks.StopAtNaN(run / "last.keras"),
        average,
        schedule.plateau and callbacks.PlateauRate(schedule.plateau, state, monitor),
        callbacks.EpochEnd(run, state, monitor, average),
        callbacks.StopWhen(lambda: has_stopped(state.history, monitor, options.early_stopping)),
        callbacks.TensorBoardLog(run / "tensorboard", state, draw, options.overlay_every, average),
    ]
    return [hook for hook in hooks if hook]


def overfit_batch(
    experiment: Experiment, model: keras.Model, report: Callable[[int, float], None]
) -> tuple[float, float]:
    """Train on one batch without augmentation: a model that cannot learn it is wired wrongly.

    The learning rate is constant, so that the result does not depend on a warm-up. Stops when the
    loss has fallen to `LEARNT` of the first one, or after `OVERFIT_STEPS`.

    Returns:
        The loss of the first step and of the last one.
    """
    config = experiment.config
    samples = _showing_most(experiment.data.read(), config.train.batch_size)
    cache = frame_cache(experiment, samples)
    cache.fill("one batch", config.train.workers)
    pixels = class_pixels_in(experiment, cache)
    experiment.compile(model, OVERFIT_STEPS, pixels, schedule={"name": "constant"})
    batch = next(
        iter(evaluation_dataset(cache, batch_size=len(samples), workers=config.train.workers))
    )
    losses = []
    for step in range(1, OVERFIT_STEPS + 1):
        losses.append(float(model.train_on_batch(*batch, return_dict=True)["loss"]))
        model.reset_metrics()
        if not np.isfinite(losses[-1]):
            raise FetalTFError(f"step {step}: loss is {losses[-1]}; lower the learning rate")
        learnt = losses[-1] < LEARNT * losses[0]
        if step % 25 == 1 or learnt:
            report(step, losses[-1])
        if learnt:
            break
    return losses[0], losses[-1]


def _showing_most(samples: Sequence[Sample], count: int) -> list[Sample]:
    """The `count` samples that show the most structures."""
    return sorted(samples, key=lambda sample: -len(sample.present or ()))[:count]
