"""The report's words and tables: numbers as people read them, every table a list of text cells."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from fetal_tf.scores.columns import Column, better
from fetal_tf.scores.quantities import Quantity
from fetal_tf.scores.rows import Row, flag_codes
from fetal_tf.scores.statistics import finite
from fetal_tf.scores.wording import DASH, interval, metric_label, number


def metric_tables(
    summary: Mapping[str, Any], columns: Mapping[str, Column]
) -> list[dict[str, Any]]:
    """All images; and, folded away, those that nothing was held against."""
    tables = [_metric_table("All images", summary["metrics"], columns, open_=True)]
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
        # a spread has no sign, whatever the metric has
        + [number(m["sd"], name).lstrip("+")]
        + [number(m[key], name) for key in ("median", "min", "max")]
        for name, m in metrics.items()
        if m["n"]
    ]
    empty = [metric_label(name) for name, m in metrics.items() if not m["n"]]
    return {"title": title, "rows": rows, "empty": empty, "open": open_}


def size_table(rows: Sequence[Row], quantity: Quantity | None, overlap: str) -> list[list[str]]:
    """Error by measured size, in steps that follow the data: range, n, bias, mean and max error."""
    if quantity is None or len(pairs := quantity.pairs(rows)) < 2:
        return []
    smallest, largest = float(pairs.measured.min()), float(pairs.measured.max())
    steps = MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10])
    ticks = steps.tick_values(smallest, max(largest, smallest + 1) + 1e-9)
    edges = np.round(ticks, 6)  # a tick of 40.00000000000001 would lose the image at 40
    signed, absolute = quantity.error, quantity.absolute
    table = []
    for low, high in itertools.pairwise(edges):
        inside = np.flatnonzero((pairs.measured >= low) & (pairs.measured < high))
        if len(inside):
            errors = pairs.errors[inside]
            table.append(
                [
                    f"{low:g} to {high:g}",
                    str(len(inside)),
                    number(float(errors.mean()), signed),
                    number(float(np.abs(errors).mean()), absolute),
                    number(float(np.abs(errors).max()), absolute),
                    _mean([pairs.rows[i] for i in inside], overlap),
                ]
            )
    return table


def flag_table(rows: Sequence[Row], error: str) -> list[dict[str, str]]:
    """Per flag: how many images, how wrong they are in the mean, one example in words."""
    by_code: dict[str, list[Row]] = {}
    for row in rows:
        for code in dict.fromkeys(flag_codes(row.get("flags"))):
            by_code.setdefault(code, []).append(row)
    unflagged = [r for r in rows if not (r.get("flags") or r.get("refused") or r.get("error"))]
    table = [
        {
            "code": code,
            "n": str(len(flagged)),
            "error": _mean(flagged, error),
            "example": next(
                part.partition(":")[2].strip()
                for part in str(flagged[0]["flags"]).split("; ")
                if flag_codes(part) == [code]
            ),
        }
        for code, flagged in sorted(by_code.items(), key=lambda item: -len(item[1]))
    ]
    if table:
        example = "for comparison: all measurements without a flag"
        error_text = _mean(unflagged, error)
        table.append(
            {"code": "none", "n": str(len(unflagged)), "error": error_text, "example": example}
        )
    return table


def _mean(rows: Sequence[Row], name: str) -> str:
    values = [value for row in rows if (value := finite(row.get(name))) is not None]
    return number(float(np.mean(values)), name) if values else DASH


def refused_and_failed(rows: Sequence[Row]) -> list[dict[str, str]]:
    """Every image without a measurement, with its reason; failed ones first."""
    failed = [
        {"id": str(r["id"]), "kind": "failed", "reason": str(r["error"])}
        for r in rows
        if r.get("error")
    ]
    refused = [
        {"id": str(r["id"]), "kind": "refused", "reason": str(r["refused"])}
        for r in rows
        if r.get("refused")
    ]
    return [*failed, *refused]
