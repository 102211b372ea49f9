"""Tables of OFD and BPD ends: a row an image, four points in pixels of that image.

Columns `image_name,ofd_1_x,ofd_1_y,ofd_2_x,ofd_2_y,bpd_1_x,bpd_1_y,bpd_2_x,bpd_2_y`, and others.
"""

import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fetal_tf.data.sample import Sample
from fetal_tf.edge.errors import DataError
from fetal_tf.edge.geometry.landmarks import LANDMARKS
from fetal_tf.edge.io.tables import TableRow, read_table

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
    return np.array([row.number(column) for column in END_COLUMNS]).reshape(len(LANDMARKS), 2)


def without_wrong_rows(
    samples: Sequence[Sample], wrong: Mapping[str, str], table: Path, why: str = ""
) -> list[Sample]:
    """Leave out the samples whose rows cannot be the axes of a head, and warn of them.

    Args:
        samples: of all rows.
        wrong: what is wrong, by id.
        table: of the rows, for the message.
        why: the option that leaves them out, for the message.

    Raises:
        DataError: none is left.
    """
    kept = [sample for sample in samples if sample.id not in wrong]
    if wrong:
        first = min(wrong)
        doubt = (
            f"{table}: {len(wrong)} of {len(samples)} rows cannot be the axes of a head and are "
            f"left out{why}: {first} ({wrong[first]})"
            + (f" and {len(wrong) - 1} more." if len(wrong) > 1 else ".")
        )
        if not kept:
            raise DataError(doubt)
        warnings.warn(doubt, stacklevel=3)
    return kept
