"""Labels and number formats of metrics for reports and tables."""

import re
from collections.abc import Sequence

import numpy as np

from fetal_tf.scores.columns import UNITS
from fetal_tf.scores.quantities import written

DASH = "\N{EN DASH}"  # no value
LABELS = {
    "iou": "IoU",
    "ssim": "SSIM",
    "hd95_mm": "HD95 (mm)",
    "mask_dice": "Dice of the raw mask",
    "mask_iou": "IoU of the raw mask",
    "heart_dice": "Heart mask Dice",  # FOCUS' own is that of the ellipses
    "thorax_dice": "Thorax mask Dice",
    "radial_error_px": "Radial error (px)",
    "radial_error_strict_px": "Radial error by name (px)",
    "ofd_nme": "OFD, error / length",
    "bpd_nme": "BPD, error / length",
}
_SUCCESS = re.compile(r"success_(\d+)px")
# A difference, measured minus true. Distances and expected errors are never negative.
_SIGNED = re.compile(r"\w+(?<!_abs)(?<!_expected)_error_(mm|mm2|percent)")
# Quantities in per cent: their errors are in percentage points.
_IN_PERCENT = ("ctr_",)


def metric_label(name: str) -> str:
    """A metric's name in words: `hc_abs_error_mm` → `|ΔHC| (mm)`."""
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


def number(value: float | None, name: str) -> str:
    """A metric's value as text: mm, px and per cent with 2 decimals, shares with 4."""
    if value is None or not np.isfinite(value):
        return DASH
    share = _SUCCESS.fullmatch(name) or not name.endswith(("mm", "px", "percent"))
    places = 4 if share else 2
    sign = "+" if _SIGNED.fullmatch(name) else ""
    return f"{value:{sign}.{places}f}".replace("-", "\N{MINUS SIGN}")


def interval(ci95: Sequence[float | None], name: str) -> str:
    """`low to high`; a dash without an interval."""
    low, high = ci95
    return DASH if low is None else f"{number(low, name)} to {number(high, name)}"


def plural(count: int, noun: str) -> str:
    """`1 image`, `2 images`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
