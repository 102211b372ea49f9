"""A folder of results that grows image by image, and on which a broken-off command goes on.

DIR/measurements.csv              a row an image
DIR/measurements.json             all rows once more, where asked for
DIR/measurements_settings.json    what measures here: nothing else may go on with the table
DIR/overlays/                     the pictures
"""

import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fetal_tf.edge.bundle.bundle import Bundle
from fetal_tf.edge.bundle.prediction import Prediction, json_parts, table_row
from fetal_tf.edge.errors import DataError, FetalTFError
from fetal_tf.edge.inference.predictor import Predictor
from fetal_tf.edge.io.files import (
    make_writable_folder,
    remove_leftovers,
    replaced_atomically,
    write_text_atomic,
)
from fetal_tf.edge.io.folders import new_folder
from fetal_tf.edge.io.foreign_text import printable
from fetal_tf.edge.io.growing_table import GrowingTable
from fetal_tf.edge.io.inputs import OVERLAYS, TABLE
from fetal_tf.edge.io.lock import only_writer
from fetal_tf.edge.io.tables import read_table

JSON, SETTINGS = "measurements.json", "measurements_settings.json"
_FOLDER = "folder"  # the setting that file names in the table are relative to


@dataclass
class Results:
    """A folder of results that this process alone writes into.

    Attributes:
        folder: where they are.
        table: the rows.
        before: the real paths of the files that had a row when the command began.
        pictures_before: the names of the pictures that these rows have.
        errors_before: of `before`, those whose row has an error.
        begun_in: the working folder that the names in these rows are relative to, if any.
    """

    folder: Path
    table: GrowingTable
    before: frozenset[str] = frozenset()
    pictures_before: frozenset[str] = frozenset()
    errors_before: frozenset[str] = frozenset()
    begun_in: Path | None = None

    def knows(self, path: Path) -> bool:
        """Whether a file has a row from before."""
        return _real(path) in self.before

    def retry(self, paths: Iterable[Path]) -> None:
        """Take out the rows from before that have an error, where they are of these files.

        Raises:
            FetalTFError: the table cannot be written.
        """
        if not self.errors_before:
            return
        asked = {_real(path) for path in paths}
        again = {real for real in self.errors_before if real in asked}
        self.table.keep(lambda row: not (row["error"] and self._real_of(row) in again))
        self.before -= again
        self.errors_before -= again

    def add(self, prediction: Prediction) -> None:
        """Append a row; FetalTFError where it cannot be written.

        A relative name is written as seen from the working folder in which the table was begun.
        """
        row = table_row(prediction, self.folder)
        if self.begun_in not in (None, Path.cwd()) and not prediction.path.is_absolute():
            row["file"] = os.path.relpath(prediction.path, self.begun_in)
        self.table.append(row)

    def _real_of(self, row: Mapping[str, str]) -> str:
        return _real((self.begun_in or Path()) / row["file"])

    def picture(self, name: str) -> Path:
        return self.folder / OVERLAYS / name

    def write_json(self, bundle: Bundle, format_name: str) -> None:
        """All rows as `measurements.json`.

        Raises:
            FetalTFError: it cannot be written, or a row from before was changed by hand.
        """
        parts = json_parts(self.table.rows(), self.table.columns, bundle, format_name)
        with replaced_atomically(self.folder / JSON) as temporary:
            try:
                with temporary.open("w", encoding="utf-8", newline="") as file:
                    file.writelines(parts)
            except ValueError as error:
                raise DataError(
                    f"{self.table.path}: was changed, so there is no JSON: {error}"
                ) from error


