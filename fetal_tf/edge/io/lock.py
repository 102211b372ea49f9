"""One writer for a folder at a time: a lock that ends with its process, however that ends."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from fetal_tf.edge.errors import FetalTFError

LOCK = ".lock"


@contextmanager
def only_writer(folder: Path, way_out: str) -> Iterator[None]:
    """Keep other commands from writing into `folder`, which must be there, while the block runs.

    The operating system holds the lock for this process and drops it when the process ends, even
    by `kill -9`. The file `.lock` in the folder says whose it is: process, computer, since when.
    It may stay after a kill and then locks nothing.

    Args:
        folder: what is written into.
        way_out: what a second writer should do, for the message.

    Raises:
        FetalTFError: another process writes there, which the message names; or no lock can be made.
    """
    file = Path(folder) / LOCK
    lock = FileLock(file, timeout=0, on_acquired=_sign)
    try:
        lock.acquire()
    except Timeout as error:
        raise FetalTFError(f"{folder}: {_holder(file)} is writing there. {way_out}") from error
    except OSError as error:
        cause = error.strerror or error
        raise FetalTFError(f"{folder}: cannot be locked: {cause}; choose another one.") from error
    try:
        yield
    finally:
        # Before the release: afterwards the file may be the lock of the next one.
        with suppress(OSError):
            file.unlink()
        lock.release()


def _sign(descriptor: int) -> None:
    """Write into the lock's file whose it is."""
    since = datetime.now().astimezone().isoformat(" ", "seconds")
    note = {"pid": os.getpid(), "host": socket.gethostname(), "since": since}
    os.ftruncate(descriptor, 0)
    os.write(descriptor, json.dumps(note).encode())


def _holder(file: Path) -> str:
    """The process that the lock's file names."""
    try:
        note = json.loads(file.read_bytes())
        return f"process {note['pid']} on {note['host']} (since {note['since']})"
    except (OSError, ValueError, TypeError, KeyError):  # not written yet
        return "another process"
