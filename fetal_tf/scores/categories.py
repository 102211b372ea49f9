"""Shares of images above fixed marks of Dice and ROC AUC: the categories of the source study."""

from collections.abc import Mapping, Sequence
from typing import Any

from fetal_tf.scores.statistics import finite

MARKS = {"dice": (0.8, 0.7, 0.5), "roc_auc": (0.9, 0.8, 0.7)}


def categories(rows: Sequence[Mapping[str, Any]], structure: str) -> dict[str, Any]:
    """The share of images above each mark.

    Args:
        rows: one per image, with `STRUCTURE_dice` and `STRUCTURE_roc_auc`.
        structure: `heart` or `thorax`.

    Returns:
        `dice` and `roc_auc`, each mark → share of the images strictly above it, so an image above
        0.8 counts for 0.7 and 0.5 as well; `n`: the images that have both figures. Shares are None
        where none has.
    """
    columns = [f"{structure}_{metric}" for metric in MARKS]
    images = [[finite(row.get(column)) for column in columns] for row in rows]
    scored = [values for values in images if None not in values]
    shares: dict[str, Any] = {
        metric: {str(mark): _share_above(mark, [v[place] for v in scored]) for mark in marks}
        for place, (metric, marks) in enumerate(MARKS.items())
    }
    return shares | {"n": len(scored)}


def _share_above(mark: float, values: Sequence[float | None]) -> float | None:
    return sum(v is not None and v > mark for v in values) / len(values) if values else None
