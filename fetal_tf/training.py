"""Training a run: assemble data, model and callbacks, and fit from the last finished epoch."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from fetal_tf import callbacks
from fetal_tf.checkpoint import TrainingState, best_epoch, restore
from fetal_tf.data.augment import Augmenter
from fetal_tf.data.pipeline import (
    FrameCache,
    evaluation_dataset,
    steps_per_epoch,
    training_dataset,
)
from fetal_tf.data.sample import Sample
from fetal_tf.data.splits import SplitRow, read_splits, write_splits
from fetal_tf.edge.errors import FetalTFError
from fetal_tf.experiment import Experiment, select
from fetal_tf.gallery import validation_gallery
from fetal_tf.run import KerasPredictor

OVERFIT_STEPS = 200
LEARNT = 0.2


@dataclass(frozen=True)
class Outcome:
    """What training came to."""

    history: list[dict[str, float]]
    best_epoch: int
    stopped_early: bool


def run_splits(
    experiment: Experiment, samples: list[Sample], run: Path, resume: bool
) -> dict[str, SplitRow]:
    """Read the run's splits.csv, or make and write it; a resumed run keeps its own."""
    path = run / "splits.csv"
    if resume and path.is_file():
        return read_splits(path, samples)
    splits = experiment.split(samples)
    write_splits(path, splits)
    return splits


def prepare_model(experiment: Experiment) -> keras.Model:
    """Everything that can be wrong with model and monitor, before a run's folder is made.

    Raises:
        ConfigError: a size that the model cannot take, a monitor that nobody measures.
    """
    experiment.check_monitor()
    if experiment.config.train.deterministic:
        _make_deterministic()
    return experiment.build_model()


def train(
    experiment: Experiment,
    model: keras.Model,
    samples: list[Sample],
    splits: dict[str, SplitRow],
    run: Path,
    *,
    resume: bool,
    verbose: int,
) -> Outcome:
    """Fit until `train.epochs`, or until early stopping; every epoch ends in a checkpoint.

    Raises:
        FetalTFError: broken frames, a diverging loss, a full disk; the last checkpoint is kept.
    """
    config, task = experiment.config, experiment.task
    root = str(config.data.root)
    size = config.data.image_size
    train_cache = FrameCache(select(samples, splits, "train", root), task.target, size)
    val_cache = FrameCache(select(samples, splits, "val", root), task.target, size)
    train_cache.fill("training frames", config.train.workers)
    val_cache.fill("validation frames", config.train.workers)

    steps = steps_per_epoch(len(train_cache), config.train.batch_size)
    schedule = experiment.compile(model, steps)
    checkpoint = run / "last.keras"
    state = restore(model, checkpoint) if resume and checkpoint.exists() else TrainingState()
    hooks, end = _callbacks(experiment, schedule, state, run, val_cache)
    model.fit(
        training_dataset(
            train_cache,
            experiment.augmenter,
            batch_size=config.train.batch_size,
            seed=config.seed,
            first_epoch=state.finished_epochs,
            last_epoch=config.train.epochs,
            workers=config.train.workers,
        ),
        validation_data=evaluation_dataset(
            val_cache, batch_size=config.train.batch_size, workers=config.train.workers
        ),
        shuffle=False,  # the dataset shuffles by (seed, epoch)
        steps_per_epoch=steps,
        initial_epoch=state.finished_epochs,
        epochs=config.train.epochs,
        callbacks=hooks,
        verbose=verbose,
    )
    return Outcome(
        state.history, best_epoch(state.history, config.train.monitor), end.stopped_early
    )


def _callbacks(experiment, schedule, state: TrainingState, run: Path, val_cache: FrameCache):
    """In the order in which they must see an epoch: averages, history and checkpoint, then logs."""
    options = experiment.config.train
    average = None
    if options.ema_decay is not None:
        average = callbacks.WeightAverage(options.ema_decay, state.average)
    stopping = options.early_stopping
    end = callbacks.EpochEnd(
        run,
        state,
        options.monitor,
        average,
        patience=stopping.patience if stopping else None,
        min_delta=stopping.min_delta if stopping else 0.0,
    )
    draw = validation_gallery(val_cache, experiment.task, KerasPredictor)
    hooks: list[keras.callbacks.Callback] = [callbacks.StopAtNaN(run / "last.keras")]
    if average:
        hooks.append(average)
    if schedule.plateau:
        hooks.append(callbacks.PlateauRate(schedule.plateau, state, options.monitor))
    hooks.append(end)
    hooks.append(
        callbacks.TensorBoardLog(run / "tensorboard", state, draw, options.overlay_every, average)
    )
    return hooks, end


def overfit_batch(
    experiment: Experiment, samples: list[Sample], report: Callable[[int, float], None]
) -> tuple[float, float]:
    """Train on one batch without augmentation: a model that cannot learn it is wired wrongly.

    Stops when the loss has fallen to `LEARNT` of the first one, or after `OVERFIT_STEPS`.

    Returns:
        The loss of the first step and of the last one.
    """
    config = experiment.config
    batch_size = min(config.train.batch_size, len(samples))
    cache = FrameCache(samples[:batch_size], experiment.task.target, config.data.image_size)
    model = experiment.build_model()
    experiment.compile(model, steps_per_epoch=OVERFIT_STEPS)
    batch = next(
        iter(evaluation_dataset(cache, batch_size=batch_size, workers=config.train.workers))
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


def first_batch_shapes(experiment: Experiment, samples: list[Sample]) -> dict[str, tuple]:
    """Shapes and types of one training batch, for the dry run."""
    config = experiment.config
    frames = samples[: config.train.batch_size]
    cache = FrameCache(frames, experiment.task.target, config.data.image_size)
    dataset = training_dataset(
        cache,
        Augmenter([transform.spec() for transform in config.augment]),
        batch_size=config.train.batch_size,
        seed=config.seed,
        first_epoch=0,
        last_epoch=1,
        workers=config.train.workers,
    )
    image, target = next(iter(dataset))
    return {
        "image": (tuple(image.shape), image.dtype.name),
        "target": (tuple(target.shape), target.dtype.name),
    }


def _make_deterministic() -> None:
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
