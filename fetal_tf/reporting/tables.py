"""The report's words and tables: numbers as people read them, every table a list of text cells."""

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from fetal_tf.evaluation.evaluate import flag_codes
from fetal_tf.scores.overlap import finite
from fetal_tf.scores.quantities import UNITS, Quantity, written
from fetal_tf.tasks.task import Row

DASH = "\N{EN DASH}"  # stands for "no value"
LABELS = {
    "iou": "IoU",
    "ssim": "SSIM",
    "hd95_mm": "HD95 (mm)",
    "mask_dice": "Dice of the raw mask",
    "mask_iou": "IoU of the raw mask",
    "radial_error_px": "Radial error (px)",
    "radial_error_strict_px": "Radial error by name (px)",
    "ofd_nme": "OFD, error / length",
    "bpd_nme": "BPD, error / length",
}
# A distance, which is never negative, and not the difference of two lengths.
_RADIAL = re.compile(r"radial_error(_strict)?_px|[a-z]+_nme")
_SUCCESS = re.compile(r"success_(\d+)px")
# What is itself measured in per cent: its error is a difference in percentage points.
_IN_PERCENT = ("ctr_",)


def metric_label(name: str) -> str:
    """A metric's name as people write it: `hc_abs_error_mm` → `|ΔHC| (mm)`."""
    if name in LABELS:
        return LABELS[name]
    if match := _SUCCESS.fullmatch(name):
        return f"Landmarks within {match[1]} px"
    if match := re.fullmatch(r"([a-z0-9_]+?)_(abs_)?error_([a-z0-9]+)", name):
        bar, unit = "|" if match[2] else "", UNITS.get(match[3], match[3])
        if unit == "%" and match[1].startswith(_IN_PERCENT):
            unit = "pp"
        return f"{bar}Δ{written(match[1])}{bar} ({unit})"
    stem, _, unit = name.rpartition("_")
    words = written(stem) + f" ({UNITS[unit]})" if stem and unit in UNITS else written(name)
    return words[0].upper() + words[1:]


def better(name: str) -> str:
    """Which way a metric improves: `higher`, `lower`, or `near 0` for a signed error."""
    if _RADIAL.fullmatch(name):
        return "lower"
    if re.search(r"(?<!abs)_error_", name):
        return "near 0"
    lower = r"error|distance|hd95|mismatch|anomaly|shape_score|plane_score|disagreement"
    return "lower" if re.search(lower, name) else "higher"


def number(value: float | None, name: str) -> str:
    """A metric's value for reading: millimetres, pixels and per cent to 2 places, shares to 4."""
    if value is None or not np.isfinite(value):
        return DASH
    share = _SUCCESS.fullmatch(name) or not name.endswith(("mm", "px", "percent"))
    places = 4 if share else 2
    sign = "+" if better(name) == "near 0" else ""
    return f"{value:{sign}.{places}f}".replace("-", "\N{MINUS SIGN}")


def interval(ci95: Sequence[float | None], name: str) -> str:
    """`low to high`, or a dash where there is no interval."""
    low, high = ci95
    return DASH if low is None else f"{number(low, name)} to {number(high, name)}"


def plural(count: int, noun: str) -> str:
    """`1 image`, `2 images`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def metric_tables(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All images; and, folded away, those that nothing was held against."""
    tables = [_metric_table("All images", summary["metrics"], open_=True)]
    if summary["images"]["flagged"] or summary["images"]["refused"]:
        title = "Without flagged and refused images"
        tables.append(_metric_table(title, summary["metrics_unflagged"], open_=False))
    return tables


def _metric_table(title: str, metrics: Mapping[str, Any], *, open_: bool) -> dict[str, Any]:
    rows = [
        [metric_label(name), better(name), str(m["n"]), number(m["mean"], name)]
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
