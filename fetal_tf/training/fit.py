"""Fit a model: from the last finished epoch, with checkpoints and logs; or to one batch alone."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
from fetal_tf.training.devices import compiling
from fetal_tf.training.distribution import ONE_DEVICE, Distribution
from fetal_tf.training.frames import Frames, class_pixels_in, frame_cache, training_batches
from fetal_tf.training.gallery import validation_gallery
from fetal_tf.training.initial_weights import start_from
from fetal_tf.training.judged import Judged, JudgedCopy
from fetal_tf.training.weight_average import WeightAverage

OVERFIT_STEPS = 200
LEARNT = 0.2  # of its first loss: a batch is learnt below that


@dataclass(frozen=True)
class Outcome:
    """The result of training; `best_epoch` counts from 0."""

    history: list[dict[str, float]]
    best_epoch: int
    stopped_early: bool


def prepare_model(
    experiment: Experiment,
    *,
    resumed: bool = False,
    distribution: Distribution = ONE_DEVICE,
) -> keras.Model:
    """Build the model and check model and monitor, before a run's folder is made.

    Args:
        experiment: what to build.
        resumed: a checkpoint will give the weights, so `model.init` is ignored.
        distribution: where it will train.

    Raises:
        ConfigError: a frame size that the model cannot take, initial weights that do not fit it, or
            a monitor that is not measured.
    """
    experiment.check_monitor()
    if experiment.config.train.deterministic:
        make_deterministic()
    with distribution.building():
        model = experiment.build_model()
        init = experiment.config.model.init
        if init is not None and not resumed:
            print(start_from(model, init))
    distribution.share(model)
    return model


def train(
    experiment: Experiment,
    model: keras.Model,
    frames: Frames,
    run: Path,
    *,
    resume: bool,
    verbose: int,
    distribution: Distribution = ONE_DEVICE,
    after_epoch: Callable[[], None] = lambda: None,
) -> Outcome:
    """Fit until `train.epochs`, or until early stopping; every epoch ends in a checkpoint.

    `after_epoch` is called when all files of an epoch are written. Of the processes of a
    `distribution` one writes files; the others read the checkpoint that they resume from.

    Raises:
        FetalTFError: a diverging loss, a full disk, a process that is lost; the last checkpoint is
            kept.
    """
    config = experiment.config
    options = config.train
    steps = steps_per_epoch(len(frames.train), options.batch_size)
    checkpoint = run / "last.keras"
    state = TrainingState()
    with distribution.building():
        schedule = experiment.compile(model, steps, frames.class_pixels)
        if resume and checkpoint.exists():
            state = restore(model, checkpoint)
    if distribution.leads:
        write_text_atomic(run / "loss.json", json.dumps(model.loss.get_config(), indent=2) + "\n")
    first_epoch, last_epoch = state.finished_epochs, options.epochs
    monitor = experiment.monitor
    if has_stopped(state.history, monitor, options.early_stopping):
        last_epoch = first_epoch
    if distribution.processes > 1:
        distribution.check_alike(_facts(frames, first_epoch))
    share = (distribution.rank, distribution.processes)
    hooks = _callbacks(experiment, schedule, state, run, frames, distribution)
    alone = distribution.devices == 1
    with distribution.fitting(), compiling(config):
        model.fit(
            training_batches(experiment, frames, first_epoch, last_epoch, share),
            validation_data=_validation_batches(experiment, frames.val) if alone else None,
            shuffle=False,  # the dataset shuffles by (seed, epoch)
            steps_per_epoch=steps,
            initial_epoch=first_epoch,
            epochs=last_epoch,
            callbacks=[
                *hooks,
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
    frames: Frames,
    distribution: Distribution,
) -> list[keras.callbacks.Callback]:
    """In the order that they need: averages, validation, history and checkpoint, then logs."""
    options, monitor = experiment.config.train, experiment.monitor
    average = None
    if options.ema_decay is not None:
        average = WeightAverage(options.ema_decay, state.average)
    judged, validation = Judged(average), None
    if distribution.devices > 1:
        judged = JudgedCopy(experiment, distribution, average, frames.class_pixels)
        batches = _validation_batches(experiment, frames.val)
        if batches is not None:
            validation = callbacks.Validation(judged, batches, distribution)
    draw = None
    if len(frames.val):
        draw = validation_gallery(frames.val, experiment.task, KerasPredictor)
    log = callbacks.TensorBoardLog(run / "tensorboard", state, draw, options.overlay_every, judged)
    hooks = [
        callbacks.StopAtNaN(run / "last.keras"),
        average,
        schedule.plateau and callbacks.PlateauRate(schedule.plateau, state, monitor),
        validation,
        callbacks.EpochEnd(run, state, monitor, judged, average, distribution),
        callbacks.StopWhen(lambda: has_stopped(state.history, monitor, options.early_stopping)),
        distribution.leads and log,
    ]
    return [hook for hook in hooks if hook]


def _validation_batches(experiment: Experiment, cache: FrameCache) -> Any:
    """All validation frames, None where there are none."""
    options = experiment.config.train
    if not len(cache):
        return None
    return evaluation_dataset(cache, batch_size=options.batch_size, workers=options.workers)


def _facts(frames: Frames, first_epoch: int) -> dict[str, str]:
    """What all processes that train together have to agree on."""
    pixels = hashlib.sha256()
    for cache in (frames.train, frames.val):
        for index in range(len(cache)):
            pixels.update(cache[index].image.tobytes())
            pixels.update(cache[index].target.maps.tobytes())
            pixels.update(cache[index].target.points.tobytes())
    return {
        "the frames or their split": pixels.hexdigest(),
        "the epoch to begin with": str(first_epoch),
    }


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
