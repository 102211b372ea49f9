"""HC18: 2D fetal heads with a caliper ellipse, a pixel size and a head circumference.

Layout::

    ROOT/training_set/010_HC.png                        a frame of examination 010
    ROOT/training_set/010_HC_Annotation.png             its ellipse: an outline, or filled
    ROOT/training_set/010_2HC.png …                     a second frame of that examination
    ROOT/training_set_pixel_size_and_HC.csv             filename, pixel size (mm), HC (mm)

Any data in this layout can be read; what stands before the first underscore is the group, so name
files ``PATIENT_FRAME.png``. `test_set/` comes without annotations and is not read.

Source: van den Heuvel et al. 2018, PLoS ONE 13(8):e0200412; Zenodo 1327317 (CC BY 4.0).
"""

import functools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fetal_tf.data import DATASETS
from fetal_tf.data.ellipse_annotation import (
    ANNOTATION_LINE_PX,
    load_ellipse_landmarks,
    load_ellipse_mask,
)
from fetal_tf.data.frames import only_path, read_frames
from fetal_tf.data.sample import Sample
from fetal_tf.data.tables import TableRow, read_table
from fetal_tf.edge.errors import DataError
from fetal_tf.edge.images import IMAGE_SUFFIXES, image_size

IMAGE_FOLDER = "training_set"
TABLE_NAME = "training_set_pixel_size_and_HC.csv"
ANNOTATION_ENDING = "_Annotation"
FILENAME_COLUMN, PIXEL_SIZE_COLUMN, HC_COLUMN = (
    "filename",
    "pixel size(mm)",
    "head circumference (mm)",
)


@DATASETS.register("hc18")
def read_hc18(
    root: Path, *, exclude: Sequence[str] = (), annotation_line_px: float = ANNOTATION_LINE_PX
) -> list[Sample]:
    """Read every annotated frame below `root`, sorted by id; only headers are decoded.

    A frame's landmarks are the ends of its annotated ellipse: the long axis as OFD, the short as
    BPD.

    Args:
        root: the folder that holds `training_set/` and its CSV.
        exclude: ids (file names without suffix) to leave out before anything of them is checked;
            an id that is not there is no error, so that one config serves several copies.
        annotation_line_px: width of the line that a *filled* annotation was filled from.

    Raises:
        DataError: the folder, the CSV or a column is missing, or some frames contradict each other;
            then the first five are named with their cause, and the way to leave them out.
    """
    folder, table = _locate(Path(root))
    rows = _read_table(table)
    files = _list_images(folder)
    ids = sorted((rows.keys() | files.images.keys() | files.annotations.keys()) - set(exclude))
    samples = read_frames(
        folder, ids, lambda id: _sample(id, rows.get(id, []), files, table, annotation_line_px)
    )
    if not samples:
        raise DataError(
            f"{folder}: no image is left; {len(rows)} rows in {table.name}, all in `data.exclude`."
        )
    return samples


@dataclass
class _Files:
    """Paths in the image folder by id; two files of one id are both kept, to be reported."""

    folder: Path
    images: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    annotations: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))


def _locate(root: Path) -> tuple[Path, Path]:
    """The image folder and the CSV, or a DataError that says which folder to name instead."""
    folder, table = root / IMAGE_FOLDER, root / TABLE_NAME
    if not root.is_dir():
        raise DataError(
            f"data.root: {root} is not a folder; expected the one that holds {IMAGE_FOLDER}/ and "
            f"{TABLE_NAME}. `python -m tools.download hc18 --root {root}` fetches it."
        )
    if not folder.is_dir():
        raise DataError(
            f"data.root: {root} holds no {IMAGE_FOLDER}/ folder. {_where_instead(root)}"
        )
    if not table.is_file():
        found = ", ".join(sorted(path.name for path in root.glob("*.csv"))) or "no CSV at all"
        raise DataError(
            f"{table}: missing (found: {found}). It gives each image its pixel size and HC: "
            "without it nothing can be measured in mm."
        )
    return folder, table


