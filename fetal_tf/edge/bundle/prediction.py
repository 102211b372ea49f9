"""Measures image files and writes their pictures; what tables and JSON say of them."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fetal_tf.edge.bundle.bundle import Bundle
from fetal_tf.edge.bundle.measurers import Measurement
from fetal_tf.edge.errors import cause_of
from fetal_tf.edge.inference.predictor import Predictor
from fetal_tf.edge.io.foreign_text import printable
from fetal_tf.edge.io.images import read_frame, write_png

_TEXTS = ("file", "flags", "notes", "refused", "error")  # columns of texts, empty ones among them


@dataclass(frozen=True)
class Prediction:
    """The result of one input file: measurement and picture, or why there is none.

    Attributes:
        path: as named by the user.
        measurement: None where the file could not be read.
        overlay: the picture, None where there is none.
        error: why the file could not be read or its picture not be written, or an empty string.
    """

    path: Path
    measurement: Measurement | None = None
    overlay: Path | None = None
    error: str = ""

    def as_line(self) -> str:
        """One line for the screen."""
        parts = [self.error]
        if self.measurement is not None:
            doubts = [self.measurement.refused or "", *self.measurement.flags]
            parts = [self.measurement.headline(), *doubts, self.error]
        return printable(f"{self.path}: " + "; ".join(part for part in parts if part))


def predict_file(
    bundle: Bundle,
    predictor: Predictor,
    path: Path,
    overlay: Path,
    mm_per_pixel: float | None,
    ga_weeks: float | None = None,
) -> Prediction:
    """Measure one image and write its picture; errors are kept in the prediction.

    A broken image has no measurement. If only its picture cannot be written, it has one. No error
    is raised, not even an unexpected one: one image never costs the others.
    """
    try:
        frame = read_frame(path)
        measurement = bundle.measure(predictor, frame.gray, mm_per_pixel, ga_weeks, frame.notes)
    except Exception as error:
        return Prediction(path, error=cause_of(error, path))
    try:
        write_png(overlay, bundle.measurer.draw(frame.gray, measurement))
    except Exception as error:
        return Prediction(path, measurement, error=cause_of(error, path))
    return Prediction(path, measurement, overlay)


def table_row(prediction: Prediction, folder: Path) -> dict[str, float | str | None]:
    """The row of an input: file, picture as seen from `folder`, the measurement's record, error."""
    picture, measurement = prediction.overlay, prediction.measurement
    return {
        "file": str(prediction.path),
        "overlay": None if picture is None else picture.relative_to(folder).as_posix(),
        **({} if measurement is None else measurement.as_record()),
        "error": prediction.error,
    }


def json_text(rows: Iterable[Mapping[str, str]], bundle: Bundle, format_name: str) -> str:
    """A table's rows as JSON, with the bundle's name and units; unknown values are null."""
    tree = {
        "bundle": bundle.name,
        "format": format_name,
        "phantom": bundle.phantom,
        "units": bundle.manifest.get("units", {}),
        "measurements": [{name: _value(name, cell) for name, cell in row.items()} for row in rows],
    }
    return json.dumps(tree, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _value(column: str, cell: str) -> float | str | None:
    """What a cell of the table says: a number, a text, or None for nothing."""
    if column in _TEXTS:
        return cell
    try:
        number = float(cell)
    except ValueError:
        return cell or None
    return number if math.isfinite(number) else None
