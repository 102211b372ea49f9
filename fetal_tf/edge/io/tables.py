"""Reads a CSV: lines as text; each value is checked where it is used."""

import csv
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fetal_tf.edge.errors import DataError
from fetal_tf.edge.io.files import is_stream
from fetal_tf.edge.io.foreign_text import of_cell, plain_float

MAX_ROWS = 100_000  # a table has a row a frame; the largest data set of this kind has 12 400


@dataclass(frozen=True)
class TableRow:
    """One line of a CSV.

    Attributes:
        table: the file.
        line: its number in the file, the header is line 1.
        cells: text by column name, as `plain_name` spells it.
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
        """The text under `column`, without blanks around it; empty where there is none."""
        return of_cell(self.cells.get(plain_name(column), ""))

    def number(self, column: str, positive: bool = False) -> float:
        """The cell under `column` as a finite number, where asked for above zero.

        Raises:
            DataError: it is none, or the line has more cells than the header.
        """
        if self.overfull:
            raise DataError(f"{self.place}: more cells than columns; are there decimal commas?")
        text = self.text(column)
        try:
            value = plain_float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or (positive and value <= 0):
            kind = "a positive number" if positive else "a number"
            comma = ", with a decimal point" if "," in text else ""
            raise DataError(f"{self.place}: {column!r} is {text!r}, {kind} is expected{comma}")
        return value


def read_table(path: Path, columns: Sequence[str]) -> list[TableRow]:
    """Read a CSV in UTF-8 with a header; empty lines, a byte-order mark and blanks are ignored.

    Names of columns are compared without blanks, in small letters.

    Args:
        path: the file.
        columns: those that must be there, each once; others are read too.

    Raises:
        DataError: the file cannot be read as a CSV, or lacks one of `columns`.
    """
    header, rows = read_header_and_rows(path)
    plain = [plain_name(name) for name in header]
    for column in columns:
        if plain.count(plain_name(column)) != 1:
            raise DataError(
                f"{path}: one column {column!r} is expected, found "
                f"{plain.count(plain_name(column))} in: {','.join(header) or 'an empty file'}. "
                "Columns are separated by commas."
            )
    return rows


def read_header_and_rows(path: Path) -> tuple[list[str], list[TableRow]]:
    """The header as it is written, and the rows; for tables whose columns have several spellings.

    Raises:
        DataError: the file cannot be read as a CSV, or has more than MAX_ROWS rows.
    """
    if is_stream(path):
        raise DataError(f"{path}: a pipe or a device; save the table as a file.")
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            filled = ((reader.line_num, cells) for cells in _stripped(reader) if any(cells))
            lines = list(itertools.islice(filled, MAX_ROWS + 2))
    except csv.Error as error:
        raise DataError(
            f"{path}: not a CSV: {error}, near line {reader.line_num}. Is a quotation mark open?"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a CSV in UTF-8: {error}. Save it as UTF-8 text.") from error
    except IsADirectoryError as error:
        raise DataError(f"{path}: a folder; a CSV file is expected.") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}.") from error
    if not lines:
        return [], []
    if len(lines) > MAX_ROWS + 1:
        raise DataError(
            f"{path}: more than {MAX_ROWS} rows; a row a frame is expected. Is it another table?"
        )
    (_, header), *rest = lines
    names = [plain_name(name) for name in header]
    return header, [
        TableRow(
            Path(path),
            number,
            dict(zip(names, cells, strict=False)),
            overfull=any(cells[len(names) :]),
        )
        for number, cells in rest
    ]


def _stripped(lines: Iterable[list[str]]) -> Iterator[list[str]]:
    return ([cell.strip() for cell in line] for line in lines)


def plain_name(name: str) -> str:
    """A column's name without blanks, in small letters: how names are compared."""
    return "".join(name.split()).lower()
