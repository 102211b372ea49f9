"""Confusion matrices of exclusive classes: count pixels, write to rows, read back.

A matrix is int64 [K, K] pixel counts: rows are the true classes, columns the predicted ones. The
sum of matrices pools images. All scores of `fetal_tf.scores.classes` are computed from matrices.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fetal_tf.edge.errors import DataError
from fetal_tf.scores.rows import numbers

WHOLE = "a whole number of pixels"


def confusion(pred: np.ndarray, truth: np.ndarray, classes: int) -> np.ndarray:
    """Confusion matrix of one image.

    Args:
        pred: uint8 [H, W], predicted class indices.
        truth: uint8 [H, W], the true ones.
        classes: number of classes, K.

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
    """A matrix as columns of its image's row, `<prefix>confusion_<true>_<predicted>_px`.

    Raises:
        ValueError: a matrix that is not [K, K].
    """
    check_confusions(confusion, len(classes), ndim=2)
    return dict(
        zip(confusion_names(classes, prefix), (int(n) for n in confusion.ravel()), strict=True)
    )


def confusions_of_rows(
    rows: pd.DataFrame, classes: Sequence[str], prefix: str = ""
) -> tuple[np.ndarray, list[str]]:
    """Read the matrices that `confusion_columns` wrote into rows.

    Args:
        rows: one per image; an image without a value in one of the columns is skipped.
        classes: the K names.
        prefix: as written.

    Returns:
        int64 [N, K, K], and the group of each.

    Raises:
        DataError: a cell that is not a whole number of pixels.
    """
    names = confusion_names(classes, prefix)
    cells = numbers(rows, *names, kind=WHOLE)
    kept = ~np.isnan(cells).any(axis=1)
    cells = cells[kept]
    wrong = np.argwhere((cells < 0) | (cells % 1 != 0))
    if len(wrong):
        found, column = cells[tuple(wrong[0])], names[wrong[0][1]]
        raise DataError(f"{column} must be {WHOLE}, found {found:g}")
    matrices = cells.astype(np.int64).reshape(-1, len(classes), len(classes))
    return matrices, list(rows["group"][kept])


def check_confusions(confusions: np.ndarray, classes: int, ndim: int) -> None:
    """Check for pixel counts [K, K] (`ndim` 2) or [N, K, K] (`ndim` 3).

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
    """Column names of a matrix, one per cell, true class first."""
    return [f"{prefix}confusion_{true}_{pred}_px" for true in classes for pred in classes]
