"""Image files to measured rows, pictures and tables."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fetal_tf.edge.bundle import Bundle
from fetal_tf.edge.errors import ImageError
from fetal_tf.edge.files import write_text_atomic
from fetal_tf.edge.images import read_gray, write_png
from fetal_tf.edge.measurements import Measurement
from fetal_tf.edge.runtimes import Predictor


@dataclass(frozen=True)
class Prediction:
    """One input file: its measurement and picture, or why there is none.

    Attributes:
        path: as named by the user.
        measurement: None where the file could not be read.
        overlay: the picture, None where there is none.
        error: why the file could not be read, or an empty string.
    """

    path: Path
    measurement: Measurement | None = None
    overlay: Path | None = None
    error: str = ""

    def as_line(self) -> str:
        """One line for the screen."""
        if self.measurement is None:
            return f"{self.path}: {self.error}"
        doubts = [self.measurement.refused, *self.measurement.flags]
        parts = [self.measurement.headline(), *(doubt for doubt in doubts if doubt)]
        return f"{self.path}: " + "; ".join(part for part in parts if part)


def predict_file(
    bundle: Bundle,
    predictor: Predictor,
    path: Path,
    overlay: Path,
    mm_per_pixel: float | None,
    ga_weeks: float | None = None,
) -> Prediction:
    """Measure one image and write its picture; a broken image becomes a row that says so.

    Raises:
        FetalTFError: the picture cannot be written.
    """
    try:
        image = read_gray(path)
    except ImageError as error:
        return Prediction(path, error=str(error))
    measurement = bundle.measure(predictor, image, mm_per_pixel, ga_weeks)
    write_png(overlay, bundle.measurer.draw(image, measurement))
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
        "units": bundle.manifest.get("units", {}),
        "measurements": _rows(predictions, path.parent),
    }
    write_text_atomic(path, json.dumps(tree, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _rows(predictions: Sequence[Prediction], folder: Path) -> list[dict[str, float | str | None]]:
    return [_row(prediction, folder) for prediction in predictions]


def _row(prediction: Prediction, folder: Path) -> dict[str, float | str | None]:
    row: dict[str, float | str | None] = {"file": str(prediction.path)}
    if prediction.measurement is not None and prediction.overlay is not None:
        row["overlay"] = prediction.overlay.relative_to(folder).as_posix()
        for name, value in prediction.measurement.as_record().items():
            # Six digits: a thousandth of a millimetre, and nothing that pretends to be more.
            row[name] = float(f"{value:.6g}") if isinstance(value, float) else value
    row["error"] = prediction.error
    return row
