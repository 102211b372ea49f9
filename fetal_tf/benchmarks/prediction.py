"""How fast `predict` measures, where the time of a frame goes, and what memory it takes."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fetal_tf.edge.bundle.net import Net
from fetal_tf.edge.bundle.prediction import Prediction, table_row
from fetal_tf.edge.bundle.results import record_columns
from fetal_tf.edge.errors import FetalTFError
from fetal_tf.edge.geometry.letterbox import letterboxed
from fetal_tf.edge.io.growing_table import GrowingTable
from fetal_tf.edge.io.images import read_frame, write_png

# In a process of its own: memory that the caller has used is not counted, and the time of the
# imports is not either.
_PROGRAM = """
import json, resource, sys, time
from contextlib import redirect_stdout
import fetal_tf.predict
from fetal_tf.benchmarks.memory import peak_mib

start = time.perf_counter()
with redirect_stdout(sys.stderr):
    code = fetal_tf.predict.main(sys.argv[1:])
seconds = time.perf_counter() - start
workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps({"code": code, "s": seconds, "peak_mib": peak_mib(), "workers_kib": workers}))
"""


@dataclass(frozen=True)
class Way:
    """A way to call `predict`: with so many workers, and with pictures or without."""

    workers: int
    pictures: bool

    @property
    def options(self) -> list[str]:
        return [f"--workers={self.workers}", *([] if self.pictures else ["--no-overlays"])]

    def __str__(self) -> str:
        return f"{self.workers} worker{'s'[: self.workers != 1]}, " + (
            "pictures" if self.pictures else "no pictures"
        )


@dataclass(frozen=True)
class Cost:
    """What measuring a number of frames took.

    Attributes:
        seconds: from the command's begin to its end, without the program's imports.
        peak_mib: resident memory of the command at its highest.
        worker_peak_mib: that of the largest worker; 0 without workers.
    """

    frames: int
    seconds: float
    peak_mib: float
    worker_peak_mib: float

    @property
    def frames_per_second(self) -> float:
        return self.frames / self.seconds


@contextmanager
def copies(frames: Sequence[Path], count: int) -> Iterator[Path]:
    """A folder with `count` files, the frames over and over; they take the space of the frames."""
    with tempfile.TemporaryDirectory(prefix="fetal_tf-frames-") as name:
        folder = Path(name)
        for number in range(count):
            frame = frames[number % len(frames)]
            place = folder / f"{number:06d}{frame.suffix}"
            try:  # not a link by name: predict measures a file once, whatever its names
                os.link(frame, place)
            except OSError:
                shutil.copyfile(frame, place)
        yield folder


def predict_cost(reference: str, folder: Path, way: Way) -> Cost:
    """Measure every frame of a folder with `predict`.

    Raises:
        FetalTFError: the command failed.
    """
    with tempfile.TemporaryDirectory(prefix="fetal_tf-out-") as out:
        command = [reference, str(folder), "--out", out, *way.options]
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, *command], capture_output=True, text=True
        )
    said = done.stderr.strip()[-500:]
    if done.returncode:
        raise FetalTFError(f"predict {' '.join(command)}: broke off: {said}")
    found = json.loads(done.stdout.splitlines()[-1])
    if found["code"]:
        raise FetalTFError(f"predict {' '.join(command)}: exit code {found['code']}: {said}")
    workers_mib = found["workers_kib"] / 1024 if way.workers > 1 else 0.0
    frames = sum(1 for _ in folder.iterdir())
    return Cost(frames, found["s"], found["peak_mib"], workers_mib)


def throughput(
    reference: str, folder: Path, ways: Sequence[Way], rounds: int
) -> dict[Way, list[Cost]]:
    """The cost of each way, measured in turns, so that a change of the machine's speed hits all."""
    costs: dict[Way, list[Cost]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            costs[way].append(predict_cost(reference, folder, way))
    return costs


def stage_times_ms(net: Net[Any], frames: Sequence[Path], rounds: int) -> dict[str, float]:
    """Milliseconds of each stage between a file and its row, the median over frames and rounds."""
    durations: dict[str, list[float]] = {}

    def timed(stage: str, call: Callable[..., Any], *arguments: Any) -> Any:
        start = time.perf_counter()
        result = call(*arguments)
        durations.setdefault(stage, []).append(1000 * (time.perf_counter() - start))
        return result

    measurer, columns = net.bundle.measurer, record_columns(net.bundle, net.predictor)
    predictor = measurer.prepared(net.predictor)
    with tempfile.TemporaryDirectory(prefix="fetal_tf-stages-") as name:
        folder = Path(name)
        table = GrowingTable.begin(folder / "table.csv", ("file", "overlay", *columns, "error"))
        for path in [*frames] * rounds:
            image = timed("read the file", read_frame, path).gray
            frame, box = timed("fit to the net", letterboxed, image, net.bundle.input_shape)
            (output,) = timed("the net", predictor.predict, frame[None])
            found = timed("measure", measurer.measure, output, box, 0.1)
            picture = timed("draw", measurer.draw, image, found)
            timed("write the picture", write_png, folder / "picture.png", picture)
            row = table_row(Prediction(path, found.as_record()), folder)
            timed("write the row", table.append, row)
    return {stage: statistics.median(each) for stage, each in durations.items()}


def shares(times_ms: Mapping[str, float]) -> dict[str, float]:
    """Each stage's share of the sum."""
    whole = sum(times_ms.values())
    return {stage: value / whole for stage, value in times_ms.items()}
