"""The bundle's folder: whole or absent, described by bundle.json, sealed by SHA256SUMS."""

import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fetal_tf
from export.comparison import Comparison
from export.data_credit import DataCredit
from export.formats import FORMATS, PREFERENCE
from export.parity import UNITS, Parity
from fetal_tf.edge.errors import BundleError, FetalTFError
from fetal_tf.edge.files import sha256_of, write_text_atomic
from fetal_tf.run import Run

SCHEMA = 1
CHECKSUMS = "SHA256SUMS"
INTENDED_USE = (
    "Research, and integration tests of measuring software. Not a medical device; not for "
    "diagnosis, dating or any decision about a pregnancy."
)


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


def bundle_record(
    run: Run,
    files: Mapping[str, Path],
    comparison: Comparison,
    calibration: Mapping[str, Any],
    quantities: Iterable[str],
    data: DataCredit,
) -> dict[str, Any]:
    """The tree of bundle.json.

    Args:
        run: what was exported.
        files: format → file, already complete.
        comparison: every format against Keras.
        calibration: seed and image ids.
        quantities: names that a measurement's record has, units in them.
        data: what it was trained on.
    """
    height, width, channels = run.input_shape
    parities = comparison.parities
    return {
        "schema": SCHEMA,
        "name": run.config.name,
        "fetal_tf_version": fetal_tf.__version__,
        "task": run.task.name,
        "measurement": run.task.measurement,
        "classes": list(run.task.classes),
        "input": {
            "height": height,
            "width": width,
            "channels": channels,
            "range": "0-255 uint8 gray, letterboxed, centred, zero padding",
        },
        "output": "probabilities [h,w,classes]",
        "units": measurement_units(quantities),
        "files": {
            name: {
                "path": path.name,
                "sha256": sha256_of(path),
                "bytes": path.stat().st_size,
                "runtime": FORMATS[name].runtime,
                "parity": "passed" if parities[name].passed else "failed",
            }
            for name, path in files.items()
        },
        "default_format": default_format(parities),
        "parity": {
            "passed": not comparison.failures,
            "split": comparison.split,
            "failures": comparison.failures,
        },
        "calibration": dict(calibration),
        "attribution": list(data.attribution),
        "trained_on": data.trained_on,
        "phantom": data.phantom,
        "intended_use": INTENDED_USE,
        "splits": "splits.csv",
        "config": "config.yaml",
    }


def default_format(parities: Mapping[str, Parity]) -> str:
    """The preferred format among those that passed; where none did, the preferred of all."""
    passed = [name for name in PREFERENCE if name in parities and parities[name].passed]
    return (passed or [name for name in PREFERENCE if name in parities])[0]


def measurement_units(names: Iterable[str]) -> dict[str, str]:
    """Quantity → unit, for names that hold one: `hc_mm` → mm, `ga_weeks_hadlock` → weeks."""
    units = {
        name: next((part for part in name.split("_") if part in UNITS), None)
        for name in names
        if "_per_" not in name
    }
    return {name: unit for name, unit in units.items() if unit}


def write_json(path: Path, tree: Mapping[str, Any]) -> None:
    """Write `tree`, readable and without NaN."""
    text = json.dumps(tree, indent=2, ensure_ascii=False, allow_nan=False)
    write_text_atomic(path, text + "\n")


def write_checksums(folder: Path) -> None:
    """Seal every file of the folder: `sha256sum -c SHA256SUMS` checks it."""
    files = sorted(p for p in folder.iterdir() if p.name != CHECKSUMS)
    lines = [f"{sha256_of(path)}  {path.name}\n" for path in files]
    write_text_atomic(folder / CHECKSUMS, "".join(lines))
