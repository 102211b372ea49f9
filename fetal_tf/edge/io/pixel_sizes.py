"""Reads pixel sizes: one number, or a table by file. There is no default."""

import math
import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fetal_tf.edge.errors import DataError
from fetal_tf.edge.io.foreign_text import plain_float
from fetal_tf.edge.io.tables import TableRow, plain_name, read_header_and_rows

USUAL_MM_PER_PIXEL = (0.02, 0.5)  # HC18 and a second centre have 0.049 to 0.393
MM_PER_PIXEL_RANGE = (0.01, 2.0)  # pixels per mm, written by mistake, are 2 to 50

_FILE_COLUMNS = ("filename", "file_name", "file", "image_name", "image", "label", "path")
_MM = {"mm": 1.0, "cm": 10.0, "um": 1e-3, "µm": 1e-3, "μm": 1e-3, "m": 1e3}  # both letters mu
_UNIT = f"(?P<unit>{'|'.join(_MM)})"
# Names of columns without blanks, brackets, dashes and underscores.
_PIXEL_SIZE = re.compile(
    f"(pixel|px)(size|spacing)(in)?{_UNIT}|(pixel|px)in{_UNIT.replace('unit', 'unit2')}|"
    f"{_UNIT.replace('unit', 'unit3')}(per|/)(pixel|px)|pxto(?P<unit4>mm)rate"
)
_LIKE_A_PIXEL_SIZE = re.compile("(pixel|px)(size|spacing)|(per|/)(pixel|px)|pxto")


def parse_mm_per_pixel(text: str) -> float:
    """Millimetres per pixel from text; ValueError where it is not a number from 0.01 to 2."""
    return _plausible(text, 1.0)


def check_plausible(mm_per_pixel: float | None) -> None:
    """Raise a ValueError where a pixel size is neither None nor a number from 0.01 to 2 mm."""
    if mm_per_pixel is None:
        return
    if isinstance(mm_per_pixel, str):
        raise ValueError(f"a number of millimetres per pixel is expected, not {mm_per_pixel!r}")
    _plausible(str(mm_per_pixel), 1.0)


def row_mm_per_pixel(row: TableRow, column: str, unit_mm: float = 1.0) -> float:
    """The pixel size under a column of a table, mm.

    Args:
        row: a line of the table.
        column: where the pixel size stands.
        unit_mm: the column's unit in mm.

    Raises:
        DataError: it is no number from 0.01 to 2 mm, or the line has more cells than the header.
    """
    row.number(column, positive=True)
    try:
        return _plausible(row.text(column), unit_mm)
    except ValueError as error:
        raise DataError(f"{row.place}: {column!r}: {error}") from error


def _plausible(text: str, unit_mm: float) -> float:
    least, most = MM_PER_PIXEL_RANGE
    try:
        value = plain_float(text) * unit_mm
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise ValueError(
            f"millimetres per pixel from {least:g} to {most:g} are expected, not {text!r} "
            + (f"(that is {value:g} mm; " if unit_mm != 1 else "(")
            + "ultrasound has about {:g} to {:g})".format(*USUAL_MM_PER_PIXEL)
        )
    return value


@dataclass(frozen=True)
class PixelSizes:
    """A table of pixel sizes.

    Attributes:
        table: the file.
        rows: by path as the table writes it: the line, and millimetres per pixel.
    """

    table: Path
    rows: Mapping[PurePosixPath, tuple[int, float]]

    def of(self, paths: Sequence[Path]) -> dict[Path, float]:
        """Millimetres per pixel of those files that the table knows.

        A row is for the file whose path ends as the row does: `P1/frame.png` serves
        `scans/P1/frame.png`, and `frame.png` serves it too, if no other file is called so. Of
        several rows that fit, the longest one counts. A row without a suffix fits any image.

        Raises:
            DataError: one row fits several files; names the row and the files.
        """
        served: dict[PurePosixPath, list[Path]] = defaultdict(list)
        for path in paths:
            row = self._row_of(path)
            if row is not None:
                served[row].append(path)
        for row, files in served.items():
            if len(files) > 1:
                raise DataError(
                    f"{self.table}: line {self.rows[row][0]} ({row}) fits {files[0]} and "
                    f"{files[1]}. Write the folder into the table, as "
                    f"{PurePosixPath(files[0].absolute().parent.name, files[0].name)}, or measure "
                    "the folders one by one."
                )
        return {files[0]: self.rows[row][1] for row, files in served.items()}

    def _row_of(self, path: Path) -> PurePosixPath | None:
        parts = Path(os.path.abspath(path)).parts
        for start in range(len(parts)):
            named = PurePosixPath(*parts[start:])
            for candidate in (named, named.with_suffix("")):
                if candidate in self.rows:
                    return candidate
        return None


def read_pixel_sizes(path: Path) -> PixelSizes:
    """Read a table of pixel sizes by file, as HC18's and other datasets' have them.

    One column names the files: `filename`, `file`, `image_name`, `image`, `label` or `path`. One
    column gives the pixel size with its unit: `pixel size(mm)`, `Pixel in mm`, `mm_per_pixel`,
    `px_to_mm_rate`, or the same in cm, µm or m. Case, blanks and underscores do not matter. Other
    columns are ignored, but not a second one that could be the pixel size.

    Raises:
        DataError: unreadable, a column missing, without a unit or there twice, a value outside
            0.01 to 2 mm, or a file with two different values; names the file and its line.
    """
    header, rows = read_header_and_rows(path)
    file_column = _only_file_column(path, header)
    column, unit_mm = _only_pixel_size_column(path, header)
    sizes: dict[PurePosixPath, tuple[int, float]] = {}
    for row in rows:
        name = row.text(file_column)
        if not name:
            raise DataError(f"{path}: line {row.line} names no file under {file_column!r}")
        size = row_mm_per_pixel(row, column, unit_mm)
        key = PurePosixPath(name.replace("\\", "/"))
        line, known = sizes.setdefault(key, (row.line, size))
        if known != size:
            raise DataError(
                f"{path}: line {row.line}: {name} has {size:g} mm here, {known:g} mm in line {line}"
            )
    return PixelSizes(Path(path), sizes)


def _only_file_column(path: Path, header: Sequence[str]) -> str:
    found = [name for name in header if plain_name(name) in _FILE_COLUMNS]
    if len(found) != 1:
        raise DataError(
            f"{path}: one column that names the files is expected ({', '.join(_FILE_COLUMNS)}), "
            f"found {_listed(found or header)}. Columns are separated by commas."
        )
    return found[0]


def _only_pixel_size_column(path: Path, header: Sequence[str]) -> tuple[str, float]:
    """The column of the pixel size, and its unit in mm."""
    bare = {name: re.sub(r"[\s_\-()\[\]]", "", name.lower()) for name in header}
    known = {name: match for name in header if (match := _PIXEL_SIZE.fullmatch(bare[name]))}
    alike = [name for name in header if name in known or _LIKE_A_PIXEL_SIZE.search(bare[name])]
    if len(alike) > 1:
        raise DataError(
            f"{path}: {_listed(alike)} could each be the pixel size; keep one, the height of a "
            "pixel, and call it 'pixel size(mm)'"
        )
    if not known:
        raise DataError(
            f"{path}: a column 'pixel size(mm)' is expected, or one in cm, µm or m, found "
            f"{_listed(alike or header)}"
        )
    ((name, match),) = known.items()
    return name, _MM[next(unit for unit in match.groupdict().values() if unit)]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names) or "an empty file"
