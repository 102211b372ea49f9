"""The bundle's folder: whole or absent, and sealed by checksums."""

import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fetal_tf.edge.errors import BundleError, FetalTFError
from fetal_tf.edge.files import sha256_of, write_text_atomic

CHECKSUMS = "SHA256SUMS"


def check_replaceable(target: Path) -> None:
    """Make sure that writing a bundle to `target` destroys nothing but an older bundle.

    Raises:
        BundleError: something else is there.
    """
    if not target.exists():
        return
    if target.is_dir() and (not any(target.iterdir()) or (target / "bundle.json").is_file()):
        return
    raise BundleError(
        f"{target}: exists and is not a bundle (no bundle.json in it); "
        "name another folder with --out, or remove it"
    )


@contextmanager
def staged_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder beside `target` that takes its place when the block has succeeded.

    If the block fails, `target` stays as it was and the staging folder is removed.

    Raises:
        FetalTFError: the folder cannot be made or moved; names it and the cause.
    """
    token = secrets.token_hex(4)
    staging = target.with_name(f".{target.name}.{token}.partial")
    with _blamed_on(target):
        staging.mkdir(parents=True)
    try:
        yield staging
        with _blamed_on(target):
            _take_the_place(staging, target, target.with_name(f".{target.name}.{token}.replaced"))
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _take_the_place(staging: Path, target: Path, aside: Path) -> None:
    """Move `target` aside and `staging` to its place; undo the first if the second fails."""
    if not target.exists():
        os.replace(staging, target)
        return
    os.replace(target, aside)
    try:
        os.replace(staging, target)
    except OSError:
        os.replace(aside, target)
        raise
    shutil.rmtree(aside)


@contextmanager
def _blamed_on(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FetalTFError(f"{target}: the bundle cannot be written there: {error}") from error


def write_json(path: Path, tree: Mapping[str, Any]) -> None:
    """Write `tree`, readable and without NaN."""
    text = json.dumps(tree, indent=2, ensure_ascii=False, allow_nan=False)
    write_text_atomic(path, text + "\n")


def write_checksums(folder: Path) -> None:
    """Seal every file of the folder: `sha256sum -c SHA256SUMS` checks it."""
    files = sorted(p for p in folder.iterdir() if p.name != CHECKSUMS)
    lines = [f"{sha256_of(path)}  {path.name}\n" for path in files]
    write_text_atomic(folder / CHECKSUMS, "".join(lines))
