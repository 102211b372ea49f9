"""Measures many image files, in this process or in several, and in their order."""

import itertools
import multiprocessing
import os
import signal
import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from fetal_tf.edge.bundle.net import Net, open_net
from fetal_tf.edge.bundle.prediction import Prediction, predict_file
from fetal_tf.edge.errors import FetalTFError, cause_of

IMAGES_A_WORKER = 50  # fewer are measured sooner than another process has begun
_AHEAD = 2  # images that wait at each worker, so that none is idle while rows are written


class Task(NamedTuple):
    """An image to measure, the picture to write of it, if any, and its pixel size."""

    path: Path
    picture: Path | None
    mm_per_pixel: float | None


@dataclass(frozen=True)
class Job:
    """What is the same for all images: the net, see `fetal_tf.load`, and the gestational age."""

    reference: str
    format: str | None = None
    convention: str | None = None
    threads: int = 1
    ga_weeks: float | None = None

    def open(self) -> Net[Any]:
        """Open the net; FetalTFError where it cannot be used."""
        return open_net(
            self.reference, format=self.format, convention=self.convention, threads=self.threads
        )


def useful_workers(images: int, cores: int | None = None) -> int:
    """How many processes measure so many images soonest: at most one for each core."""
    if cores is None:  # those that this process may use, where the system tells
        usable = getattr(os, "sched_getaffinity", None)
        cores = len(usable(0)) if usable else os.cpu_count() or 1
    return max(1, min(cores, images // IMAGES_A_WORKER))


def measured(
    job: Job, net: Net[Any], tasks: Iterable[Task], workers: int
) -> Generator[Prediction, None, None]:
    """Measure the images of `tasks`, in their order. Close it: its processes end with it.

    Args:
        job: what every process opens.
        net: the same, as this process has opened it; it measures where `workers` is 1.
        tasks: the images.
        workers: how many processes.

    Raises:
        FetalTFError: a worker has ended, or could not open the net. All that came before is whole.
    """
    if workers > 1:
        yield from _measured_by(job, tasks, workers)
        return
    for path, picture, mm_per_pixel in tasks:
        yield predict_file(net.bundle, net.predictor, path, picture, mm_per_pixel, job.ga_weeks)


def _measured_by(job: Job, tasks: Iterable[Task], count: int) -> Iterator[Prediction]:
    """Each worker gets every `count`-th image, so that answers come in the order of the images."""
    workers: list[_Worker] = []
    try:
        for _ in range(count):
            workers.append(_Worker(job))
        asked, answered = itertools.cycle(workers), itertools.cycle(workers)
        waiting = 0
        for task in tasks:
            if waiting == _AHEAD * count:
                yield next(answered).receive()
                waiting -= 1
            next(asked).send(task)
            waiting += 1
        for _ in range(waiting):
            yield next(answered).receive()
    finally:
        for worker in workers:
            worker.end()


class _Worker:
    """A process that measures what it is sent, until its end of the pipe is closed."""

    def __init__(self, job: Job):
        context = multiprocessing.get_context("spawn")  # LiteRT's threads do not survive a fork
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, job), daemon=True)
        with _apart():
            self._process.start()
        theirs.close()

    def send(self, task: Task) -> None:
        try:
            self._pipe.send(task)
        except OSError as error:
            raise self._ended() from error

    def receive(self) -> Prediction:
        try:
            answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise self._ended() from error
        if isinstance(answer, FetalTFError):
            raise answer
        return answer

    def end(self) -> None:
        """Close the pipe, and wait until the image that is being measured is done."""
        self._pipe.close()
        self._process.join()

    def _ended(self) -> FetalTFError:
        self._process.join()
        code = self._process.exitcode or 0
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        return FetalTFError(
            f"a worker process has ended {how}; where memory was short, fewer --workers need less."
        )


def _serve(pipe: Connection, job: Job) -> None:
    """Measure until nobody is at the other end any more, also after its process was killed."""
    try:
        try:
            net = job.open()
        except Exception as error:
            pipe.send(FetalTFError(cause_of(error, Path(job.reference))))
            return
        for answer in measured(job, net, iter(pipe.recv, None), workers=1):
            pipe.send(answer)
    except (EOFError, OSError):
        return


@contextmanager
def _apart() -> Iterator[None]:
    """Within the block a process is started that no signal meant for this one ends.

    Ctrl-C reaches all processes of a terminal; a new one has to finish its image. And it does not
    import the program that called, which need not be made for that.
    """
    resource_tracker.ensure_running()  # its start would unblock the signals
    signals = {signal.SIGINT, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # a new process inherits it
    main, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
