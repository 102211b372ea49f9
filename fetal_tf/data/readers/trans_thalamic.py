"""List the frames, masks and table rows of the trans-thalamic plane by id."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fetal_tf.data.readers.frames import visible_files
from fetal_tf.data.readers.mask_sources import ARCHIVE_ENDING, MASK_FOLDER, MaskSource, find_masks
from fetal_tf.edge.errors import DataError
from fetal_tf.edge.io.tables import TableRow, read_table

PLANE = "Trans-thalamic"
PIXEL_SIZE_TABLE = "Trans-Thalamic-Pixel-Size.csv"
CONDITION_TABLE = "anomalies.csv"
LABEL_COLUMN, PIXEL_SIZE_COLUMN, CONDITION_COLUMN = "Label", "Pixel in mm", "condition"
FRAME_NAME = "PatientNNNNN_PlaneK_i_of_n.png"


@dataclass(frozen=True)
class PlaneFiles:
    """Files and rows by id; several of one id are all kept, to be reported."""

    folder: Path
    images: Mapping[str, list[Path]]
    masks: Mapping[str, list[MaskSource]]
    size_tables: Sequence[Path]
    sizes: Mapping[str, list[TableRow]]
    conditions: Mapping[str, list[TableRow]]


def list_files(root: Path) -> PlaneFiles:
    """List frames, masks and table rows below `root`, without opening a frame.

    Raises:
        DataError: a folder, all images, all masks or a column of a table are missing, with a hint
            where they may lie instead; or an archive of masks is damaged or hostile.
    """
    plane = _locate(root)
    images, masks = _list_images(plane / PLANE), find_masks(plane)
    if not masks:
        raise DataError(_no_masks(plane))
    size_tables = [t for t in (plane / PIXEL_SIZE_TABLE, root / PIXEL_SIZE_TABLE) if t.is_file()]
    condition_tables = [t for t in (root / CONDITION_TABLE,) if t.is_file()]
    return PlaneFiles(
        plane / PLANE,
        images,
        masks,
        size_tables,
        _rows_by_id(size_tables, PIXEL_SIZE_COLUMN),
        _rows_by_id(condition_tables, CONDITION_COLUMN),
    )


def _locate(root: Path) -> Path:
    """The plane's folder, or a DataError that says which root to name instead."""
    if not root.is_dir():
        raise DataError(
            f"data.root: {root} is not a folder; expected the one that holds {PLANE}/{PLANE}/. The "
            "dataset is Zenodo record 8265464; `python -m tools.phantom fetal_head_biometry --out "
            f"{root}` writes a phantom of it."
        )
    if not (root / PLANE / PLANE).is_dir():
        raise DataError(
            f"data.root: {root} holds no {PLANE}/{PLANE}/ folder. {_where_instead(root)}"
        )
    return root / PLANE


def _where_instead(root: Path) -> str:
    for above in root.resolve().parents[:2]:
        if (above / PLANE / PLANE).is_dir():
            return f"Name a folder above: `data.root: {above}`."
    for below in sorted(root.glob("*/")):
        if (below / PLANE / PLANE).is_dir():
            return f"It lies one folder deeper: `data.root: {below}`."
    packed = sorted(path.name for path in (*root.glob("*.zip"), *root.glob(f"{PLANE}/*.zip")))
    if packed:
        return f"{packed[0]} is there, but not unpacked: unpack it in place."
    return f"Expected {root / PLANE / PLANE / FRAME_NAME}."


def _no_masks(plane: Path) -> str:
    packed = ", ".join(sorted(path.name for path in plane.rglob("*.zip"))) or "no zip at all"
    return (
        f"{plane}: no masks; expected {plane / f'{PLANE}-PASCAL' / MASK_FOLDER / FRAME_NAME}, or "
        f"a zip called *{ARCHIVE_ENDING} with a {MASK_FOLDER}/ folder in it (found: {packed})."
    )


def _list_images(folder: Path) -> Mapping[str, list[Path]]:
    """Paths by id; two files of one id are both kept, to be reported."""
    images: dict[str, list[Path]] = defaultdict(list)
    for path in visible_files(folder):
        images[path.stem].append(path)
    if not images:
        nested = folder / PLANE
        hint = f" They seem to lie in {nested}: move them up." if nested.is_dir() else ""
        raise DataError(f"{folder}: no images; expected {FRAME_NAME}.{hint}")
    return images


def _rows_by_id(tables: Sequence[Path], column: str) -> Mapping[str, list[TableRow]]:
    """Rows whose cell under `column` says something; a label may end in `.png` or not."""
    rows: dict[str, list[TableRow]] = defaultdict(list)
    for table in tables:
        for row in read_table(table, (LABEL_COLUMN, column)):
            label = row.text(LABEL_COLUMN)
            if row.text(column):
                rows[label[:-4] if label.lower().endswith(".png") else label].append(row)
    return rows
