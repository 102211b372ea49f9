"""Reads pixel sizes: one number, or a table by file name. There is no default."""

import csv
import math
from pathlib import Path

from fetal_tf.edge.errors import DataError

MM_PER_PIXEL_RANGE = (0.001, 10.0)  # ultrasound is about 0.02 to 0.5


def parse_mm_per_pixel(text: str) -> float:
    """Millimetres per pixel from text; ValueError where it is not a number from 0.001 to 10."""
    least, most = MM_PER_PIXEL_RANGE
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise ValueError(
            f"millimetres per pixel from {least:g} to {most:g} are expected, not {text!r} "
            "(ultrasound has about 0.02 to 0.5)"
        )
    return value


def read_pixel_sizes(path: Path) -> dict[str, float]:
    """Millimetres per pixel by file name, from a table in HC18's layout.

    The columns are `filename` and `pixel size(mm)`, or `Label` and `Pixel in mm` of the fetal head
    biometry dataset. Case and blanks do not matter, other columns are ignored.

    Raises:
        DataError: unreadable, a column missing, a value outside 0.001 to 10, or a name with two
            different values; names the file and the row.
    """
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file) if any(cell.strip() for cell in row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a table: {error}") from error
    header = ["".join(cell.lower().split()) for cell in rows[0]] if rows else []
    columns = [
        _column(header, start) for start in (("filename", "label"), ("pixelsize", "pixelin"))
    ]
    if None in columns:
        raise DataError(
            f"{path}: columns 'filename' and 'pixel size(mm)' are expected, found "
            f"{', '.join(rows[0]) if rows else 'an empty file'}"
        )
    return _by_name(path, rows[1:], *(column for column in columns if column is not None))


def _column(header: list[str], start: tuple[str, ...]) -> int | None:
    return next((i for i, name in enumerate(header) if name.startswith(start)), None)


def _by_name(path: Path, rows: list[list[str]], name_at: int, size_at: int) -> dict[str, float]:
    sizes: dict[str, float] = {}
    for number, row in enumerate(rows, start=2):
        if len(row) <= max(name_at, size_at):
            raise DataError(f"{path}: row {number} has {len(row)} cells: {row}")
        name = row[name_at].strip()
        try:
            size = parse_mm_per_pixel(row[size_at])
        except ValueError as error:
            raise DataError(f"{path}: row {number} ({name}): {error}") from error
        if sizes.setdefault(name, size) != size:
            raise DataError(f"{path}: row {number}: {name} has {size} here, {sizes[name]} above")
    return sizes
