"""The audit of a table of OFD and BPD ends: which rows are good, repairable or wrong, and why.

Layout::

    ROOT/landmarks/role_challenge_dataset_ground_truth.csv     or any other single CSV there
    ROOT/hc18/training_set/010_HC.png …                        HC18, where it is there

Each row is judged by its own geometry (`fetal_tf.data.readers.landmark_labels`) and, where HC18
has an annotation of its image, compared with that ellipse.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from fetal_tf.data.audit.audit import AUDITS, Audit, Extremes
from fetal_tf.data.audit.frame import AuditedFrame, Check, Finding, check_frame
from fetal_tf.data.fingerprint import look_at
from fetal_tf.data.readers.ellipse_annotation import load_ellipse
from fetal_tf.data.readers.hc18_files import ANNOTATION_ENDING, IMAGE_FOLDER, group_of
from fetal_tf.data.readers.landmark_labels import FAR_SHARE, judge, judge_against
from fetal_tf.data.readers.landmark_table import END_COLUMNS, IMAGE_COLUMN, row_points
from fetal_tf.data.readers.landmarks import IMAGE_ROOT, TABLE_FOLDER, TABLE_NAME
from fetal_tf.edge.errors import DataError
from fetal_tf.edge.geometry.ellipse import Ellipse
from fetal_tf.edge.geometry.landmarks import LANDMARKS
from fetal_tf.edge.io.foreign_text import as_cell
from fetal_tf.edge.io.tables import TableRow, plain_name, read_table

# (height, width) that is assumed where the image is not there: almost all of HC18's have it.
USUAL_SHAPE = (540, 800)
REPAIRED_NAME = "repaired.csv"
_EXTREMES: Extremes = {"ellipse_distance_percent": "highest"}


@dataclass
class _Row:
    """A row of the table, and what it becomes.

    Attributes:
        row: the table's.
        image: its path, which need not be there; None where the row names none.
        repaired: [4, 2], the row's points under the right names in canonical order; None where the
            row is wrong.
    """

    row: TableRow
    image: Path | None
    repaired: np.ndarray | None = None


@AUDITS.register("landmarks")
def audit_landmarks(root: Path) -> Audit:
    """Judge every row of the table below `root`; faults are findings and stop nothing.

    The audit's `tables` hold `repaired.csv`: the input's columns, rows that are good or could be
    repaired, the longer axis as OFD and the ends in canonical order. Of several usable rows of one
    image the first is kept.

    Raises:
        DataError: there is no table, there are several, or it lacks a column.
    """
    table = _locate(Path(root))
    folder = Path(root) / IMAGE_ROOT / IMAGE_FOLDER
    table_rows = read_table(table, (IMAGE_COLUMN, *END_COLUMNS))
    bar = tqdm(table_rows, "audit landmarks", unit="row", disable=None, leave=False)
    audited = []
    for table_row in bar:
        name = table_row.text(IMAGE_COLUMN)
        row = _Row(table_row, folder / Path(name).name if name else None)
        frame = AuditedFrame(
            name or table_row.place,
            doubt="repairable",
            group=group_of(Path(name).stem) if name else None,
            axes=np.full((len(LANDMARKS), 2), np.nan),
        )
        check_frame(frame, row, _CHECKS, folder)
        audited.append((frame, row))
    _refuse_second_rows(audited)
    repaired = _repaired(_header(table), audited)
    return Audit(
        [frame for frame, _ in audited], extremes=_EXTREMES, tables={REPAIRED_NAME: repaired}
    )


def _check_image(frame: AuditedFrame, row: _Row) -> Iterator[Finding]:
    """Look at image and annotation where they are there; HC18's own audit tells their faults."""
    frame.traits |= {"image": "no image", "judged_by": "geometry"}
    if row.image is None:
        yield Finding("no_name", f"{row.row.place}: no {IMAGE_COLUMN}", wrong=True)
        return
    if row.image.is_file():
        with suppress(DataError):
            frame.traits["image"] = "unreadable"
            frame.look = look_at(row.image)
            frame.image = row.image
            frame.traits["image"] = "there"
    annotation = row.image.with_name(f"{row.image.stem}{ANNOTATION_ENDING}.png")
    if annotation.is_file():
        with suppress(DataError):
            frame.ellipses = {"annotation": load_ellipse(annotation)[0]}
            frame.traits["judged_by"] = "geometry and ellipse"


