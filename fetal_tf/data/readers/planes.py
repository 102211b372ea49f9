"""Head planes of a second centre: other hospitals and machines, experts' OFD and BPD ends.

Layout::

    ROOT/images/Patient00752_Plane3_2_of_3.png      a frame of subject 752; sizes differ
    ROOT/Head.csv                                   image_name, the four ends in px, SubjectID,
                                                    px_to_mm_rate (mm per pixel)

The head is the ellipse through its four ends. Images that the table does not name are not read.

Source: images of Burgos-Artizzu et al. 2020, Zenodo 3904280, landmarks of Di Vece et al. 2025,
arXiv 2512.16710 (CC BY 4.0 both).
"""

import functools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from fetal_tf.data.readers.frames import read_frames
from fetal_tf.data.readers.head_circumference import check_possible_head
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
from fetal_tf.edge.geometry.ellipse import Ellipse, rasterise
from fetal_tf.edge.geometry.landmarks import canonical, landmark_ellipse
from fetal_tf.edge.io.images import image_size
from fetal_tf.edge.io.pixel_sizes import row_mm_per_pixel
from fetal_tf.edge.io.tables import TableRow

IMAGE_FOLDER = "images"
TABLE_NAME = "Head.csv"
SUBJECT_COLUMN, PIXEL_SIZE_COLUMN = "SubjectID", "px_to_mm_rate"


@DATASETS.register("planes")
def read_planes(root: Path, *, exclude: Sequence[str] = ()) -> list[Sample]:
    """Read every frame that the table names, sorted by id; only headers are decoded.

    Landmarks keep their axes' names; ends 1 and 2 are put in canonical order. A row whose ends
    cannot be the axes of a head (`landmark_labels.judge`) is left out, and a warning names it.

    Args:
        root: the folder that holds `images/` and `Head.csv`.
        exclude: ids (file names without suffix) to leave out before anything of them is checked;
            an id that is not there is no error, so that one config serves several copies.

    Raises:
        DataError: the folder, the CSV or a column is missing, or some rows cannot be used; then the
            first five are named with their cause, and the way to leave them out.
    """
    folder, table = _locate(Path(root))
    rows = read_landmark_rows(table, (SUBJECT_COLUMN, PIXEL_SIZE_COLUMN))
    no_heads: dict[str, str] = {}

    def read(id: str) -> Sample:
        sample, fault = _sample(id, only_row(rows[id]), folder)
        if fault:
            no_heads[id] = fault
        return sample

    samples = read_frames(folder, rows, read, exclude=exclude)
    return without_wrong_rows(samples, no_heads, table)


def _locate(root: Path) -> tuple[Path, Path]:
    """The image folder and the CSV, or a DataError that says what is missing."""
    folder, table = root / IMAGE_FOLDER, root / TABLE_NAME
    expected = f"expected the folder that holds {IMAGE_FOLDER}/ and {TABLE_NAME}"
    if not root.is_dir():
        raise DataError(f"data.root: {root} is not a folder; {expected}.")
    if not folder.is_dir() or not table.is_file():
        missing = f"{IMAGE_FOLDER}/" if table.is_file() else TABLE_NAME
        places = [root.parent, *sorted(path.parent for path in root.glob(f"*/{TABLE_NAME}"))]
        right = [place for place in places if (place / TABLE_NAME).is_file()]
        hint = f" There is one in {right[0]}: `data.root: {right[0]}`." if right else ""
        raise DataError(f"data.root: {root} holds no {missing}; {expected}.{hint}")
    return folder, table


def _sample(id: str, row: TableRow, folder: Path) -> tuple[Sample, str | None]:
    """The checked sample, and why its ends are no head's axes; such a sample has no truth."""
    name = row.text(IMAGE_COLUMN)
    image = folder / Path(name).name
    if not image.is_file():
        raise DataError(f"{row.place}: no file {image}")
    subject = row.text(SUBJECT_COLUMN)
    if not subject:
        raise DataError(
            f"{row.place}: no {SUBJECT_COLUMN}; without it, frames of one subject cannot be kept "
            "together in a split"
        )
    mm_per_pixel = row_mm_per_pixel(row, PIXEL_SIZE_COLUMN)
    points, size = row_points(row), image_size(image)
    sample = Sample(id=id, image_path=image, group=subject, mm_per_pixel=mm_per_pixel)
    verdict = judge(points, size)
    if verdict.has("outside"):
        outside = dict(verdict.reasons)["outside"]
        raise DataError(f"{row.place}: {outside} {name}: another was annotated")
    if verdict.verdict == "wrong":
        return sample, f"{row.place}: {verdict.reasons[0][1]}"
    points = canonical(points)
    head = landmark_ellipse(points)
    check_possible_head(f"{row.place}, {name}", head.perimeter * mm_per_pixel)
    ofd_px, bpd_px = np.linalg.norm(points[1::2] - points[::2], axis=1).tolist()
    return replace(
        sample,
        load_mask=functools.partial(_inside, head, size),
        load_landmarks=functools.partial(np.array, points),
        reference={
            "hc_mm": head.perimeter * mm_per_pixel,
            "bpd_mm": bpd_px * mm_per_pixel,
            "ofd_mm": ofd_px * mm_per_pixel,
        },
    ), None


def _inside(head: Ellipse, size: tuple[int, int]) -> np.ndarray:
    """Pixels of the head, uint8 (height, width), 1 inside."""
    return rasterise(head, size).astype(np.uint8)
