"""Atomic folders: written beside their place, then moved into it."""

import itertools
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fetal_tf.edge.errors import FetalTFError
from fetal_tf.edge.io.files import unwritable


def is_replaceable(target: Path, marker: str) -> bool:
    """Whether `target` is absent, an empty folder, or a folder that holds the file `marker`."""
    if not target.exists():
        return True
    return target.is_dir() and (not any(target.iterdir()) or (target / marker).is_file())


def new_folder(path: Path) -> Path:
    """Make `path`, or where it is there already `path-2`, `path-3` …; two processes get two.

    Raises:
        FetalTFError: no folder can be made there.
    """
    for number in itertools.count(1):
        folder = path if number == 1 else path.with_name(f"{path.name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise unwritable(folder, error) from error
        return folder
    raise AssertionError("numbers do not end")


@contextmanager
def staged_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder beside `target` that replaces it when the block has succeeded.

    If the block fails, `target` stays as it was and the staging folder is removed.

    Raises:
        FetalTFError: the folder cannot be written or moved; names it and the cause.
    """
    with _staging(target) as staging:
        yield staging
        _take_the_place(staging, target)


@contextmanager
def staged_entries(target: Path) -> Iterator[Path]:
    """Like `staged_folder`, but other files and folders in `target` stay.

    What is written into the yielded folder replaces files and folders of the same name in `target`,
    after all of it has been written. So a full disk changes nothing.

    Raises:
        FetalTFError: the folder cannot be written or moved; names it and the cause.
    """
    with _staging(target) as staging:
        yield staging
        target.mkdir(parents=True, exist_ok=True)
        for entry in sorted(staging.iterdir()):
            _take_the_place(entry, target / entry.name)


@contextmanager
def _staging(target: Path) -> Iterator[Path]:
    staging = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    try:
        staging.mkdir(parents=True)
        yield staging
    except OSError as error:
        raise FetalTFError(f"{target}: cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _take_the_place(new: Path, target: Path) -> None:
    """Move `new` to `target`; a folder there is moved aside first, and back if that fails."""
    if not target.is_dir():
        os.replace(new, target)
        return
    aside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.replaced")
    os.replace(target, aside)
    try:
        os.replace(new, target)
    except OSError:
        os.replace(aside, target)
        raise
    shutil.rmtree(aside)
