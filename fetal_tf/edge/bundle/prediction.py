"""Measures image files and writes their pictures; what tables and JSON say of them."""

import json
import math
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fetal_tf.edge.bundle.bundle import Bundle
from fetal_tf.edge.draw.legend import ALARM, TEXT, Color, as_lines
from fetal_tf.edge.errors import cause_of
from fetal_tf.edge.flag import Flag, split_flags
from fetal_tf.edge.inference.predictor import Predictor
from fetal_tf.edge.io.foreign_text import printable
from fetal_tf.edge.io.images import read_frame, write_png
from fetal_tf.edge.measure.units import TEXTS, units_of
from fetal_tf.version import __version__

_FLAGS = ("flags", "notes", "refused")


@dataclass(frozen=True)
class Prediction:
    """The result of one input file: what was measured and the picture, or why there is none.

    It holds no map of its image: thousands fit into memory, and processes pass them on.

    Attributes:
        path: as named by the user.
        record: the measurement's `as_record()`; None where the file could not be read.
        flags: of the measurement.
        refused: why there is no measurement, or None.
        overlay: the picture, None where there is none.
        error: why the file could not be read or its picture not be written, or an empty string.
        lines: what the picture says, each with its colour.
    """

    path: Path
    record: Mapping[str, float | str | None] | None = None
    flags: tuple[Flag, ...] = ()
    refused: str | None = None
    overlay: Path | None = None
    error: str = ""
    lines: tuple[tuple[str, Color], ...] = ()

    @property
    def broken(self) -> bool:
        """Whether the file could not be read."""
        return self.record is None

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
    overlay: Path | None,
    mm_per_pixel: float | None,
    ga_weeks: float | None = None,
) -> Prediction:
    """Measure one image and write its picture `overlay`, unless that is None.

    A broken image has no measurement. If only its picture cannot be written, it has one. No error
    is raised, not even an unexpected one: one image never costs the others.
    """
    try:
        frame = read_frame(path)
        measurement = bundle.measure(predictor, frame.gray, mm_per_pixel, ga_weeks, frame.notes)
    except Exception as error:
        return Prediction(path, error=cause_of(error, path))
    flags, refused = measurement.flags, measurement.refused
    found = Prediction(path, measurement.as_record(), flags, refused)
    try:
        found = replace(found, lines=tuple(as_lines(bundle.measurer.legend(measurement))))
        if overlay is None:
            return found
        write_png(overlay, bundle.measurer.draw(frame.gray, measurement))
    except Exception as error:
        return replace(found, error=cause_of(error, path))
    return replace(found, overlay=overlay)


def table_row(prediction: Prediction, folder: Path) -> dict[str, float | str | None]:
    """The row of an input: file, picture as seen from `folder`, the measurement's record, error."""
    picture = prediction.overlay
    return {
        "file": str(prediction.path),
        "overlay": None if picture is None else picture.relative_to(folder).as_posix(),
        **(prediction.record or {}),
        "error": prediction.error,
    }


def json_parts(
    rows: Iterable[Mapping[str, str]], columns: Iterable[str], bundle: Bundle, format_name: str
) -> Iterator[str]:
    """A table's rows as JSON, with what measured them and the unit of every number.

    Flags, notes and the refusal are lists of objects with `code` and `message`. Unknown values are
    null.

    Yields:
        The text in parts, one for each row, so that no more than a row is in memory.
    """
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
        "units": units_of(columns),
    }
    yield _json(tree).removesuffix("\n}") + ',\n  "measurements": ['
    between = "\n"
    for row in rows:
        values = {name: _value(name, cell) for name, cell in row.items()}
        yield between + textwrap.indent(_json(values), "    ")
        between = ",\n"
    yield "\n  ]\n}\n"


def _json(tree: Mapping[str, Any]) -> str:
    return json.dumps(tree, indent=2, ensure_ascii=False, allow_nan=False)


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
