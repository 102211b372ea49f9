"""Tables of OFD and BPD ends: a row an image, four points in pixels of that image.

Columns `image_name,ofd_1_x,ofd_1_y,ofd_2_x,ofd_2_y,bpd_1_x,bpd_1_y,bpd_2_x,bpd_2_y`, and others.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fetal_tf.data.readers.tables import TableRow, read_table
from fetal_tf.edge.errors import DataError
from fetal_tf.edge.geometry.landmarks import LANDMARKS

IMAGE_COLUMN = "image_name"
END_COLUMNS = tuple(f"{name}_{axis}" for name in LANDMARKS for axis in "xy")


def read_landmark_rows(table: Path, columns: Sequence[str] = ()) -> Mapping[str, list[TableRow]]:
    """Rows by id, the image's name without suffix; several of one id are all kept.

    Args:
        table: the CSV.
        columns: those that must be there besides the image's name and the ends.

    Raises:
        DataError: it cannot be read, lacks a column, or names no image in some line.
    """
    rows: dict[str, list[TableRow]] = defaultdict(list)
    for row in read_table(table, (IMAGE_COLUMN, *END_COLUMNS, *columns)):
        name = row.text(IMAGE_COLUMN)
        if not name:
            raise DataError(f"{table}, line {row.line}: no {IMAGE_COLUMN}")
        rows[Path(name).stem].append(row)
    return rows


def only_row(rows: Sequence[TableRow]) -> TableRow:
    """The one row of an image; DataError where there are several."""
    if len(rows) > 1:
        lines = ", ".join(str(row.line) for row in rows)
        name = rows[0].text(IMAGE_COLUMN)
        raise DataError(
            f"{rows[0].table.name} has {len(rows)} rows for {name}, lines {lines}; one expected"
        )
    return rows[0]


def row_points(row: TableRow) -> np.ndarray:
    """The four ends under the names and in the order of the row, float64 [4, 2] as (x, y) px.

    Raises:
        DataError: a cell is no finite number, or the line has more cells than the header.
    """
    if row.overfull:
        raise DataError(f"{row.place}: more cells than columns; are there decimal commas?")
    return np.array([_number(row, column) for column in END_COLUMNS]).reshape(len(LANDMARKS), 2)


def _number(row: TableRow, column: str) -> float:
    text = row.text(column)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{row.place}: {column!r} is {text!r}, a number is expected")
    return value
