"""Training a run: assemble data, model and callbacks, and fit from the last finished epoch."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from fetal_tf.config.tree import Config
from fetal_tf.data.mixture import source_weights
from fetal_tf.data.pipeline.dataset import (
    FrameCache,
    evaluation_dataset,
    make_deterministic,
    steps_per_epoch,
    training_dataset,
)
from fetal_tf.data.pipeline.mixing import Mixer
from fetal_tf.data.pipeline.sampler import oversampling_weights
from fetal_tf.data.pipeline.teacher import Teacher, check_bundles
from fetal_tf.data.sample import Sample
from fetal_tf.data.splits import SplitRow, belonging_to, select
from fetal_tf.edge.errors import ConfigError, FetalTFError
from fetal_tf.edge.io.files import write_text_atomic
from fetal_tf.experiment import Experiment
from fetal_tf.losses.class_pixels import ClassPixels
from fetal_tf.models.predictor import KerasPredictor
from fetal_tf.optimizers import Schedule
from fetal_tf.runs.history import has_stopped
from fetal_tf.runs.lineage import teacher_bundles
from fetal_tf.training import callbacks
from fetal_tf.training.checkpoint import TrainingState, restore
from fetal_tf.training.gallery import validation_gallery
from fetal_tf.training.initial_weights import start_from
from fetal_tf.training.refit import refit_split

OVERFIT_STEPS = 200
LEARNT = 0.2


@dataclass(frozen=True)
class Outcome:
    """What training came to."""

    history: list[dict[str, float]]
    best_epoch: int
    stopped_early: bool


@dataclass(frozen=True)
class Frames:
    """Decoded training and validation frames, and the split that they came from.

    Attributes:
        splits: of all samples.
        train, val: the frames; a refit has none to validate on.
        class_pixels: what the training frames hold, for tasks that count it.
        weights: how often each training frame is drawn, None for once.
        mixer: makes one training frame of two, where the config asks for it.
        teacher: has a share in the training targets, where the config names one.
    """

    splits: dict[str, SplitRow]
    train: FrameCache
    val: FrameCache
    class_pixels: ClassPixels | None
    weights: np.ndarray | None
    mixer: Mixer | None
    teacher: Teacher | None


def load_frames(experiment: Experiment, splits: dict[str, SplitRow] | None = None) -> Frames:
    """Read and check every frame of both parts; `splits` is drawn anew where it is None.

    Raises:
        FetalTFError: what is wrong with the dataset or with single frames, by file.
    """
    config = experiment.config
    samples = experiment.data.read()
    rows = _drawn_split(experiment, samples) if splits is None else splits
    caches = []
    for part, label in (("train", "training frames"), ("val", "validation frames")):
        # A loss of frames in which nothing is measured chooses no best epoch.
        pool = [s for s in samples if part == "train" or not s.negative]
        some = belonging_to if part == "val" and config.train.refit else select
        chosen = some(pool, rows, part, str(config.data.root))
        caches.append(_cache(experiment, chosen))
        caches[-1].fill(label, config.train.workers)
    train_cache, val_cache = caches
    pixels = _class_pixels(experiment, train_cache)  # first: it says what no frame shows
    experiment.check_loss(pixels)
    weights = _draw_weights(config, train_cache.samples)
    mixer = _mixer(config, train_cache)
    teacher = _teacher(experiment, train_cache)
    return Frames(rows, train_cache, val_cache, pixels, weights, mixer, teacher)


def _drawn_split(experiment: Experiment, samples: list[Sample]) -> dict[str, SplitRow]:
    refit = experiment.config.train.refit
    if refit is None:
        return experiment.data.split(samples)
    return refit_split(experiment.config, refit, samples)


def _draw_weights(config: Config, samples: Sequence[Sample]) -> np.ndarray | None:
    """How often each training frame is drawn; None where all are drawn alike."""
    factors = config.sampler.oversample
    weights = oversampling_weights(samples, factors) if factors else None
    by_source = {name: source.weight for name, source in config.data.sources.items()}
    if len(set(by_source.values())) > 1:
        of_sources = source_weights(samples, by_source)
        weights = of_sources if weights is None else weights * of_sources
    return weights


def _mixer(config: Config, cache: FrameCache) -> Mixer | None:
    """Raises ConfigError for targets that are more than maps, and for a single frame."""
    mix = config.mix
    if not mix.mixup and not mix.cutmix:
        return None
    if len(cache) < 2:
        raise ConfigError("mix: found one training frame; mixing takes two")
    if len(cache[0].target.points):
        raise ConfigError(
            "mix: found landmarks; a landmark of two frames at once is in neither place, so only "
            "targets that are maps can be mixed"
        )
    return Mixer(mix.mixup, mix.cutmix, mix.alpha)


def _teacher(experiment: Experiment, cache: FrameCache) -> Teacher | None:
    """Raises ConfigError where its answer is no target of this task."""
    config, task = experiment.config, experiment.task
    if config.teacher is None:
        return None
    bundles = teacher_bundles(config)
    check_bundles(bundles, experiment.input_shape, task.classes)
    teacher = Teacher(bundles, config.teacher.share, task.known_channels, config.train.workers)
    example = cache[0]
    answer, target = teacher.answer(example.image), cache.encode(example.target)
    if answer.shape != target.shape:
        raise ConfigError(
            f"teacher: answers with an array {answer.shape}, and {task.name} learns from "
            f"{target.shape}: only a target in the form of the net's output can be blended"
        )
    return teacher


def _cache(experiment: Experiment, samples: Sequence[Sample]) -> FrameCache:
    task = experiment.task
    return FrameCache(samples, task.target, experiment.config.data.image_size, task.encode)


def _class_pixels(experiment: Experiment, cache: FrameCache) -> ClassPixels | None:
    return experiment.task.count_pixels(cache[i].target for i in range(len(cache)))


def prepare_model(experiment: Experiment, *, resumed: bool = False) -> keras.Model:
    """Everything that can be wrong with model and monitor, before a run's folder is made.

    Args:
        experiment: what to build.
        resumed: its weights will come from a checkpoint, so `model.init` plays no part.

    Raises:
        ConfigError: a size that the model cannot take, weights that do not fit it, a monitor that
            nobody measures.
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

    `after_epoch` is called when all that an epoch leaves in the folder is there.

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
    if has_stopped(state.history, config):
        last_epoch = first_epoch
    model.fit(
        _training_batches(experiment, frames, first_epoch, last_epoch),
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
        experiment.monitor.best_epoch(state.history),
        has_stopped(state.history, config),
    )


