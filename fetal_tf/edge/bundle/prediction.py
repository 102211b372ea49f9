"""Measures image files; writes their pictures, a CSV table and JSON."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fetal_tf.edge.bundle.bundle import Bundle
from fetal_tf.edge.bundle.measurers import Measurement
from fetal_tf.edge.errors import FetalTFError, ImageError
from fetal_tf.edge.inference.predictor import Predictor
from fetal_tf.edge.io.files import write_text_atomic
from fetal_tf.edge.io.foreign_text import printable
from fetal_tf.edge.io.images import read_frame, write_png


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

    A broken image has no measurement. If only its picture cannot be written, it has one.
    """
    try:
        frame = read_frame(path)
    except ImageError as error:
        return Prediction(path, error=str(error))
    measurement = bundle.measure(predictor, frame.gray, mm_per_pixel, ga_weeks, frame.notes)
    try:
        write_png(overlay, bundle.measurer.draw(frame.gray, measurement))
    except FetalTFError as error:
        return Prediction(path, measurement, error=str(error))
    return Prediction(path, measurement, overlay)


def write_csv(path: Path, predictions: Sequence[Prediction]) -> None:
    """One row per input: file, overlay, the measurement's record, error; numbers to 6 digits."""
    rows = _rows(predictions, path.parent)
    text = io.StringIO()
    columns = max((list(row) for row in rows), key=len)
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text_atomic(path, text.getvalue())


def write_json(
    path: Path, predictions: Sequence[Prediction], bundle: Bundle, format_name: str
) -> None:
    """The same rows as JSON, with the bundle's name and units; unknown values are null."""
    tree = {
        "bundle": bundle.name,
        "format": format_name,
        "phantom": bundle.phantom,
        "units": bundle.manifest.get("units", {}),
        "measurements": _rows(predictions, path.parent),
    }
    write_text_atomic(path, json.dumps(tree, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _rows(predictions: Sequence[Prediction], folder: Path) -> list[dict[str, float | str | None]]:
    return [_row(prediction, folder) for prediction in predictions]


def _row(prediction: Prediction, folder: Path) -> dict[str, float | str | None]:
    row: dict[str, float | str | None] = {"file": printable(str(prediction.path))}
    if prediction.measurement is not None:
        row["overlay"] = _overlay_name(prediction, folder)
        for name, value in prediction.measurement.as_record().items():
            # Six digits give a thousandth of a millimetre; more would be false precision.
            row[name] = float(f"{value:.6g}") if isinstance(value, float) else value
    row["error"] = printable(prediction.error)
    return row


def _overlay_name(prediction: Prediction, folder: Path) -> str | None:
    if prediction.overlay is None:
        return None
    return printable(prediction.overlay.relative_to(folder).as_posix())
