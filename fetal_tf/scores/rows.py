"""Results as text and back: rows as CSV, trees as strict JSON, `per_image.csv` as rows again."""

import csv
import io
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from fetal_tf.edge.errors import DataError, FetalTFError

Row = dict[str, float | str | None]  # of one image: numbers, texts, None for what is unknown
# Text, even where a cell looks like a number.
TEXT_COLUMNS = ("id", "group", "source", "flags", "refused", "error")


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


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """A header of all columns, `error` last, then the rows.

    Numbers to 6 digits, integers exactly; what is missing, NaN or infinite is empty.
    """
    columns = sorted(dict.fromkeys(name for row in rows for name in row), key="error".__eq__)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row.get(name)) for name in columns] for row in rows)
    return buffer.getvalue()


def _cell(value: float | str | None) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, Integral):
        return str(value)  # pixel counts, which must add up
    return f"{value:.6g}" if math.isfinite(value) else ""


def read_rows(path: Path) -> list[Row]:
    """The rows of an evaluation's `per_image.csv`: numbers to 6 digits, empty cells as None.

    Raises:
        DataError: missing, or not such a table.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = list(csv.DictReader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read: {error}; evaluate once more") from error
    if not lines or not {"id", "group"} <= lines[0].keys():
        raise DataError(f"{path}: no table of images with id and group; evaluate once more")
    if any(None in line or None in line.values() for line in lines):
        raise DataError(f"{path}: a line has not as many cells as the header; evaluate once more")
    return [{name: _value(name, cell) for name, cell in line.items()} for line in lines]


def _value(name: str, cell: str) -> float | str | None:
    if name in TEXT_COLUMNS:
        return cell
    try:
        return float(cell) if cell else None
    except ValueError:
        return cell


def flag_codes(text: object) -> list[str]:
    """The codes in a row's `flags` or `refused`: `"a: why; b: why"` → `["a", "b"]`."""
    parts = str(text or "").split("; ")
    return [m.group(1) for part in parts if (m := re.match(r"([a-z][a-z0-9_]*)(?::|$)", part))]


def count_codes(texts: Iterable[object]) -> dict[str, int]:
    """Images per code over the `flags` or the `refused` of rows, the most frequent first."""
    counts = Counter(code for text in texts for code in set(flag_codes(text)))
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
