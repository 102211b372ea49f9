"""Columns of a task's rows: their units, their direction, which are published and compared.

A task declares its columns once; evaluation, parity, report, comparison and training read them::

    columns = declare(figures("dice", better="higher"), values("hc_mm"), facts("mm_per_pixel"))
    better(columns, "val_dice")  # "higher"
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Better = Literal["higher", "lower", "near 0", "neither"]
# Weights of an exported file: 32-bit, 16-bit, 8-bit.
Precision = Literal["full", "half", "quantized"]
ParityLimits = Mapping[Precision, Mapping[str, float]]
# Unit at the end of a column's name → unit in print.
UNITS = {
    "mm": "mm",
    "mm2": "mm²",
    "px": "px",
    "percent": "%",
    "deg": "°",
    "weeks": "weeks",
    "days": "days",
}
POOLED = "pooled_"  # prefix of a figure that is pooled over the pixels of all images
LOSS = "loss"  # Keras' name
_PART = "."  # separator in a figure's path in a summary, such as `pixels.heart.roc_auc`
_SPREADS = ("sd", "n")  # neither direction is better


@dataclass(frozen=True)
class Column:
    """A numeric column of an evaluation's rows, or a metric of training.

    Attributes:
        name: with its unit last, such as `hc_abs_error_mm`.
        better: which way it improves; `near 0` for a signed error, `neither` for a measurement.
        published: whether `summary.json` states its mean, spread and interval.
        compared: whether parity compares the values of exported files and float model. Columns that
            follow from others, such as the error of a measurement, are not compared.
    """

    name: str
    better: Better = "neither"
    published: bool = False
    compared: bool = False


def figures(*names: str, better: Better, compared: bool = True) -> tuple[Column, ...]:
    """Published columns that improve the same way."""
    return tuple(Column(name, better, published=True, compared=compared) for name in names)


def values(*names: str) -> tuple[Column, ...]:
    """Measurements: no direction, not published, compared by parity."""
    return tuple(Column(name, compared=True) for name in names)


def facts(*names: str) -> tuple[Column, ...]:
    """Numbers of the image or its ground truth: not published, not compared."""
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
        name: a column; a figure's path in a summary, such as `metrics.csp_dice.sd` or
            `pixels.heart.roc_auc`; a pooled figure; or a training metric such as `val_dice`.

    Returns:
        The declared direction; `neither` for an undeclared name.
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