def _training_batches(
    experiment: Experiment, frames: Frames, first_epoch: int, last_epoch: int
) -> Iterable:
    config = experiment.config
    return training_dataset(
        frames.train,
        experiment.augmenter,
        batch_size=config.train.batch_size,
        seed=config.seed,
        first_epoch=first_epoch,
        last_epoch=last_epoch,
        workers=config.train.workers,
        weights=frames.weights,
        mixer=frames.mixer,
        teacher=frames.teacher,
    )


def _callbacks(
    experiment: Experiment,
    schedule: Schedule,
    state: TrainingState,
    run: Path,
    val_cache: FrameCache,
) -> list[keras.callbacks.Callback]:
    """In the order in which they must see an epoch: averages, history and checkpoint, then logs."""
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
        callbacks.StopWhen(lambda: has_stopped(state.history, experiment.config)),
        callbacks.TensorBoardLog(run / "tensorboard", state, draw, options.overlay_every, average),
    ]
    return [hook for hook in hooks if hook]


def overfit_batch(
    experiment: Experiment, model: keras.Model, report: Callable[[int, float], None]
) -> tuple[float, float]:
    """Train on one batch without augmentation: a model that cannot learn it is wired wrongly.

    The rate is constant: what is proven must not depend on a warm-up. Stops when the loss has
    fallen to `LEARNT` of the first one, or after `OVERFIT_STEPS`.

    Returns:
        The loss of the first step and of the last one.
    """
    config = experiment.config
    samples = _telling(experiment.data.read(), config.train.batch_size)
    cache = _cache(experiment, samples)
    cache.fill("one batch", config.train.workers)
    pixels = _class_pixels(experiment, cache)
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


def _telling(samples: Sequence[Sample], count: int) -> list[Sample]:
    """The first `count` samples, those before others that show the most structures."""
    return sorted(samples, key=lambda sample: -len(sample.present or ()))[:count]


def first_batch_shapes(experiment: Experiment, frames: Frames) -> dict[str, tuple]:
    """Shapes and types of one training batch, for the dry run."""
    image, target = next(iter(_training_batches(experiment, frames, 0, 1)))
    return {
        "image": (tuple(image.shape), image.dtype.name),
        "target": (tuple(target.shape), target.dtype.name),
    }
