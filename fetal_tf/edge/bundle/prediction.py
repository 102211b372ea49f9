"""Measures image files and writes their pictures; what tables and JSON say of them."""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fetal_tf.edge.bundle.bundle import Bundle
from fetal_tf.edge.bundle.measurers import Measurement
from fetal_tf.edge.draw.legend import ALARM, TEXT, Color, as_lines
from fetal_tf.edge.errors import cause_of
from fetal_tf.edge.flag import split_flags
from fetal_tf.edge.inference.predictor import Predictor
from fetal_tf.edge.io.foreign_text import printable
from fetal_tf.edge.io.images import read_frame, write_png
from fetal_tf.edge.measure.units import TEXTS, units_of
from fetal_tf.version import __version__

_FLAGS = ("flags", "notes", "refused")


@dataclass(frozen=True)
class Prediction:
    """The result of one input file: measurement and picture, or why there is none.

    Attributes:
        path: as named by the user.
        measurement: None where the file could not be read.
        overlay: the picture, None where there is none.
        error: why the file could not be read or its picture not be written, or an empty string.
        lines: what the picture says, each with its colour.
    """

    path: Path
    measurement: Measurement | None = None
    overlay: Path | None = None
    error: str = ""
    lines: tuple[tuple[str, Color], ...] = ()

    def as_text(self, paint: Callable[[str, Color], str] = lambda text, color: text) -> str:
        """What the picture says, for the screen: a line for the file, and one for each doubt.

        `paint` gives a text in a colour, where the screen has any.
        """
        told = [*self.lines, *([(self.error, ALARM)] if self.error else [])]
        if self.overlay is not None:
            told.append((f"picture: {self.overlay}", TEXT))
        first, *rest = [paint(printable(text), color) for text, color in told] or [""]
        return "\n    ".join([f"{printable(str(self.path))}: {first}", *rest])


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
    lines: tuple[tuple[str, Color], ...] = ()
    try:
        lines = tuple(as_lines(bundle.measurer.legend(measurement)))
        write_png(overlay, bundle.measurer.draw(frame.gray, measurement))
    except Exception as error:
        return Prediction(path, measurement, error=cause_of(error, path), lines=lines)
    return Prediction(path, measurement, overlay, lines=lines)


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
    """A table's rows as JSON, with what measured them and the unit of every number.

    Flags, notes and the refusal are lists of objects with `code` and `message`. Unknown values are
    null.
    """
    measurements = [{name: _value(name, cell) for name, cell in row.items()} for row in rows]
    names = dict.fromkeys(name for row in measurements for name in row)
    settings, gate = bundle.measurement_settings, bundle.gate
    tree = {
        "bundle": bundle.name,
        "format": format_name,
        "phantom": bundle.phantom,
        "model": {
            "name": bundle.name,
            "sha256": bundle.manifest["files"][format_name]["sha256"],
            "exported_by_fetal_tf": bundle.manifest.get("fetal_tf_version"),
        },
        "gate": None if gate is None else gate.name,
        "measured_by_fetal_tf": __version__,
        "convention": settings.get("convention") or "outline",
        "units": units_of(names),
        "measurements": measurements,
    }
    return json.dumps(tree, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _value(column: str, cell: str) -> float | str | list[dict[str, str]] | None:
    """What a cell of the table says: flags, a number, a text, or None for nothing."""
    if column in _FLAGS:
        return [flag.as_record() for flag in split_flags(cell)]
    if column in TEXTS:
        return cell or (None if column != "error" else "")
    try:
        number = float(cell)
    except ValueError:
        return cell or None
    return number if math.isfinite(number) else None
