"""How fast the input pipeline makes frames, and how long a training step waits for it."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from fetal_tf.data.pipeline.augment import Augmenter
from fetal_tf.data.pipeline.dataset import FrameCache, steps_per_epoch
from fetal_tf.edge.geometry.letterbox import letterboxed
from fetal_tf.edge.io.images import read_gray
from fetal_tf.experiment import Experiment
from fetal_tf.training.frames import Frames, frame_cache, training_batches

_WARM_STEPS = 4  # what is prefetched while nothing is asked for is not the pipeline's speed


@dataclass(frozen=True)
class StepTimes:
    """Seconds of training steps, in turns with the real pipeline and with one batch kept.

    Attributes:
        real: of whole steps that take their batch from the pipeline.
        waits: of these, until the batch was there.
        cached: of steps on a batch that is there.
    """

    real: list[float]
    waits: list[float]
    cached: list[float]

    @property
    def added(self) -> float:
        """By which share of a step the pipeline makes it longer."""
        return statistics.median(self.real) / statistics.median(self.cached) - 1

    @property
    def waiting(self) -> float:
        """The share of the time that steps wait."""
        return sum(self.waits) / sum(self.real)


def stage_seconds(experiment: Experiment, cache: FrameCache, frames: int) -> dict[str, float]:
    """Seconds a frame of each stage on one thread, the median over frames."""
    augment, task = experiment.augmenter, experiment.task
    size = experiment.config.data.image_size
    durations: dict[str, list[float]] = {}

    def timed(stage: str, call: Callable[..., Any], *arguments: Any) -> Any:
        start = time.perf_counter()
        result = call(*arguments)
        durations.setdefault(stage, []).append(time.perf_counter() - start)
        return result

    for number in range(frames):
        sample = cache.samples[number % len(cache)]
        image = timed("decode", read_gray, sample.image_path)
        frame, box = timed("letterbox", letterboxed, image, (*size, 1))
        target = timed("target", task.target, sample, box)
        image, target = timed("augment", augment, frame, target, number)
        timed("encode", cache.encode, target)
        del frame
    return {stage: statistics.median(each) for stage, each in durations.items()}


def transform_seconds(experiment: Experiment, cache: FrameCache, frames: int) -> dict[str, float]:
    """Seconds a frame of each augmentation, its probability in it; the dearest first.

    What a recipe costs that changes nothing is a row of its own, and in none of the others.
    """
    config = experiment.config
    none = _mean_seconds(_augmenter(experiment, [{"name": "NoOp"}]), cache, frames)
    found = {"of any recipe": none}
    for place, transform in enumerate(config.augment, start=1):
        alone = _augmenter(experiment, [transform.spec()])
        seconds = _mean_seconds(alone, cache, frames) - none
        found[f"{place}. {transform.spec()['name']}"] = seconds
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _augmenter(experiment: Experiment, recipe: Sequence[dict[str, Any]]) -> Augmenter:
    size = experiment.config.data.image_size
    return Augmenter(recipe, size, experiment.task.target_interpolation)


def _mean_seconds(augment: Augmenter, cache: FrameCache, frames: int) -> float:
    examples = [cache[number % len(cache)] for number in range(frames)]
    start = time.perf_counter()
    for seed, example in enumerate(examples):
        augment(example.image, example.target, seed)
    return (time.perf_counter() - start) / frames


def reading_seconds(experiment: Experiment, cache: FrameCache) -> float:
    """Seconds to read all frames of a cache with the config's workers, as once before training."""
    unread = frame_cache(experiment, cache.samples)
    start = time.perf_counter()
    unread.fill("frames", experiment.config.train.workers)
    return time.perf_counter() - start


def batches(experiment: Experiment, frames: Frames) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The batches of a training run, without end."""
    epochs = 1_000_000
    yield from training_batches(experiment, frames, 0, epochs)


def pipeline_seconds(experiment: Experiment, frames: Frames, steps: int) -> float:
    """Seconds a frame of the whole pipeline with the config's workers, while nothing trains."""
    source = batches(experiment, frames)
    for _ in range(_WARM_STEPS):
        next(source)
    start = time.perf_counter()
    for _ in range(steps):
        next(source)
    return (time.perf_counter() - start) / (steps * experiment.config.train.batch_size)


def step_times(experiment: Experiment, frames: Frames, steps: int, rounds: int) -> StepTimes:
    """Time training steps, in turns with the real pipeline and with a batch that is kept."""
    model = experiment.build_model()
    per_epoch = steps_per_epoch(len(frames.train), experiment.config.train.batch_size)
    experiment.compile(model, per_epoch, frames.class_pixels)
    source = batches(experiment, frames)
    kept = next(source)
    times = StepTimes([], [], [])
    _step(model, kept)  # compiles
    for _ in range(rounds):
        for _ in range(steps):
            times.cached.append(_step(model, kept))
        for number in range(_WARM_STEPS + steps):
            start = time.perf_counter()
            batch = next(source)
            waited = time.perf_counter() - start
            took = _step(model, batch)
            if number >= _WARM_STEPS:
                times.waits.append(waited)
                times.real.append(waited + took)
    return times


def _step(model: keras.Model, batch: tuple[Any, Any]) -> float:
    start = time.perf_counter()
    model.train_on_batch(*batch)  # gives its loss as a number, so it has ended
    return time.perf_counter() - start
