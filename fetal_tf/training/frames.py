"""The frames that a run learns and is validated on: read, checked, and how they become batches."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fetal_tf.config.tree import Config
from fetal_tf.data.mixture import source_weights
from fetal_tf.data.pipeline.dataset import FrameCache, training_dataset
from fetal_tf.data.pipeline.mixing import Mixer
from fetal_tf.data.pipeline.sampler import oversampling_weights
from fetal_tf.data.pipeline.teacher import Teacher, check_bundles
from fetal_tf.data.sample import Sample
from fetal_tf.data.splits import SplitRow, belonging_to, select
from fetal_tf.edge.errors import ConfigError
from fetal_tf.experiment import Experiment
from fetal_tf.losses.class_pixels import ClassPixels
from fetal_tf.runs.lineage import teacher_bundles
from fetal_tf.training.refit import refit_split


@dataclass(frozen=True)
class Frames:
    """Decoded training and validation frames, and the split that they came from.

    Attributes:
        splits: of all samples.
        train, val: the frames; a refit has none to validate on.
        class_pixels: pixels of each class in the training frames, for tasks that count them.
        weights: how often each training frame is drawn, None where all are drawn alike.
        mixer: makes one training frame of two, where the config asks for it.
        teacher: its answers have a share in the targets, where the config names one.
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
        # Negatives do not validate: the loss of frames without a measurement chooses no epoch.
        pool = [s for s in samples if part == "train" or not s.negative]
        some = belonging_to if part == "val" and config.train.refit else select
        chosen = some(pool, rows, part, str(config.data.root))
        caches.append(frame_cache(experiment, chosen))
        caches[-1].fill(label, config.train.workers)
    train_cache, val_cache = caches
    pixels = class_pixels_in(experiment, train_cache)  # first: it names a class that no frame shows
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
    """By oversampling and by the weight of each dataset; None where all are drawn alike."""
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
    """Raises ConfigError where the teacher's output has not the shape of this task's target."""
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


def frame_cache(experiment: Experiment, samples: Sequence[Sample]) -> FrameCache:
    """The samples as the network learns them, with their targets; read when they are needed."""
    task = experiment.task
    return FrameCache(samples, task.target, experiment.config.data.image_size, task.encode)


def class_pixels_in(experiment: Experiment, cache: FrameCache) -> ClassPixels | None:
    """What the targets hold, for tasks that count it; see `Task.count_pixels`."""
    return experiment.task.count_pixels(cache[i].target for i in range(len(cache)))


def training_batches(
    experiment: Experiment,
    frames: Frames,
    first_epoch: int,
    last_epoch: int,
    share: tuple[int, int] = (0, 1),
) -> Iterable[tuple[Any, Any]]:
    """Batches of augmented frames and targets, from `first_epoch` up to, without, `last_epoch`.

    With `share` (part, parts) one part of each of them, see `training_dataset`.
    """
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
        share=share,
    )


def first_batch_shapes(experiment: Experiment, frames: Frames) -> dict[str, tuple]:
    """Shapes and types of one training batch, for the dry run."""
    image, target = next(iter(training_batches(experiment, frames, 0, 1)))
    return {
        "image": (tuple(image.shape), image.dtype.name),
        "target": (tuple(target.shape), target.dtype.name),
    }
