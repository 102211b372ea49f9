"""HC18's images with OFD and BPD ends: of a table, of the table repaired, or of HC18's ellipses.

Layout::

    ROOT/landmarks/role_challenge_dataset_ground_truth.csv     or any other single CSV there
    ROOT/hc18/training_set/010_HC.png …                        HC18, see `hc18.py`

The table has the columns of `fetal_tf.data.readers.landmark_table`. Its labels are noisy: in the
published one the pair called OFD is the short axis, and three rows in ten do not lie on the head.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from fetal_tf.data.readers.frames import read_frames
from fetal_tf.data.readers.hc18 import read_hc18
from fetal_tf.data.readers.landmark_labels import judge
from fetal_tf.data.readers.landmark_table import (
    IMAGE_COLUMN,
    only_row,
    read_landmark_rows,
    row_points,
    without_wrong_rows,
)
from fetal_tf.data.readers.registry import DATASETS
from fetal_tf.data.sample import Sample
from fetal_tf.edge.errors import DataError
from fetal_tf.edge.io.images import image_size
from fetal_tf.edge.io.tables import TableRow

TABLE_FOLDER, TABLE_NAME = "landmarks", "role_challenge_dataset_ground_truth.csv"
IMAGE_ROOT = "hc18"
Labels = Literal["noisy", "repaired", "clean"]


@DATASETS.register("landmarks")
def read_landmarks(
    root: Path,
    *,
    exclude: Sequence[str] = (),
    labels: Labels = "noisy",
    table: str | None = None,
) -> list[Sample]:
    """Read the frames that the table names, sorted by id; all but the landmarks is HC18's.

    Args:
        root: the folder that holds `landmarks/` and `hc18/`.
        exclude: ids (file names without suffix) to leave out before anything of them is checked;
            an id that is not there is no error, so that one config serves several copies.
        labels: `noisy`: the table as it is, with its names and order of the ends;
            `repaired`: the longer axis as OFD, ends in canonical order, rows that cannot be the
            axes of a head left out, which a warning counts; HC18's annotations are not looked at;
            `clean`: the ends of HC18's ellipses for the images of the table.
        table: another CSV, a path below `landmarks/` or any other path.

    Raises:
        DataError: a folder or the table is missing, HC18 has faults, or some rows have; then the
            first five are named with their cause, and the way to leave them out.
    """
    path = _locate(Path(root), table)
    rows = read_landmark_rows(path)
    ids = rows.keys() - set(exclude)
    if not ids:
        raise DataError(f"{path}: no row is left; {len(rows)} images, all in `data.exclude`.")
    frames = {sample.id: sample for sample in read_hc18(root / IMAGE_ROOT, exclude=exclude)}
    wrong: dict[str, str] = {}

    def read(id: str) -> Sample:
        frame = _frame(frames, id, only_row(rows[id]))
        if labels == "clean":
            return frame
        points = row_points(rows[id][0])
        if labels == "noisy":
            return replace(frame, load_landmarks=_given(points))
        verdict = judge(points, image_size(frame.image_path))
        if verdict.repaired is None:
            wrong[id] = verdict.reasons[0][1]
            return frame
        return replace(frame, load_landmarks=_given(verdict.repaired))

    samples = read_frames(path, ids, read)
    return without_wrong_rows(samples, wrong, path, " (data.options.labels: repaired)")


def _frame(frames: Mapping[str, Sample], id: str, row: TableRow) -> Sample:
    """HC18's sample for a row."""
    name = row.text(IMAGE_COLUMN)
    if id not in frames or frames[id].image_path.name != name:
        raise DataError(f"{row.place}: no image {name} in {IMAGE_ROOT}/")
    return frames[id]


def _given(points: np.ndarray) -> Callable[[], np.ndarray]:
    """A function that can be sent to another process and gives a copy of `points`."""
    return functools.partial(np.array, points)


def _locate(root: Path, table: str | None) -> Path:
    """The table, or a DataError that says what to name instead."""
    folder = root / TABLE_FOLDER
    if not (root / IMAGE_ROOT).is_dir():
        parent_does = (root.parent / IMAGE_ROOT).is_dir()
        hint = f" Its parent does: `data.root: {root.parent}`." if parent_does else ""
        raise DataError(
            f"data.root: {root} holds no {IMAGE_ROOT}/; expected the folder that holds "
            f"{TABLE_FOLDER}/{TABLE_NAME} and HC18 in {IMAGE_ROOT}/.{hint}"
        )
    if table is not None:
        for path in (folder / table, Path(table)):
            if path.is_file():
                return path
        raise DataError(f"data.options.table: neither {folder / table} nor {table} is a file")
    found = sorted(path for path in folder.glob("*.csv") if not path.name.startswith("."))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise DataError(
            f"{folder}: one CSV is expected, for example {TABLE_NAME}, found: {names}. "
            "`data.options.table` names another."
        )
    return found[0]
