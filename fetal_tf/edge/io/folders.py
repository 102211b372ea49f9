"""Atomic folders: written beside their place, then moved into it."""

import itertools
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from fetal_tf.edge.errors import FetalTFError
from fetal_tf.edge.io.files import unwritable, write_bytes_atomic
from fetal_tf.edge.io.lock import only_writer


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

    If the block fails, `target` stays as it was and the staging folder is removed. What a killed
    process has left is removed by the next one, and what it had moved aside comes back.

    Raises:
        FetalTFError: the folder cannot be written or moved, or another process writes it; names it
            and the cause.
    """
    with _staging(target, target.parent) as staging:
        yield staging / _NEW
        _take_the_place(staging / _NEW, target, staging / _OLD)


@contextmanager
def staged_entries(target: Path) -> Iterator[Path]:
    """Like `staged_folder`, but other files and folders in `target` stay.

    What is written into the yielded folder replaces files and folders of the same name in `target`,
    after all of it has been written. So a full disk changes nothing.

    Raises:
        FetalTFError: as `staged_folder`.
    """
    with _staging(target, target) as staging:
        yield staging / _NEW
        target.mkdir(parents=True, exist_ok=True)
        for entry in sorted((staging / _NEW).iterdir()):
            _take_the_place(entry, target / entry.name, staging / _OLD)


def write_all(out: Path, files: Mapping[str, str | bytes | None]) -> list[Path]:
    """Write texts and bytes by name into `out`, all or none; other files there stay.

    What is None is left out.

    Returns:
        Their paths, in the order of `files`.

    Raises:
        FetalTFError: as `staged_folder`.
    """
    contents = {name: content for name, content in files.items() if content is not None}
    with staged_entries(out) as folder:
        for name, content in contents.items():
            data = content.encode("utf-8") if isinstance(content, str) else content
            write_bytes_atomic(folder / name, data)
    return [out / name for name in contents]


_NEW, _OLD = "new", "old"  # inside a staging folder: what is written, and what was moved aside


@contextmanager
def _staging(target: Path, home: Path) -> Iterator[Path]:
    """The staging folder of `target`, for this process alone; what was moved aside is `home`'s."""
    staging = target.with_name(f".{target.name}.partial")
    try:
        staging.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(target, error) from error
    with only_writer(staging, f"It makes {target}: wait until it ends, or choose another place."):
        try:
            _recover(staging, home)
            (staging / _NEW).mkdir()
            (staging / _OLD).mkdir()
            yield staging
        except OSError as error:
            raise _unwritable(target, error) from error
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _recover(staging: Path, home: Path) -> None:
    """Bring back what a killed process had moved aside without a successor; remove the rest."""
    for entry in sorted((staging / _OLD).glob("*")):
        if not (home / entry.name).exists():
            os.replace(entry, home / entry.name)
    for name in (_NEW, _OLD):
        shutil.rmtree(staging / name, ignore_errors=True)


def _take_the_place(new: Path, target: Path, aside: Path) -> None:
    """Move `new` to `target`; a folder there goes into `aside` first, and back if that fails."""
    if not target.is_dir():
        os.replace(new, target)
        return
    os.replace(target, aside / target.name)
    try:
        os.replace(new, target)
    except OSError:
        os.replace(aside / target.name, target)
        raise


def _unwritable(target: Path, error: OSError) -> FetalTFError:
    return FetalTFError(f"{target}: cannot be written: {error.strerror or error}")
