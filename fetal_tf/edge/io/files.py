"""Atomic files: written beside their place, then moved into it."""

import errno
import hashlib
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fetal_tf.edge.errors import FetalTFError

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}(\.[^.]*)?", re.DOTALL)


@contextmanager
def replaced_atomically(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; on success it becomes `path`.

    The temporary name keeps the suffix of `path`, since savers like Keras' look at it. The folder
    is made where it is missing. If the block fails, the old `path` stays as it was and the
    temporary file is removed.

    Raises:
        FetalTFError: the file cannot be written (full disk, no permission); names file and cause.
    """
    path = Path(path)
    # As _TEMPORARY knows it.
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        # What stopped the writing may stop the removal; the first cause is the one to report.
        with suppress(OSError):
            temporary.unlink()


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files that killed processes have left in `folder`.

    Only for a folder that no other process writes into: see `fetal_tf.edge.io.lock`.
    """
    for path in Path(folder).glob(".*"):
        if _TEMPORARY.fullmatch(path.name) and path.is_file():
            with suppress(OSError):
                path.unlink()


def unwritable(path: Path, error: OSError) -> FetalTFError:
    """The error of a command that could not write `path`: the cause, and what to do."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return FetalTFError(
        f"{path}: cannot be written: {error.strerror or error}. Nothing was changed there; "
        f"{'free some space or ' if full else ''}choose another folder."
    )


def make_writable_folder(path: Path) -> None:
    """Make the folder `path` if it is missing, and check that files can be written in it.

    Call it before long work, so that an unwritable folder is found early.

    Raises:
        FetalTFError: no file can be written there.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise unwritable(path, error) from error


def write_bytes_atomic(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that a reader sees the old file or the new one, never a part.

    Raises:
        FetalTFError: the file cannot be written; the old one, if any, is untouched.
    """
    with replaced_atomically(path) as temporary:
        temporary.write_bytes(data)


def write_text_atomic(path: Path, text: str) -> None:
    """Write `text` as UTF-8 to `path`, like `write_bytes_atomic`; newlines are kept as given."""
    write_bytes_atomic(path, text.encode("utf-8"))


def is_stream(path: Path) -> bool:
    """Whether a path is a pipe, a socket or a device: read twice, it does not say the same."""
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError):  # missing, a name that no file can have: who reads it says so
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes as 64 hexadecimal digits; OSError where it cannot be read."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
