"""What a training step costs in time and memory, against frame size, width and batch."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fetal_tf.benchmarks.memory import peak_mib
from fetal_tf.config.loading import load_config
from fetal_tf.edge.errors import FetalTFError
from fetal_tf.experiment import open_experiment


@dataclass(frozen=True)
class StepCost:
    """A training step of a net, in a process of its own.

    Attributes:
        weights: how many the net has.
        step_s: seconds a step, the median.
        frame_s: seconds a frame.
        peak_mib: resident memory at its highest, the libraries included.
    """

    weights: int
    step_s: float
    frame_s: float
    peak_mib: float


def step_cost(config: Path, overrides: Sequence[str], steps: int) -> StepCost:
    """Measure the step of a config on noise: what a frame shows does not change its cost.

    Raises:
        FetalTFError: it cannot be built or trained, with the reason.
    """
    command = [sys.executable, "-m", "fetal_tf.benchmarks.scale"]
    command += [str(config), str(steps), *overrides]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise FetalTFError(f"{' '.join(overrides)}: {said[-1][:300]}")
    return StepCost(**json.loads(done.stdout.splitlines()[-1]))


def _measure(config: Path, steps: int, overrides: Sequence[str]) -> StepCost:
    experiment = open_experiment(load_config(config, overrides))
    batch = experiment.config.train.batch_size
    model = experiment.build_model()
    experiment.compile(model, steps)
    rng = np.random.default_rng(0)
    image = rng.uniform(0, 255, (batch, *experiment.input_shape)).astype(np.float32)
    target = rng.uniform(0, 1, (batch, *model.output_shape[1:])).astype(np.float32)
    seconds = []
    for step in range(steps + 2):  # the first compiles, the second fills caches
        start = time.perf_counter()
        model.train_on_batch(image, target)  # gives its loss as a number, so it has ended
        if step > 1:
            seconds.append(time.perf_counter() - start)
    step_s = statistics.median(seconds)
    return StepCost(model.count_params(), step_s, step_s / batch, peak_mib())


if __name__ == "__main__":
    _, _config, _steps, *_overrides = sys.argv
    try:
        print(json.dumps(vars(_measure(Path(_config), int(_steps), _overrides))))
    except FetalTFError as error:
        sys.exit(str(error))
