"""Figures of an evaluation's summary under dotted names, such as `pixels.heart.roc_auc`."""

import math
from collections.abc import Mapping
from typing import Any

Figure = dict[str, Any]
_MIDDLES = ("value", "mean", "auroc")  # keys that an interval `ci95` beside them belongs to


def is_summary_figure(name: str) -> bool:
    """Whether a name is that of a summary's figure. Names of columns have no dot."""
    return "." in name


def summary_figures(summary: Mapping[str, Any]) -> dict[str, Figure]:
    """Every number of a summary, by the keys that lead to it, joined by dots.

    Args:
        summary: of `fetal_tf.evaluation.evaluate.summarise_rows`, or as read from `summary.json`.

    Returns:
        Name → `value`, `ci95` (`[None, None]` where there is none) and `n`, the images behind it. A
        mapping with an interval is a figure itself: `metrics.dice` is the column's mean,
        `metrics.dice.sd` its spread. Lists, nulls and numbers that are not finite are left out.
    """
    images = summary["images"]
    return _figures(summary, "", images["n"] - images["failed"])


def _figures(tree: Mapping[str, Any], place: str, n: int) -> dict[str, Figure]:
    found: dict[str, Figure] = {}
    for key, value in tree.items():
        name = f"{place}.{key}" if place else key
        if isinstance(value, Mapping):
            found |= _figures(value, name, value.get("n", n))
        elif isinstance(value, int | float) and math.isfinite(value):
            around = key in _MIDDLES and "ci95" in tree
            interval = list(tree["ci95"]) if around else [None, None]
            found[name] = {"value": value, "ci95": interval, "n": n}
            if around:
                found[place] = found[name]
    return found
