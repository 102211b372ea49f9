"""Confusion matrices of exclusive classes: counted per image, kept in its row, read back.

A matrix is int64 [K, K]: rows are the expert's classes, columns the predicted ones, each cell a
number of pixels. Sums of matrices pool images; every score of `fetal_tf.scores.classes` follows.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fetal_tf.edge.errors import DataError


def confusion(pred: np.ndarray, truth: np.ndarray, classes: int) -> np.ndarray:
    """Count the pixels of each pair of true and predicted class.

    Args:
        pred: uint8 [H, W], predicted class indices.
        truth: uint8 [H, W], the expert's.
        classes: how many classes there are, K.

    Returns:
        int64 [K, K], rows = truth, columns = prediction.

    Raises:
        TypeError: a label map that is not uint8: probabilities need an argmax first.
        ValueError: maps of different shape, not two-dimensional, or with an index of K or more.
    """
    for name, labels in (("pred", pred), ("truth", truth)):
        if labels.dtype != np.uint8:
            raise TypeError(
                f"{name} must be a uint8 map of class indices, found {labels.dtype}; "
                "take the argmax of probabilities first"
            )
        if labels.ndim != 2:
            raise ValueError(f"{name} must be [height, width], found shape {labels.shape}")
        if labels.size and labels.max() >= classes:
            raise ValueError(
                f"{name} holds class {labels.max()}, the {classes} classes end at {classes - 1}"
            )
    if pred.shape != truth.shape:
        raise ValueError(f"pred is {pred.shape}, truth is {truth.shape}: compare them at one size")
    pairs = truth.astype(np.int64).ravel() * classes + pred.ravel()
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def confusion_columns(
    confusion: np.ndarray, classes: Sequence[str], prefix: str = ""
) -> dict[str, int]:
    """One image's matrix as columns `<prefix>confusion_<true>_<predicted>_px` of its row.

    Raises:
        ValueError: a matrix that is not [K, K].
    """
    check_confusions(confusion, len(classes), ndim=2)
    return dict(
        zip(confusion_names(classes, prefix), (int(n) for n in confusion.ravel()), strict=True)
    )


def confusions_of_rows(
    rows: Sequence[Mapping[str, Any]], classes: Sequence[str], prefix: str = ""
) -> tuple[np.ndarray, list[int]]:
    """The matrices that `confusion_columns` wrote into rows.

    Args:
        rows: one per image, numbers or the text of a CSV's cells; a row with an `error`, or without
            a value in one of the columns, is skipped.
        classes: the K names.
        prefix: as written.

    Returns:
        int64 [N, K, K], and which rows they are from, N indices.

    Raises:
        DataError: a cell that is not a whole number of pixels.
    """
    names = confusion_names(classes, prefix)
    cells, kept = [], []
    for place, row in enumerate(rows):
        values = [row.get(name) for name in names]
        if row.get("error") or any(value is None or value == "" for value in values):
            continue
        cells.append([_pixels(value, name) for value, name in zip(values, names, strict=True)])
        kept.append(place)
    shape = (len(cells), len(classes), len(classes))
    return np.array(cells, np.int64).reshape(shape), kept


def check_confusions(confusions: np.ndarray, classes: int, ndim: int) -> None:
    """Refuse what is not [K, K] (`ndim` 2) or [N, K, K] (`ndim` 3) of pixel counts.

    Raises:
        TypeError: not integers.
        ValueError: another shape.
    """
    expected = (classes, classes)
    if confusions.ndim != ndim or confusions.shape[-2:] != expected:
        text = f"{'N, ' if ndim == 3 else ''}{classes}, {classes}"
        raise ValueError(f"confusion must be [{text}], found shape {confusions.shape}")
    if not np.issubdtype(confusions.dtype, np.integer):
        raise TypeError(f"confusion must count pixels (integers), found {confusions.dtype}")


def confusion_names(classes: Sequence[str], prefix: str) -> list[str]:
    """The columns of a matrix in a row, one per cell: truth first, then prediction."""
    return [f"{prefix}confusion_{true}_{pred}_px" for true in classes for pred in classes]


def _pixels(value: Any, column: str) -> int:
    try:
        number = float(value)
    except ValueError:
        number = np.nan
    if not (number >= 0 and number.is_integer()):
        raise DataError(f"{column} must be a whole number of pixels, found {value!r}")
    return int(number)
