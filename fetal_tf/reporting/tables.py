"""The tables of the report page, as lists of text cells."""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from fetal_tf.edge.flag import flag_codes, split_flags
from fetal_tf.evaluation.seen import HELD_OUT, SEEN
from fetal_tf.scores.columns import Column, better
from fetal_tf.scores.quantities import Quantity
from fetal_tf.scores.rows import numbers
from fetal_tf.scores.statistics import spread
from fetal_tf.scores.wording import interval, metric_label, number


def metric_tables(
    summary: Mapping[str, Any], columns: Mapping[str, Column]
) -> list[dict[str, Any]]:
    """Metrics by what the net has seen, over all images, and without flagged and refused ones.

    Held-out images come first; what follows them is folded.
    """
    parts = summary.get("seen", {})
    by_seen = [
        _metric_table(f"Images {SEEN[key]}", found["metrics"], columns, open_=key == HELD_OUT)
        for key, found in parts.items()
        if len(parts) > 1
    ]
    first = not any(table["open"] for table in by_seen)
    tables = [*by_seen, _metric_table("All images", summary["metrics"], columns, open_=first)]
    if summary["images"]["flagged"] or summary["images"]["refused"]:
        title = "Without flagged and refused images"
        tables.append(_metric_table(title, summary["metrics_unflagged"], columns, open_=False))
    return tables


def _metric_table(
    title: str, metrics: Mapping[str, Any], columns: Mapping[str, Column], *, open_: bool
) -> dict[str, Any]:
    rows = [
        [metric_label(name), better(columns, name), str(m["n"]), number(m["mean"], name)]
        + [interval(m["ci95"], name)]
        # an sd has no sign, even where the metric has one
        + [number(m["sd"], name).lstrip("+")]
        + [number(m[key], name) for key in ("median", "min", "max")]
        for name, m in metrics.items()
        if m["n"]
    ]
    empty = [metric_label(name) for name, m in metrics.items() if not m["n"]]
    return {"title": title, "rows": rows, "empty": empty, "open": open_}


def size_table(rows: pd.DataFrame, quantity: Quantity | None, overlap: str) -> list[list[str]]:
    """Error by measured size: range, n, bias, mean and max error, mean overlap."""
    if quantity is None or len(pairs := quantity.pairs(rows)) < 2:
        return []
    smallest, largest = float(pairs.measured.min()), float(pairs.measured.max())
    steps = MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10])
    ticks = steps.tick_values(smallest, max(largest, smallest + 1) + 1e-9)
    edges = np.round(ticks, 6)  # a tick of 40.00000000000001 would lose the image at 40
    labels = [f"{low:g} to {high:g}" for low, high in itertools.pairwise(edges)]
    sizes = pd.cut(pairs.measured, edges, right=False, labels=labels)
    signed, absolute = quantity.error, quantity.absolute
    measured = pairs.rows.assign(**{signed: pairs.errors, absolute: np.abs(pairs.errors)})
    return [
        [
            label,
            str(len(group)),
            _mean(group, signed),
            _mean(group, absolute),
            number(group[absolute].max(), absolute),
            _mean(group, overlap),
        ]
        for label, group in measured.groupby(sizes, observed=True)
    ]


def flag_table(rows: pd.DataFrame, error: str) -> list[dict[str, str]]:
    """For each flag the number of images, their mean error, and an example of its text."""
    codes = rows["flags"].map(lambda text: list(dict.fromkeys(flag_codes(text))))
    by_code = rows.assign(code=codes).explode("code").groupby("code", sort=False)
    unflagged = rows[(rows[["flags", "refused", "error"]] == "").all(axis=1)]
    table = [
        {
            "code": code,
            "n": str(len(flagged)),
            "error": _mean(flagged, error),
            "example": next(
                flag.message for flag in split_flags(flagged["flags"].iloc[0]) if flag.code == code
            ),
        }
        for code, flagged in sorted(by_code, key=lambda item: -len(item[1]))
    ]
    if table:
        example = "for comparison: all measurements without a flag"
        error_text = _mean(unflagged, error)
        table.append(
            {"code": "none", "n": str(len(unflagged)), "error": error_text, "example": example}
        )
    return table


def _mean(rows: pd.DataFrame, name: str) -> str:
    return number(spread(numbers(rows, name))["mean"], name)


def refused_and_failed(rows: pd.DataFrame) -> list[dict[str, str]]:
    """Every image without a measurement, with its reason; failed ones first."""
    return [
        {"id": row["id"], "kind": kind, "reason": row[column]}
        for kind, column in (("failed", "error"), ("refused", "refused"))
        for row in rows[rows[column] != ""].to_dict("records")
    ]
