"""Processes that train one net together: how they meet, and what is said when one is lost.

JAX's runtime ends a process at once, from C++ and without a word that a user understands, when the
coordinator is gone. So the command runs the training in a process of its own and waits for it.
"""

import os
import signal
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from fetal_tf.edge.errors import ConfigError, FetalTFError
from fetal_tf.edge.extras import require

_INSIDE = "FETAL_TF_JOINED"  # holds the file for what C++ says; set in the process that trains
_MEETING_S = 120
_HEARTBEAT_S = 30


@dataclass(frozen=True)
class Job:
    """One of the processes that train together.

    Attributes:
        coordinator: HOST:PORT of process 0, where all of them meet.
        processes: how many there are.
        process: the number of this one, from 0.
    """

    coordinator: str
    processes: int
    process: int


def job_of(coordinator: str | None, processes: int | None, process: int | None) -> Job | None:
    """The job that three options name, None where none of them is given.

    Raises:
        ConfigError: some of them are missing, or contradict each other.
    """
    if coordinator is None and processes is None and process is None:
        return None
    if coordinator is None or processes is None or process is None:
        raise ConfigError("--coordinator, --processes and --process-id: give all three, or none")
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ConfigError(f"--coordinator: found {coordinator!r}; HOST:PORT is expected")
    if processes < 1 or not 0 <= process < processes:
        raise ConfigError(
            f"--process-id: found {process} of {processes} processes; they count from 0"
        )
    return Job(coordinator, processes, process)


def is_inside() -> bool:
    """Whether this is the process that trains, and not the command that waits for it."""
    return _INSIDE in os.environ


def run_inside(job: Job, arguments: list[str]) -> int:
    """Train in a process of its own, and wait for it.

    Args:
        job: which of the processes this is.
        arguments: of `python -m fetal_tf.train`.

    Returns:
        Its exit code.

    Raises:
        ConfigError: Keras' backend is not JAX.
        FetalTFError: the runtime has ended it.
        MissingExtraError: JAX is not installed.
    """
    import keras

    if keras.backend.backend() != "jax":
        raise ConfigError(
            "--coordinator: processes train together on Keras' JAX backend; set KERAS_BACKEND=jax"
        )
    require("jax")
    from fetal_tf.training.folds import run_module

    with tempfile.TemporaryDirectory(prefix="fetal_tf-") as folder:
        noise = Path(folder) / "noise"
        code = run_module("fetal_tf.train", *arguments, environment={_INSIDE: str(noise)})
        if code >= 0:
            return code
        words = noise.read_text(errors="replace") if noise.is_file() else ""
    raise FetalTFError(
        f"process {job.process} of {job.processes}: broke off (signal {-code}): another process of "
        f"this job has ended, or its machine cannot be reached any more{_cause(words)}. The last "
        "finished epoch is kept: start all processes again with --resume"
    )


def leave(code: int) -> int:
    """End a process that trains with others at once where it failed; otherwise return `code`.

    JAX would wait at its end for those that are lost, and then break off.
    """
    if code and is_inside():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def join(job: Job) -> None:
    """Meet the other processes, in the process that trains.

    Raises:
        FetalTFError: the coordinator cannot be reached, or not all processes came in time.
    """
    import jax

    _hide_noise(Path(os.environ[_INSIDE]))
    _end_with_parent()
    stop = signal.getsignal(signal.SIGTERM)
    try:
        jax.distributed.initialize(
            job.coordinator,
            job.processes,
            job.process,
            initialization_timeout=_MEETING_S,
            heartbeat_timeout_seconds=_HEARTBEAT_S,
            shutdown_timeout_seconds=_HEARTBEAT_S,
        )
    except Exception as error:
        raise FetalTFError(
            f"--coordinator: {job.coordinator}: the {job.processes} processes did not meet within "
            f"{_MEETING_S} s ({' '.join(str(error).split())[:160]})"
        ) from error
    signal.signal(signal.SIGTERM, stop)  # JAX has put a handler there that only takes note


def _hide_noise(file: Path) -> None:
    """Send what C++ writes into a file; Python goes on writing to the screen."""
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        getattr(sys, name).flush()
        setattr(sys, name, os.fdopen(os.dup(descriptor), "w", buffering=1))
    sink = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    os.close(sink)


def _end_with_parent() -> None:
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _cause(words: str) -> str:
    """The first fatal line of C++, as a bracket."""
    fatal = [line for line in words.splitlines() if line[:1] == "F" and "]" in line]
    return f" ({fatal[0].partition(']')[2].strip()[:160]})" if fatal else ""
