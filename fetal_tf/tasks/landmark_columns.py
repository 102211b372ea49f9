"""Columns and summary of the ends of OFD and BPD, shared by the tasks that find them."""

from typing import Any

import numpy as np
import pandas as pd

from fetal_tf.edge.geometry.landmarks import AXES, LANDMARKS
from fetal_tf.scores.columns import Column, facts, figures, values
from fetal_tf.scores.landmarks import (
    SUCCESS_PX,
    axis_summary,
    collapse,
    landmark_errors,
    landmark_summary,
)
from fetal_tf.scores.rows import Row, numbers

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


def landmark_section(rows: pd.DataFrame) -> dict[str, Any]:
    """`landmarks` of `summary.json`: `landmark_summary`, the predictions' span, and their axes."""
    sizes = numbers(rows, *_SIZE)
    shown = np.isfinite(sizes).all(axis=1)
    known = rows[shown]
    predictions, truths = (_points(known, ending) for ending in ("px", "true_px"))
    found = landmark_summary(known) | collapse(predictions, truths, sizes[shown])
    return {"landmarks": found | axis_summary(predictions, truths)}


def _points(rows: pd.DataFrame, ending: str) -> np.ndarray:
    """[N, 4, 2], NaN where a row has no number."""
    return numbers(rows, *(f"{place}_{ending}" for place in _PLACES)).reshape(-1, 4, 2)
