"""Read the CSV of a dataset: lines as text, each value is checked where it is used."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fetal_tf.edge.errors import DataError
from fetal_tf.edge.io.pixel_sizes import MM_PER_PIXEL_RANGE


@dataclass(frozen=True)
class TableRow:
    """One line of a CSV.

    Attributes:
        table: the file.
        line: its number in the file, the header is line 1.
        cells: text by column name, as `_plain` spells it.
        overfull: something stood beyond the last column.
    """

    table: Path
    line: int
    cells: Mapping[str, str]
    overfull: bool

    @property
    def place(self) -> str:
        """File name and line, to begin a message with."""
        return f"{self.table.name}, line {self.line}"

    def text(self, column: str) -> str:
        """The cell under `column`, without blanks around it; empty where there is none."""
        return self.cells.get(_plain(column), "")

    def number(self, column: str, positive: bool = False) -> float:
        """The cell under `column` as a finite number, where asked for above zero.

        Raises:
            DataError: it is none, or the line has more cells than the header.
        """
        if self.overfull:
            raise DataError(f"{self.place}: more cells than columns; are there decimal commas?")
        text = self.text(column)
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or (positive and value <= 0):
            kind = "a positive number" if positive else "a number"
            raise DataError(f"{self.place}: {column!r} is {text!r}, {kind} is expected")
        return value

    def mm_per_pixel(self, column: str) -> float:
        """The pixel size under `column`; raises DataError outside MM_PER_PIXEL_RANGE."""
        mm_per_pixel = self.number(column, positive=True)
        least, most = MM_PER_PIXEL_RANGE
        if not least <= mm_per_pixel <= most:
            raise DataError(
                f"{self.place}: {column!r} is {mm_per_pixel:g}, from {least:g} to {most:g} mm are "
                "plausible"
            )
        return mm_per_pixel


def read_table(path: Path, columns: Sequence[str]) -> list[TableRow]:
    """Read a CSV in UTF-8 with a header; empty lines, a byte-order mark and blanks are ignored.

    Names of columns are compared without blanks, in small letters.

    Args:
        path: the file.
        columns: those that must be there, each once; others are read too.

    Raises:
        DataError: the file cannot be read as a CSV, or lacks one of `columns`.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = [[cell.strip() for cell in line] for line in csv.reader(file)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a CSV in UTF-8: {error}. Save it as UTF-8 text.") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from error
    header = [_plain(name) for name in lines[0]] if lines else []
    for column in columns:
        if header.count(_plain(column)) != 1:
            raise DataError(
                f"{path}: one column {column!r} is expected, found {header.count(_plain(column))} "
                f"in: {','.join(lines[0]) if lines else 'an empty file'}. Columns are separated by "
                "commas."
            )
    return [
        TableRow(
            path,
            number,
            dict(zip(header, cells, strict=False)),
            overfull=any(cells[len(header) :]),
        )
        for number, cells in enumerate(lines[1:], start=2)
        if any(cells)
    ]


def _plain(name: str) -> str:
    return "".join(name.split()).lower()
