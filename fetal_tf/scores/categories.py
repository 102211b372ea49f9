"""Shares of images above fixed marks of Dice and ROC AUC: the categories of the source study."""

from typing import Any

import numpy as np
import pandas as pd

from fetal_tf.scores.rows import numbers

MARKS = {"dice": (0.8, 0.7, 0.5), "roc_auc": (0.9, 0.8, 0.7)}


def categories(rows: pd.DataFrame, structure: str) -> dict[str, Any]:
    """The share of images above each mark.

    Args:
        rows: one per image, with `STRUCTURE_dice` and `STRUCTURE_roc_auc`.
        structure: `heart` or `thorax`.

    Returns:
        `dice` and `roc_auc`, each mark → share of the images strictly above it, so an image above
        0.8 counts for 0.7 and 0.5 as well; `n`: the images that have both figures. Shares are None
        where none has.
    """
    values = numbers(rows, *(f"{structure}_{metric}" for metric in MARKS))
    known = values[np.isfinite(values).all(axis=1)]
    shares: dict[str, Any] = {
        metric: {str(mark): _share(of_metric > mark) for mark in marks}
        for (metric, marks), of_metric in zip(MARKS.items(), known.T, strict=True)
    }
    return shares | {"n": len(known)}


def _share(above: np.ndarray) -> float | None:
    return float(above.mean()) if len(above) else None
