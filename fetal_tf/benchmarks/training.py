"""How fast a net trains, way by way: precision, XLA, accumulation, steps in one call."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from fetal_tf.config.tree import Config
from fetal_tf.data.pipeline.dataset import steps_per_epoch
from fetal_tf.edge.errors import ConfigError
from fetal_tf.experiment import open_experiment
from fetal_tf.training.devices import compiling
from fetal_tf.training.frames import Frames, load_frames, training_batches


@dataclass
class Training:
    """What some rounds of training took and reached.

    Attributes:
        compile_seconds: of the first round, which compiles and is not timed otherwise.
        frame_seconds: seconds a frame, one of each later round.
        losses: mean training loss of each round, the first one too.
        fault: why this way does not train here; it has no further rounds then.
    """

    compile_seconds: float = 0.0
    frame_seconds: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    fault: str = ""

    @property
    def frames_per_second(self) -> float:
        return 1 / statistics.median(self.frame_seconds)


def training_speed(ways: Sequence[Config], steps: int, rounds: int) -> list[Training]:
    """Train one net from the same weights in each way, in turns, on the same frames.

    Args:
        ways: configs that differ in their section `train`.
        steps: batches of a round, of one epoch at most.
        rounds: that are timed, after one that compiles.
    """
    frames = load_frames(open_experiment(ways[0]))
    runs = [_Run(config, frames, steps) for config in ways]
    for _ in range(rounds + 1):
        for run in runs:
            if not run.training.fault:
                run.go_on()
    return [run.training for run in runs]


class _Run:
    """A net that is trained round after round."""

    def __init__(self, config: Config, frames: Frames, steps: int):
        self.training = Training()
        self._experiment, self._frames = open_experiment(config), frames
        self._batch = min(config.train.batch_size, len(frames.train))
        per_epoch = steps_per_epoch(len(frames.train), self._batch)
        self._steps = min(steps, per_epoch)
        self._model = self._experiment.build_model()
        self._experiment.compile(self._model, per_epoch, frames.class_pixels)

    def go_on(self) -> None:
        """Train the first batches of the next epoch."""
        epoch = len(self.training.losses)
        batches = training_batches(self._experiment, self._frames, epoch, epoch + 1)
        start = time.perf_counter()
        try:
            with compiling(self._experiment.config):
                fit = self._model.fit(
                    batches, steps_per_epoch=self._steps, shuffle=False, verbose=0
                )
        except ConfigError as error:
            self.training.fault = str(error)
            return
        seconds = time.perf_counter() - start
        self.training.losses.append(float(fit.history["loss"][0]))
        if epoch:
            self.training.frame_seconds.append(seconds / (self._steps * self._batch))
        else:
            self.training.compile_seconds = seconds
