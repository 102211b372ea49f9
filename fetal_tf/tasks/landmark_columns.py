"""What every task that finds the ends of OFD and BPD adds to its rows and to its summary."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fetal_tf.edge.geometry.landmarks import AXES, LANDMARKS
from fetal_tf.scores.columns import Column, facts, figures, values
from fetal_tf.scores.landmarks import (
    SUCCESS_PX,
    axis_summary,
    collapse,
    landmark_errors,
    landmark_summary,
)
from fetal_tf.scores.rows import Row

_SIZE = ("image_height_px", "image_width_px")
_PLACES = tuple(f"{name}_{axis}" for name in LANDMARKS for axis in "xy")
# The better order of the ends of each axis counts; `strict` takes them by name.
LANDMARK_COLUMNS = (
    *figures("radial_error_px", "radial_error_strict_px", better="lower"),
    *figures(*(f"{axis}_nme" for axis in AXES), better="lower"),
    *figures(*(f"success_{limit}px" for limit in SUCCESS_PX), better="higher"),
    *(Column(f"{name}_error_px", "lower") for name in LANDMARKS),
    *values(*(f"{place}_px" for place in _PLACES)),
    *facts(*(f"{place}_true_px" for place in _PLACES), *_SIZE),
)


def landmark_columns(
    predicted: np.ndarray | None,
    truth: np.ndarray,
    image_shape: tuple[int, int],
    mm_per_pixel: float | None,
) -> Row:
    """Errors of `landmark_errors`, and where the ends are: a row is all that a summary needs.

    Args:
        predicted: [4, 2], (x, y) in pixels of the original image; None where nothing was found.
        truth: the expert's, [4, 2].
        image_shape: (height, width) of that image.
        mm_per_pixel: its pixel size, or None.
    """
    row: Row = {**landmark_errors(predicted, truth, mm_per_pixel)}
    row |= dict(zip(_SIZE, map(float, image_shape), strict=True))
    found = np.full((len(LANDMARKS), 2), np.nan) if predicted is None else predicted
    for ending, points in (("px", found), ("true_px", truth)):
        for name, (x, y) in zip(LANDMARKS, points, strict=True):
            row[f"{name}_x_{ending}"] = float(x) if np.isfinite(x) else None
            row[f"{name}_y_{ending}"] = float(y) if np.isfinite(y) else None
    return row


def landmark_section(rows: Sequence[Row]) -> dict[str, Any]:
    """`landmarks` of `summary.json`: `landmark_summary`, the predictions' span, and their axes."""
    scored = [row for row in rows if all(row.get(name) is not None for name in _SIZE)]
    predictions = [_points(row, "px") for row in scored]
    truths = [_points(row, "true_px") for row in scored]
    sizes = [(round(float(row[_SIZE[0]])), round(float(row[_SIZE[1]]))) for row in scored]  # type: ignore[arg-type]
    found = landmark_summary(scored) | collapse(predictions, truths, sizes)
    return {"landmarks": found | axis_summary(predictions, truths)}


def _points(row: Row, ending: str) -> np.ndarray:
    """[4, 2], NaN where the row has no number."""
    cells = [[row.get(f"{name}_{axis}_{ending}") for axis in "xy"] for name in LANDMARKS]
    return np.array([[np.nan if v is None else v for v in pair] for pair in cells], np.float64)
