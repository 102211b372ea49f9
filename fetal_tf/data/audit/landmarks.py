"""A table of OFD and BPD ends under audit: which rows are good, repairable or wrong, and why.

Layout::

    ROOT/landmarks/role_challenge_dataset_ground_truth.csv     or any other single CSV there
    ROOT/hc18/training_set/010_HC.png …                        HC18, where it is there

Each row is judged by its own geometry (`fetal_tf.data.readers.landmark_labels`) and, where HC18
has an annotation of its image, held against that ellipse.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from fetal_tf.data.audit.audit import Audit, Extremes
from fetal_tf.data.audit.landmark_row import AuditedRow, audit_row
from fetal_tf.data.audit.registry import AUDITS
from fetal_tf.data.readers.hc18_files import IMAGE_FOLDER
from fetal_tf.data.readers.landmark_table import END_COLUMNS, IMAGE_COLUMN
from fetal_tf.data.readers.landmarks import IMAGE_ROOT, TABLE_FOLDER, TABLE_NAME
from fetal_tf.data.readers.tables import TableRow, read_table
from fetal_tf.edge.errors import DataError
from fetal_tf.edge.geometry.landmarks import LANDMARKS

REPAIRED_NAME = "repaired.csv"
_EXTREMES: Extremes = {"ellipse_distance_percent": "highest"}


@AUDITS.register("landmarks")
def audit_landmarks(root: Path) -> Audit:
    """Judge every row of the table below `root`; what is broken is a finding, and stops nothing.

    The audit's `tables` hold `repaired.csv`: the input's columns, rows that are good or could be
    repaired, the longer axis as OFD and the ends in canonical order. Of several usable rows of one
    image the first is kept.

    Raises:
        DataError: there is no table, there are several, or it lacks a column.
    """
    table = _locate(Path(root))
    images = Path(root) / IMAGE_ROOT / IMAGE_FOLDER
    rows = read_table(table, (IMAGE_COLUMN, *END_COLUMNS))
    bar = tqdm(rows, "audit landmarks", unit="row", disable=None, leave=False)
    audited = _each_image_once([audit_row(row, images) for row in bar])
    return Audit(
        [row.frame for row in audited],
        extremes=_EXTREMES,
        tables={REPAIRED_NAME: _repaired(_header(table), audited)},
    )


def _locate(root: Path) -> Path:
    folder = root / TABLE_FOLDER
    found = sorted(path for path in folder.glob("*.csv") if not path.name.startswith("."))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        hint = f" Name its parent: --root {root.parent}." if root.name == TABLE_FOLDER else ""
        raise DataError(
            f"{folder}: one CSV is expected, for example {TABLE_NAME}, found: {names}.{hint}"
        )
    return found[0]


def _each_image_once(rows: Sequence[AuditedRow]) -> list[AuditedRow]:
    """The rows; of several usable ones of an image, all but the first have become wrong."""
    first: dict[str, TableRow] = {}
    checked = []
    for row in rows:
        if row.repaired is not None:
            kept = first.setdefault(row.frame.file, row.row)
            if kept is not row.row:
                row = row.refused("two_rows", f"{kept.place} has {row.frame.file} already")
        checked.append(row)
    return checked


def _header(table: Path) -> list[str]:
    """Names of the columns as the file spells them; `read_table` has seen that they are there."""
    with table.open(encoding="utf-8-sig", newline="") as file:
        return [name.strip() for name in next(csv.reader(file))]


def _repaired(header: Sequence[str], rows: Iterable[AuditedRow]) -> str:
    """The table of usable rows; numbers stay as the input writes them, they only move."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        if row.repaired is not None:
            moved = _moved_cells(row.row, row.given, row.repaired)
            plain = ["".join(name.split()).lower() for name in header]  # as `read_table` compares
            writer.writerow([moved.get(name, row.row.text(name)) for name in plain])
    return buffer.getvalue()


def _moved_cells(row: TableRow, given: np.ndarray, repaired: np.ndarray) -> Mapping[str, str]:
    """Cells of the four ends after the repair, by column."""
    cells = {}
    for name, point in zip(LANDMARKS, repaired, strict=True):
        source = LANDMARKS[int(np.flatnonzero((given == point).all(axis=1))[0])]
        for axis in "xy":
            cells[f"{name}_{axis}"] = row.text(f"{source}_{axis}")
    return cells
