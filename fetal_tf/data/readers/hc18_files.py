"""List the images, annotations and CSV rows of HC18's layout by id."""

import functools
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fetal_tf.data.readers.frames import visible_files
from fetal_tf.edge.errors import DataError
from fetal_tf.edge.io.tables import TableRow, read_table

IMAGE_FOLDER = "training_set"
TABLE_NAME = "training_set_pixel_size_and_HC.csv"
ANNOTATION_ENDING = "_Annotation"
FILENAME_COLUMN, PIXEL_SIZE_COLUMN, HC_COLUMN = (
    "filename",
    "pixel size(mm)",
    "head circumference (mm)",
)


@dataclass
class HC18Files:
    """Files and rows by id; several of one id are all kept, to be reported.

    Attributes:
        folder: of the images.
        table: the CSV.
        rows: its lines.
        images, annotations: paths.
    """

    folder: Path
    table: Path
    rows: Mapping[str, list[TableRow]]
    images: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    annotations: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))

    @property
    def ids(self) -> set[str]:
        """Every id that a file or a row has."""
        return self.rows.keys() | self.images.keys() | self.annotations.keys()

    def beside(self, row: TableRow) -> list[TableRow]:
        """The rows above and below one."""
        place = self._places[row.line]
        return [self._ordered[i] for i in (place - 1, place + 1) if 0 <= i < len(self._ordered)]

    @functools.cached_property
    def _ordered(self) -> list[TableRow]:
        return sorted((r for rows in self.rows.values() for r in rows), key=lambda row: row.line)

    @functools.cached_property
    def _places(self) -> dict[int, int]:
        return {row.line: place for place, row in enumerate(self._ordered)}


def list_hc18(root: Path) -> HC18Files:
    """List images, annotations and rows below `root`, without opening an image.

    Raises:
        DataError: the folder, the CSV or a column is missing, with a hint where it may lie, or
            there is no image.
    """
    folder, table = _locate(root)
    files = HC18Files(folder, table, _read_table(table))
    for path in visible_files(folder):
        if path.stem.endswith(ANNOTATION_ENDING):
            files.annotations[path.stem.removesuffix(ANNOTATION_ENDING)].append(path)
        else:
            files.images[path.stem].append(path)
    if not files.images:
        nested = folder / IMAGE_FOLDER
        hint = f" They seem to lie in {nested}: move them up." if nested.is_dir() else ""
        raise DataError(f"{folder}: no images; expected NNN_HC.png and so on.{hint}")
    return files


def group_of(id: str) -> str:
    """The examination: what stands before the first underscore."""
    return id.split("_")[0]


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


def _read_table(path: Path) -> Mapping[str, list[TableRow]]:
    """Rows of the CSV by id."""
    rows: dict[str, list[TableRow]] = defaultdict(list)
    for row in read_table(path, (FILENAME_COLUMN, PIXEL_SIZE_COLUMN)):
        rows[Path(row.text(FILENAME_COLUMN)).stem].append(row)
    return rows
