"""A CSV that grows by whole rows: what was appended is there, whatever ends the process."""

import csv
import errno
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fetal_tf.edge.errors import DataError
from fetal_tf.edge.io.files import unwritable, write_text_atomic
from fetal_tf.edge.io.foreign_text import as_cell, of_cell, printable


@dataclass(frozen=True)
class GrowingTable:
    """A table on disk and its rows.

    A row is one line of the file: texts are made `printable`, so that none has a line end.

    Attributes:
        path: the file.
        columns: its header.
        rows: all rows in the file, as texts by column.
    """

    path: Path
    columns: tuple[str, ...]
    rows: list[dict[str, str]]

    @classmethod
    def begin(cls, path: Path, columns: Sequence[str]) -> "GrowingTable":
        """A new table without rows, in place of what is there.

        Raises:
            FetalTFError: it cannot be written.
        """
        write_text_atomic(path, _line(columns))
        return cls(path, tuple(columns), [])

    @classmethod
    def reopen(cls, path: Path, columns: Sequence[str]) -> "GrowingTable":
        """The table in a file, to append to. A row that was cut off while it was written is gone.

        Raises:
            DataError: it cannot be read, has other columns, or a row of another length.
        """
        try:
            data = path.read_bytes()
            whole = data[: data.rfind(b"\n") + 1]
            lines = list(csv.reader(io.StringIO(whole.decode(), newline=""), strict=True))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"{path}: cannot be gone on with: {error}") from error
        if not lines or lines[0] != list(columns):
            raise DataError(f"{path}: has other columns than this command writes")
        for number, cells in enumerate(lines[1:], start=2):
            if len(cells) != len(columns):
                raise DataError(
                    f"{path}: line {number} has {len(cells)} cells, {len(columns)} are expected"
                )
        if len(whole) < len(data):
            os.truncate(path, len(whole))
        rows = [dict(zip(columns, map(of_cell, cells), strict=True)) for cells in lines[1:]]
        return cls(path, tuple(columns), rows)

    def append(self, row: Mapping[str, float | str | None]) -> None:
        """Add a row; it is on the disk when this returns. Missing cells are empty.

        Floats get 6 digits: a thousandth of a millimetre; more would be false precision.

        Raises:
            FetalTFError: it cannot be written; the file is as it was before.
        """
        texts = {name: _text(row.get(name)) for name in self.columns}
        line = _line(as_cell(text) for text in texts.values()).encode()
        try:
            with self.path.open("rb+", buffering=0) as file:
                end = file.seek(0, os.SEEK_END)
                try:
                    if file.write(line) < len(line):
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                    os.fsync(file.fileno())
                except BaseException:
                    with suppress(OSError):
                        file.truncate(end)
                    raise
        except OSError as error:
            raise unwritable(self.path, error) from error
        self.rows.append(texts)


def _text(value: float | str | None) -> str:
    if value is None:
        return ""
    return str(float(f"{value:.6g}")) if isinstance(value, float) else printable(str(value))


def _line(cells: Iterable[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
