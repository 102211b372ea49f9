"""Results in memory and as files: rows as a frame and as CSV, trees as strict JSON.

A frame of images has one line per image and at least IMAGE_COLUMNS. Texts are "" where there is
nothing to say. Numbers are float64, NaN where they are unknown. Whole numbers, such as counts of
pixels, are Int64, so that they add up.
"""

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fetal_tf.edge.errors import DataError, FetalTFError
from fetal_tf.edge.flag import flag_codes
from fetal_tf.edge.io.foreign_text import as_cell, of_cell

Row = dict[str, float | str | None]  # of one image, as a task makes it; None for what is unknown
IMAGE_COLUMNS = ("id", "group", "flags", "refused", "error")
# Text even where a cell looks like a number, or where all are empty.
TEXT_COLUMNS = (
    *IMAGE_COLUMNS, "seen", "source", "condition", "ventriculomegaly", "true_ventriculomegaly",
)  # fmt: skip
_NUMBERS = ("integer", "floating", "mixed-integer-float", "empty")  # as pandas names contents


def frame_of(rows: Sequence[Mapping[str, Any]] | pd.DataFrame) -> pd.DataFrame:
    """Rows as a frame: columns in the order in which they appear, `error` last.

    What is None or infinite becomes NaN in a column of numbers, and "" in a column of texts.
    """
    cells = pd.DataFrame(rows, dtype=object)
    columns = sorted(cells, key="error".__eq__)
    return pd.DataFrame({name: _typed(cells[name]) for name in columns}, cells.index)


def _typed(cells: pd.Series) -> pd.Series:
    kind = pd.api.types.infer_dtype(cells, skipna=True)
    if cells.name in TEXT_COLUMNS or kind not in _NUMBERS:
        return cells.where(cells.notna(), "")
    if kind == "integer":
        return cells.astype("Int64")
    return cells.where(cells.notna()).astype(np.float64).replace([np.inf, -np.inf], np.nan)


def image_frame(rows: Sequence[Row] | pd.DataFrame) -> pd.DataFrame:
    """The frame of an evaluation: as `frame_of`, and all IMAGE_COLUMNS are there."""
    cells = pd.DataFrame(rows, dtype=object)
    return frame_of(cells.reindex(columns=list(dict.fromkeys([*cells, *IMAGE_COLUMNS]))))


def numbers(frame: pd.DataFrame, *columns: str, kind: str = "a number") -> np.ndarray:
    """Columns as float64 [N, C], or [N] of one; NaN where a number, or the column, is missing.

    Raises:
        DataError: a cell that holds text, which is not of the `kind` that is expected.
    """
    chosen = frame.reindex(columns=list(columns))
    try:
        found = chosen.to_numpy(np.float64, na_value=np.nan)
    except ValueError as error:
        texts = chosen.stack()[lambda cells: [isinstance(cell, str) for cell in cells]]
        raise DataError(f"{texts.index[0][1]} must be {kind}, found {texts.iloc[0]!r}") from error
    return found[:, 0] if len(columns) == 1 else found


def scored(frame: pd.DataFrame) -> pd.DataFrame:
    """The images that could be read and scored."""
    return frame[frame["error"] == ""]


def image_counts(rows: pd.DataFrame) -> dict[str, int]:
    """How many frames were asked for, measured, flagged, refused, and failed."""
    judged = scored(rows)
    measured = judged[judged["refused"] == ""]
    return {
        "n": len(rows),
        "measured": len(measured),
        "flagged": int((measured["flags"] != "").sum()),
        "refused": len(judged) - len(measured),
        "failed": len(rows) - len(judged),
    }


def json_text(tree: Mapping[str, Any]) -> str:
    """Indented JSON with 6 decimals, integers exactly; what is missing, NaN or infinite is null."""
    return json.dumps(_jsonable(tree), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        FetalTFError: it is not there, or holds anything else.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FetalTFError(f"{path}: cannot be read: {error}") from error
    if not isinstance(record, dict):
        raise FetalTFError(f"{path}: found {type(record).__name__}, an object is expected")
    return record


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return round(float(value), 6) if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


def csv_text(table: pd.DataFrame | Sequence[Mapping[str, Any]]) -> str:
    """A frame, or rows that become one, as CSV.

    Numbers to 6 digits, whole numbers exactly; what is missing is empty. A text that a spreadsheet
    would take for a formula gets an apostrophe.
    """
    frame = table if isinstance(table, pd.DataFrame) else frame_of(table)
    return _texts(frame, as_cell).to_csv(index=False, float_format="%.6g", lineterminator="\n")


def read_rows(path: Path) -> pd.DataFrame:
    """The frame that an evaluation has written to `per_image.csv`, numbers to 6 digits.

    Raises:
        DataError: missing, or not such a table.
    """
    try:
        text = path.read_text(encoding="utf-8")
        lines = list(csv.reader(io.StringIO(text), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read: {error}; evaluate once more") from error
    if len(lines) < 2 or not {"id", "group"} <= set(lines[0]):
        raise DataError(f"{path}: no table of images with id and group; evaluate once more")
    if len({len(line) for line in lines}) > 1:
        raise DataError(f"{path}: a line has not as many cells as the header; evaluate once more")
    frame = pd.read_csv(
        io.StringIO(text),
        dtype=dict.fromkeys(TEXT_COLUMNS, object),
        keep_default_na=False,
        na_values=[""],
        float_precision="round_trip",
    )
    return image_frame(_texts(frame, of_cell))


def _texts(frame: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    """The frame with `change` done to every text; columns of numbers keep their type."""
    changed = frame.select_dtypes(exclude="number").map(
        lambda cell: change(cell) if isinstance(cell, str) else cell
    )
    return frame.assign(**{str(name): cells for name, cells in changed.items()})


def count_codes(texts: Iterable[str]) -> dict[str, int]:
    """Images per code over the `flags` or the `refused` of rows, the most frequent first."""
    counts = Counter(code for text in texts for code in set(flag_codes(text)))
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