def _where_instead(root: Path) -> str:
    if (root.parent / IMAGE_FOLDER).is_dir() and root.name in (IMAGE_FOLDER, "test_set"):
        return f"Name its parent: `data.root: {root.parent}`."
    nested = sorted(path.parent for path in root.glob(f"*/{IMAGE_FOLDER}") if path.is_dir())
    if nested:
        return f"It lies one folder deeper: `data.root: {nested[0]}`."
    if (root / f"{IMAGE_FOLDER}.zip").is_file():
        return f"{IMAGE_FOLDER}.zip is there, but not unpacked: unpack it in place."
    if (root / "test_set").is_dir():
        return "test_set/ is there, but has no annotations to learn from or to evaluate against."
    return f"Expected {root / IMAGE_FOLDER}/NNN_HC.png and {root / TABLE_NAME}."


def _list_images(folder: Path) -> _Files:
    files = _Files(folder)
    for path in sorted(folder.iterdir()):
        # Hidden: "._010_HC.png" is what a Mac leaves beside the real file in an archive.
        if path.suffix.lower() not in IMAGE_SUFFIXES or path.name.startswith("."):
            continue
        if path.stem.endswith(ANNOTATION_ENDING):
            files.annotations[path.stem.removesuffix(ANNOTATION_ENDING)].append(path)
        else:
            files.images[path.stem].append(path)
    if not files.images:
        nested = folder / IMAGE_FOLDER
        hint = f" They seem to lie in {nested}: move them up." if nested.is_dir() else ""
        raise DataError(f"{folder}: no images; expected NNN_HC.png and so on.{hint}")
    return files


def _read_table(path: Path) -> Mapping[str, list[TableRow]]:
    """Rows of the CSV by id."""
    rows: dict[str, list[TableRow]] = defaultdict(list)
    for row in read_table(path, (FILENAME_COLUMN, PIXEL_SIZE_COLUMN)):
        rows[Path(row.text(FILENAME_COLUMN)).stem].append(row)
    return rows


def _sample(id: str, rows: list[TableRow], files: _Files, table: Path, line_px: float) -> Sample:
    """The checked sample; a DataError names the file or line at fault."""
    image = only_path(files.images.get(id, []), files.folder, id)
    if len(rows) > 1:
        lines = ", ".join(str(row.line) for row in rows)
        raise DataError(f"{table.name} has {len(rows)} rows for {id}, lines {lines}; one expected")
    if not rows:
        name = image.name if image else f"{id}{ANNOTATION_ENDING}.png"
        raise DataError(f"{files.folder / name}: no row in {table.name}, so no pixel size")
    row = rows[0]
    filename = row.text(FILENAME_COLUMN)
    if image is None or image.name != filename:
        raise DataError(
            f"{row.place}: no file {files.folder / filename}"
            + (f" (there is {image.name})" if image else "")
        )
    annotation = only_path(files.annotations.get(id, []), files.folder, id + ANNOTATION_ENDING)
    if annotation is None:
        raise DataError(f"{files.folder / id}{ANNOTATION_ENDING}.png: missing annotation")
    mm_per_pixel = row.positive(PIXEL_SIZE_COLUMN)
    reference = {"hc_mm": row.positive(HC_COLUMN)} if row.text(HC_COLUMN) else {}
    _check_same_size(image, annotation)
    return Sample(
        id=id,
        image_path=image,
        group=id.split("_")[0],
        mm_per_pixel=mm_per_pixel,
        load_mask=functools.partial(load_ellipse_mask, annotation, line_px),
        reference=reference,
        load_landmarks=functools.partial(load_ellipse_landmarks, annotation, line_px),
    )


def _check_same_size(image: Path, annotation: Path) -> None:
    image_height, image_width = image_size(image)
    mask_height, mask_width = image_size(annotation)
    if (image_height, image_width) != (mask_height, mask_width):
        raise DataError(
            f"{annotation}: mask is {mask_height}x{mask_width} (height x width), "
            f"image is {image_height}x{image_width}"
        )