@contextmanager
def open_results(
    out: Path | None,
    settings: Mapping[str, Any],
    columns: Sequence[str],
    *,
    resume: bool = False,
    overwrite: bool = False,
) -> Iterator[Results]:
    """Results in `out`, or in a new folder `predictions`, `predictions-2` …, locked for the block.

    A folder without a row at the end keeps no table.

    Args:
        out: the folder; None for a new one.
        settings: what the rows depend on, a JSON tree; a table measured with others is not resumed.
        columns: of a measurement's record.
        resume: go on with the table that is there.
        overwrite: begin anew where a table is there. It stays until this command has a row; then
            its pictures are removed.

    Raises:
        FetalTFError: another process writes there, a table is there and neither `resume` nor
            `overwrite` is asked for, it was measured with other settings, or it cannot be written.
    """
    if out is None:
        out = new_folder(Path("predictions"))
    make_writable_folder(out)
    columns = ("file", "overlay", *columns, "error")
    with only_writer(out, "Wait until it ends, or name another folder with --out."):
        for folder in (out, out / OVERLAYS):
            remove_leftovers(folder)
        if not _has_rows(out / TABLE):
            _put_back(out)
        if resume and (out / TABLE).exists():
            results = _resumed(out, settings, columns)
        else:
            if (out / TABLE).exists():
                _set_aside(out, overwrite)
            tree = {**settings, _FOLDER: os.getcwd()}
            write_text_atomic(out / SETTINGS, json.dumps(tree, indent=2) + "\n")
            results = Results(out, GrowingTable.begin(out / TABLE, columns))
        try:
            yield results
        finally:
            if results.table.count:
                _forget(out, results.table)
            else:
                for name in (TABLE, SETTINGS):
                    (out / name).unlink(missing_ok=True)
                _put_back(out)


def record_columns(bundle: Bundle, predictor: Predictor) -> list[str]:
    """What every record of this bundle's measurements holds, as measured on a black frame."""
    black = np.zeros(bundle.input_shape[:2], np.uint8)
    return list(bundle.measure(predictor, black).as_record())


def _resumed(out: Path, settings: Mapping[str, Any], columns: Sequence[str]) -> Results:
    try:
        before = json.loads((out / SETTINGS).read_bytes())
        folder, found = Path(before[_FOLDER]), {name: before[name] for name in settings}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{out / SETTINGS}: cannot be read, so nothing can go on there; "
            "use --overwrite or another folder"
        ) from error
    changed = [
        f"{name} {found[name]!r} there, {value!r} here"
        for name, value in settings.items()
        if found[name] != value
    ]
    if changed:
        raise DataError(
            f"{out}: was measured with other settings: {'; '.join(changed)}. Repeat its command "
            "with --resume, or use --overwrite or another folder."
        )
    table = GrowingTable.reopen(out / TABLE, columns)
    files, pictures, broken = set(), set(), set()
    for row in table.rows():
        real = _real(folder / row["file"])
        files.add(real)
        pictures.add(Path(row["overlay"]).name)
        if row["error"]:
            broken.add(real)
    names = frozenset(pictures - {""})
    return Results(out, table, frozenset(files), names, frozenset(broken), folder)


def _real(path: Path) -> str:
    return printable(os.path.realpath(path))


def _set_aside(out: Path, overwrite: bool) -> None:
    """Keep the results of an earlier command until this one has a row of its own."""
    if not overwrite:
        raise FetalTFError(
            f"{out}: holds {TABLE} already. Use --resume to go on with it, --overwrite to begin "
            "anew, or another folder."
        )
    for name in (SETTINGS, JSON, TABLE):  # the table last: it tells what was put aside
        if (out / name).exists():
            os.replace(out / name, _aside(out, name))


def _put_back(out: Path) -> None:
    """The earlier results are the folder's again; also those of a command that was killed."""
    if _aside(out, TABLE).exists():
        for name in (TABLE, JSON, SETTINGS):
            if _aside(out, name).exists():
                os.replace(_aside(out, name), out / name)


def _forget(out: Path, table: GrowingTable) -> None:
    """Remove the earlier results, and those of their pictures that no row has now."""
    old = _aside(out, TABLE)
    if not old.exists():
        return
    kept = {Path(row["overlay"]).name for row in table.rows()}
    with suppress(DataError):  # a table that cannot be read names no pictures
        for row in read_table(old, ["overlay"]):
            name = Path(row.text("overlay")).name
            if name and name not in kept:
                (out / OVERLAYS / name).unlink(missing_ok=True)
    for name in (SETTINGS, JSON, TABLE):
        _aside(out, name).unlink(missing_ok=True)


def _aside(out: Path, name: str) -> Path:
    return out / f"{name}.before"


def _has_rows(table: Path) -> bool:
    """Whether a table is there with a line under its header."""
    try:
        with table.open("rb") as file:
            return len(list(itertools.islice(file, 2))) == 2
    except OSError:
        return False
