"""A CSV that grows by whole rows: what was appended is there, whatever ends the process."""

import csv
import errno
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fetal_tf.edge.errors import DataError
from fetal_tf.edge.io.files import replaced_atomically, unwritable, write_text_atomic
from fetal_tf.edge.io.foreign_text import as_cell, of_cell, printable


@dataclass
class GrowingTable:
    """A table on disk. Its rows are in the file alone, so that a long one takes no memory.

    A row is one line of the file: texts are made `printable`, so that none has a line end.

    Attributes:
        path: the file.
        columns: its header.
        count: how many rows it has.
    """

    path: Path
    columns: tuple[str, ...]
    count: int = 0

    @classmethod
    def begin(cls, path: Path, columns: Sequence[str]) -> "GrowingTable":
        """A new table without rows, in place of what is there.

        Raises:
            FetalTFError: it cannot be written.
        """
        write_text_atomic(path, _line(columns))
        return cls(path, tuple(columns))

    @classmethod
    def reopen(cls, path: Path, columns: Sequence[str]) -> "GrowingTable":
        """The table in a file, to append to. A row that was cut off while it was written is gone.

        Raises:
            DataError: it cannot be read, has other columns, or a row of another length.
        """
        table = cls(path, tuple(columns))
        table.count = sum(1 for _ in table.rows())
        size, whole = path.stat().st_size, _whole_bytes(path)
        if whole < size:
            os.truncate(path, whole)
        return table

    def rows(self) -> Iterator[dict[str, str]]:
        """The rows in the file, as texts by column, but for one that is not whole.

        Raises:
            DataError: it cannot be read, has other columns, or a row of another length.
        """
        try:
            with self.path.open(encoding="utf-8", newline="") as file:
                lines = csv.reader((line for line in file if line.endswith("\n")), strict=True)
                if next(lines, None) != list(self.columns):
                    raise DataError(f"{self.path}: has other columns than this command writes")
                for number, cells in enumerate(lines, start=2):
                    if len(cells) != len(self.columns):
                        raise DataError(
                            f"{self.path}: line {number} has {len(cells)} cells, "
                            f"{len(self.columns)} are expected"
                        )
                    yield dict(zip(self.columns, map(of_cell, cells), strict=True))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"{self.path}: cannot be gone on with: {error}") from error

    def keep(self, wanted: Callable[[Mapping[str, str]], bool]) -> None:
        """Take out the rows that are not wanted; the file is replaced whole.

        Raises:
            FetalTFError: it cannot be read or written.
        """
        if all(map(wanted, self.rows())):
            return
        count = 0
        with (
            replaced_atomically(self.path) as temporary,
            temporary.open("w", encoding="utf-8", newline="") as file,
        ):
            file.write(_line(self.columns))
            for row in self.rows():
                if wanted(row):
                    file.write(_line(as_cell(row[name]) for name in self.columns))
                    count += 1
        self.count = count

    def append(self, row: Mapping[str, float | str | None]) -> None:
        """Add a row; it is on the disk when this returns. Missing cells are empty.

        Floats get 6 digits: a thousandth of a millimetre; more would be false precision.

        Raises:
            FetalTFError: it cannot be written; the file is as it was before.
        """
        line = _line(as_cell(_text(row.get(name))) for name in self.columns).encode()
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
        self.count += 1


def _whole_bytes(path: Path) -> int:
    """How many bytes of a file lie before its last line end, and with it."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - io.DEFAULT_BUFFER_SIZE)
            file.seek(start)
            if (last := file.read(end - start).rfind(b"\n")) >= 0:
                return start + last + 1
            end = start
    return 0


def _text(value: float | str | None) -> str:
    if value is None:
        return ""
    return str(float(f"{value:.6g}")) if isinstance(value, float) else printable(str(value))


def _line(cells: Iterable[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
