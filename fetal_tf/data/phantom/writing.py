"""Phantoms: seeded data with exact truth in a real dataset's layout, to run without downloads.

A phantom is one file here with one `@PHANTOMS.register(name)` function, under the name of the
dataset whose reader reads it. It writes into an empty folder and yields the path of each image.
"""

import json
import secrets
import shutil
from pathlib import Path
from typing import Any

from tqdm import tqdm

from fetal_tf.data.phantom.registry import PHANTOMS
from fetal_tf.edge.errors import ConfigError, DataError
from fetal_tf.edge.io.files import write_text_atomic

MARKER_NAME = "phantom.json"
# Raised whenever the same seed gives other images than before.
PHANTOM_VERSION = 1


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
        images = PHANTOMS.build("phantom", spec, unfinished, count, seed)
        for _ in tqdm(images, f"phantom {name}", count, unit="image", disable=not progress):
            pass
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
    """Whether a file or folder is a phantom's: the marker lies in it, or in a folder above."""
    return any((folder / MARKER_NAME).is_file() for folder in (path, *path.resolve().parents))


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
