"""Write a phantom: the loop over its frames, their files, the tables and the marker.

A phantom is a function of a seed that yields a `Frame` for each image, without end; its keyword
parameters are its options. It is registered under the name of the dataset whose reader reads it.
"""

import itertools
import json
import secrets
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from fetal_tf.config.registry import Registry
from fetal_tf.edge.errors import ConfigError, DataError
from fetal_tf.edge.io.files import write_bytes_atomic, write_text_atomic
from fetal_tf.edge.io.images import png_bytes

MARKER_NAME = "phantom.json"
# Raised whenever the same seed gives other images than before.
PHANTOM_VERSION = 1
# A zip stores when its members were written; the same seed gives the same bytes.
_ZIP_DATE = (2023, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Frame:
    """What a phantom writes for one image.

    Attributes:
        files: contents by path below the phantom's folder: a text, or a uint8 array to store as
            PNG. In `masks.zip/001.png` the file is `001.png` in the archive `masks.zip`.
        rows: one row of each CSV by the table's path: texts by column. Tables are sorted by row.
    """

    files: Mapping[str, np.ndarray | str]
    rows: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


PHANTOMS: Registry[Iterator[Frame]] = Registry("phantom")


def write_phantom(
    name: str, out: Path, count: int, seed: int, *, progress: bool = False, **options: Any
) -> bool:
    """Write the phantom `name` to the folder `out`: all of it, or nothing.

    Args:
        name: a dataset with a phantom, see `PHANTOMS.names()`.
        out: absent, empty, or the folder of this very phantom, which is then kept.
        count: number of images; image i is the same whatever the count.
        seed: the same seed gives the same bytes, another one other images.
        progress: show a progress bar.
        **options: the phantom's own keyword parameters.

    Returns:
        Whether anything was written; False where the same phantom lay there already.

    Raises:
        ConfigError: unknown name or option, a count below 1, a negative seed.
        DataError: something else lies at `out`, or it cannot be written.
    """
    if count < 1 or seed < 0:
        raise ConfigError(f"count is {count}, seed is {seed}: count ≥ 1 and seed ≥ 0 are expected.")
    spec = {"name": name, **options}
    marker = {
        "phantom": name,
        "version": PHANTOM_VERSION,
        "count": count,
        "seed": seed,
        **PHANTOMS.check("phantom", spec),
    }
    if _is_there(out, marker):
        return False
    unfinished = out.with_name(f".{out.name}.{secrets.token_hex(4)}")
    try:
        unfinished.mkdir(parents=True)
        frames = itertools.islice(PHANTOMS.build("phantom", spec, seed), count)
        shown = tqdm(frames, f"phantom {name}", count, unit="image", disable=not progress)
        _write_frames(unfinished, shown)
        write_text_atomic(unfinished / MARKER_NAME, json.dumps(marker, indent=2) + "\n")
        if out.is_dir():
            out.rmdir()  # empty, as _is_there has seen
        unfinished.rename(out)
    except OSError as error:
        raise DataError(f"{out}: cannot be written: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return True


def is_phantom(path: Path) -> bool:
    """Whether a file or folder belongs to a phantom: the marker lies in it or in a folder above."""
    return any((folder / MARKER_NAME).is_file() for folder in (path, *path.resolve().parents))


def numbered_frames(frames_of: Callable[[int], int]) -> Iterator[tuple[int, int, int]]:
    """Endless (subject, frame, number of frames of that subject); both indices start at 0."""
    for subject in itertools.count():
        frames = frames_of(subject)
        for frame in range(frames):
            yield subject, frame, frames


def random_streams(seed: int, subject: int, frame: int = 0) -> Iterator[np.random.Generator]:
    """Random numbers for a subject, for how it is examined, and for one of its frames.

    All depend on nothing but the arguments, so a frame does not depend on those before it.
    """
    return (np.random.default_rng([seed, subject, number]) for number in (1, 2, 3 + frame))


def _is_there(out: Path, marker: dict[str, Any]) -> bool:
    """Whether `out` holds this phantom; DataError where it holds anything else."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    try:
        found = json.loads((out / MARKER_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if found == marker:
        return True
    what = f"another phantom ({found})" if found else "something that is no phantom"
    raise DataError(
        f"{out}: holds {what}, so nothing was written. Choose another folder, or remove this one."
    )


def _write_frames(folder: Path, frames: Iterator[Frame]) -> None:
    tables: dict[str, list[Mapping[str, str]]] = {}
    for frame in frames:
        for path, content in frame.files.items():
            data = content.encode() if isinstance(content, str) else png_bytes(content)
            archive, in_archive, member = path.partition(".zip/")
            if in_archive:
                place = folder / f"{archive}.zip"
                place.parent.mkdir(parents=True, exist_ok=True)
                with zipfile.ZipFile(place, "a") as opened:
                    opened.writestr(zipfile.ZipInfo(member, _ZIP_DATE), data)
            else:
                write_bytes_atomic(folder / path, data)
        for path, row in frame.rows.items():
            tables.setdefault(path, []).append(row)
    for path, rows in tables.items():
        lines = sorted(",".join(row.values()) for row in rows)
        write_text_atomic(folder / path, "\n".join([",".join(rows[0]), *lines, ""]))
