"""A Ray cluster for the time of a block: one by its address, or this machine alone."""

import logging
import os
import secrets
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from fetal_tf.edge.errors import FetalTFError, UsageError
from fetal_tf.edge.extras import require
from fetal_tf.edge.io.captured_output import captured_noise
from fetal_tf.edge.io.files import unwritable

LOCAL = "local"
ADDRESSES = "local for this machine; auto or HOST:PORT for the cluster that it belongs to"
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",  # no telemetry
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # its C++ side writes to the screen
    "RAY_AIR_NEW_OUTPUT": "0",  # which prints boxes even where it should be silent
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # no tables of its own
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C ends the command as it ends all others
}
_OBJECTS_BYTES = 100 * 2**20  # of shared memory: what goes to and fro is small
_ANSWERS_WITHIN_S = 10


@contextmanager
def cluster(address: str, slots: int | None = None) -> Iterator[None]:
    """Within the block Ray runs on the cluster at `address`, silently and without telemetry.

    Args:
        address: one of `ADDRESSES`. `local` starts Ray on this machine; it is stopped, and its
            files are removed, at the end.
        slots: for `local`, how many tasks of one core each run at once; None: one for each core.

    Raises:
        MissingExtraError: Ray is not installed.
        UsageError: an address that cannot be one.
        FetalTFError: no cluster answers there, or it does not take this Python or Ray.
    """
    require("ray")
    os.environ.update(_SETTINGS)
    with ExitStack() as held:
        own: dict[str, Any] = {}
        if address == LOCAL:
            folder = _new_folder()
            held.callback(_remove, folder)
            # Ray asks for a token, and would keep one in the home folder.
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
            own = {"_temp_dir": folder, "include_dashboard": False}
            own |= {"num_cpus": slots, "object_store_memory": _OBJECTS_BYTES}
        else:
            _check_answers(address)
        import ray

        held.callback(ray.shutdown)
        _start(address, own)
        yield


def _start(address: str, own: dict[str, Any]) -> None:
    with _kept_signals(), captured_noise():
        import ray
        import ray._private.worker

        # Else deaths of workers, which are our errors, are pages on standard output as well.
        ray._private.worker.print_to_stdstream = lambda *_, **__: None
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL, **own)
        except (OSError, RuntimeError, ValueError) as error:
            raise FetalTFError(
                f"{address}: no Ray cluster can be used: {first_sentence(error)}"
            ) from error


def first_sentence(error: Exception) -> str:
    """The cause that one of Ray's errors states: the first sentence of its last line."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1].strip().split(". ")[0].rstrip(".")


def _new_folder() -> str:
    place = os.environ.get("RAY_TMPDIR", "/tmp")  # a socket's path has at most 107 letters
    try:
        return tempfile.mkdtemp(prefix="fetal_tf-ray-", dir=place)
    except OSError as error:
        raise unwritable(Path(place), error) from error


def _remove(folder: str) -> None:
    """Remove a folder in which processes of Ray that are ending may still write."""
    for _ in range(50):
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.exists(folder):
            return
        time.sleep(0.1)


@contextmanager
def _kept_signals() -> Iterator[None]:
    """Ray takes SIGTERM for itself; after the block it is again as it was."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _check_answers(address: str) -> None:
    """Ask whether anybody listens there: Ray itself would try for minutes."""
    if address == "auto":
        return
    if address.startswith("ray://"):
        raise UsageError(
            f"--ray {address}: Ray's client has no Ray Data; run the command on a machine of the "
            "cluster, with --ray auto"
        )
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise UsageError(f"--ray {address}: no address; it is {ADDRESSES}")
    try:
        socket.create_connection((host, int(port)), _ANSWERS_WITHIN_S).close()
    except (OSError, OverflowError) as error:
        raise FetalTFError(f"{address}: no Ray cluster answers there: {error}") from error
