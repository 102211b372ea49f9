"""Columns: what the rows of a task hold, and what each figure is good for.

A task declares its columns once. Evaluation, parity, report, comparison and training ask here
which figures are published, which an exported file must keep, and which way each one improves.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Better = Literal["higher", "lower", "near 0", "neither"]
# How an exported file computes: in 32-bit floats, from 16-bit weights, from 8-bit weights.
Precision = Literal["full", "half", "quantized"]
ParityLimits = Mapping[Precision, Mapping[str, float]]
# The units that a name may end in, as people write them.
UNITS = {
    "mm": "mm",
    "mm2": "mm²",
    "px": "px",
    "percent": "%",
    "deg": "°",
    "weeks": "weeks",
    "days": "days",
}
POOLED = "pooled_"  # in front of a figure that is pooled over the pixels of all images
LOSS = "loss"  # what Keras calls the sum that training lowers
_PART = "."  # of dotted names of figures in a summary, such as `pixels.heart.roc_auc`
_SPREADS = ("sd", "n")  # of a figure: more of it is neither better nor worse


@dataclass(frozen=True)
class Column:
    """A numeric column of an evaluation's rows, or a figure that training follows.

    Attributes:
        name: with its unit last, such as `hc_abs_error_mm`.
        better: which way it improves; `near 0` for a signed error, `neither` for a measurement.
        published: `summary.json` describes it: mean, spread, interval.
        compared: parity holds the value of an exported file against the float model's. A column
            that only repeats another one, such as the error of a measurement, is not.
    """

    name: str
    better: Better = "neither"
    published: bool = False
    compared: bool = False


def figures(*names: str, better: Better, compared: bool = True) -> tuple[Column, ...]:
    """Published figures that improve the same way."""
    return tuple(Column(name, better, published=True, compared=compared) for name in names)


def values(*names: str) -> tuple[Column, ...]:
    """Measurements: neither good nor bad, not published, the same for every exported file."""
    return tuple(Column(name, compared=True) for name in names)


def facts(*names: str) -> tuple[Column, ...]:
    """Numbers that say something about the image or its truth, and nothing about the model."""
    return tuple(Column(name) for name in names)


def declare(*groups: Iterable[Column]) -> dict[str, Column]:
    """The columns of a task by name, in the order in which they are published.

    Raises:
        ValueError: a name is declared twice.
    """
    columns: dict[str, Column] = {}
    for column in (column for group in groups for column in group):
        if column.name in columns:
            raise ValueError(f"column {column.name} is declared twice")
        columns[column.name] = column
    return columns


def better(columns: Mapping[str, Column], name: str) -> Better:
    """Which way a figure improves.

    Args:
        columns: as the task declares them.
        name: a column; a figure of a summary by its dotted name, such as `metrics.csp_dice.sd` or
            `pixels.heart.roc_auc`; a pooled one; or what training follows, such as `val_dice`.

    Returns:
        `neither` for what the task does not declare.
    """
    name = name.removeprefix("val_").removeprefix(POOLED)
    if name == LOSS:
        return "lower"
    *sections, last = name.split(_PART)
    if last in _SPREADS:
        return "neither"
    # `pixels.heart.roc_auc` and `metrics.heart_roc_auc.mean` are figures of `heart_roc_auc`.
    candidates = (last, "_".join([*sections[1:], last]), *reversed(sections))
    known = (columns[candidate].better for candidate in candidates if candidate in columns)
    return next(known, "neither")