def _check_ends(frame: AuditedFrame, row: _Row) -> Iterator[Finding]:
    points = frame.axes = row_points(row.row)
    verdict = judge(points, frame.look.shape if frame.look else USUAL_SHAPE)
    row.repaired = verdict.repaired
    for code, sentence in verdict.reasons:
        yield Finding(code, sentence, wrong=verdict.verdict == "wrong")
    lengths_px = np.linalg.norm(points[1::2] - points[::2], axis=1)
    frame.measures["long_axis_px"] = float(lengths_px.max())
    frame.measures["short_axis_px"] = float(lengths_px.min())
    for ellipse in frame.ellipses.values():
        share = judge_against(points, ellipse)
        frame.measures["ellipse_distance_percent"] = 100 * share
        if share >= FAR_SHARE:
            yield Finding(
                "far_from_ellipse",
                f"its ends lie {100 * share:.0f} % of the head's size from those of the annotated "
                f"ellipse, less than {100 * FAR_SHARE:.0f} is expected",
                wrong=True,
            )
        elif verdict.repaired is not None and _lies_across(verdict.repaired, ellipse):
            yield Finding(
                "across_ellipse",
                "its longer axis lies along the short axis of the annotated ellipse",
                wrong=True,
            )


def _lies_across(points: np.ndarray, ellipse: Ellipse) -> bool:
    """Whether the first axis of the points is nearer in direction to the ellipse's short axis."""
    along = points[1] - points[0]
    of_long, of_short = (
        abs(along @ (ends[1] - ends[0])) / np.linalg.norm(ends[1] - ends[0])
        for ends in (ellipse.major_endpoints, ellipse.minor_endpoints)
    )
    return bool(of_short > of_long)


_CHECKS: tuple[Check[_Row], ...] = (("image", _check_image), ("unreadable", _check_ends))


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


def _refuse_second_rows(audited: Sequence[tuple[AuditedFrame, _Row]]) -> None:
    """Of several usable rows of an image, make all but the first wrong."""
    first: dict[str, TableRow] = {}
    for frame, row in audited:
        if frame.verdict == "wrong":
            row.repaired = None
        elif (kept := first.setdefault(frame.file, row.row)) is not row.row:
            sentence = f"{kept.place} has {frame.file} already"
            frame.findings += (Finding("two_rows", sentence, wrong=True),)
            row.repaired = None


def _header(table: Path) -> list[str]:
    """Names of the columns as the file spells them; `read_table` has seen that they are there."""
    with table.open(encoding="utf-8-sig", newline="") as file:
        return [name.strip() for name in next(csv.reader(file))]


def _repaired(header: Sequence[str], audited: Iterable[tuple[AuditedFrame, _Row]]) -> str:
    """The table of usable rows; numbers stay as the input writes them, they only move."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    for frame, row in audited:
        if row.repaired is not None and frame.axes is not None:
            moved = _moved_cells(row.row, frame.axes, row.repaired)
            plain = [plain_name(name) for name in header]
            writer.writerow([as_cell(moved.get(name, row.row.text(name))) for name in plain])
    return buffer.getvalue()


def _moved_cells(row: TableRow, given: np.ndarray, repaired: np.ndarray) -> Mapping[str, str]:
    """Cells of the four ends after the repair, by column."""
    cells = {}
    for name, point in zip(LANDMARKS, repaired, strict=True):
        source = LANDMARKS[int(np.flatnonzero((given == point).all(axis=1))[0])]
        for axis in "xy":
            cells[f"{name}_{axis}"] = row.text(f"{source}_{axis}")
    return cells
