"""Measured quantities: their names, their columns, their errors, their limits of agreement."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fetal_tf.edge.errors import DataError
from fetal_tf.scores.columns import UNITS, Column
from fetal_tf.scores.rows import numbers

_SPELLING = {"dice": "Dice", "iou": "IoU", "f1": "F1"}
_ABBREVIATIONS = ("hc", "bpd", "ofd", "csp", "lv", "ctr", "focus", "roc", "pr", "auc", "hd95")
_PHRASES = {f"ctr_{by}": f"CTR by {by}" for by in ("diameter", "area", "circumference")}


def written(name: str) -> str:
    """A column's stem in words: `hc` → `HC`, `lv_width` → `LV width`."""
    if name in _PHRASES:
        return _PHRASES[name]
    words = [
        word.upper() if word in _ABBREVIATIONS else _SPELLING.get(word, word)
        for word in name.split("_")
    ]
    return " ".join(words)


@dataclass(frozen=True)
class Quantity:
    """A measurement and its columns in a row: `Quantity("hc", "mm")` has `hc_mm`, `hc_true_mm` …

    Attributes:
        stem: first part of the columns' names.
        unit: last part of their names.
    """

    stem: str
    unit: str

    @property
    def name(self) -> str:
        """In words, see `written`."""
        return written(self.stem)

    def columns(self) -> tuple[Column, ...]:
        """Its columns in a row, see `measurement_errors`; the errors are published."""
        relative = Column(f"{self.stem}_error_percent", "near 0", published=True)
        return (
            Column(self.predicted, compared=True),
            Column(self.measured),
            Column(self.error, "near 0", published=True),
            Column(self.absolute, "lower", published=True),
            *([relative] if relative.name != self.error else []),
        )

    @property
    def predicted(self) -> str:
        return f"{self.stem}_{self.unit}"

    @property
    def measured(self) -> str:
        return f"{self.stem}_true_{self.unit}"

    @property
    def error(self) -> str:
        return f"{self.stem}_error_{self.unit}"

    @property
    def absolute(self) -> str:
        return f"{self.stem}_abs_error_{self.unit}"

    @property
    def unit_sign(self) -> str:
        """The unit of a value in print, such as `mm²`."""
        return UNITS.get(self.unit, self.unit)

    @property
    def error_sign(self) -> str:
        """The unit of a difference in print: 44 % - 42 % is 2 pp (percentage points)."""
        return "pp" if self.unit == "percent" else self.unit_sign

    def pairs(self, rows: pd.DataFrame) -> "Pairs":
        """The images that have both values."""
        values = numbers(rows, self.predicted, self.measured)
        both = np.isfinite(values).all(axis=1)
        flagged = (rows["flags"] != "").to_numpy()
        predicted, measured = values[both].T
        return Pairs(predicted, measured, flagged[both], rows[both])


@dataclass(frozen=True)
class Pairs:
    """Predicted and true values of the same images, [N] each, and which images are flagged."""

    predicted: np.ndarray
    measured: np.ndarray
    flagged: np.ndarray
    rows: pd.DataFrame

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def errors(self) -> np.ndarray:
        return self.predicted - self.measured

    def limits(self) -> tuple[float, float, float]:
        """Bias and the 95 % limits of agreement, bias ∓ 1.96 sd (Bland & Altman 1986).

        The limits of a single pair are NaN.
        """
        bias = float(self.errors.mean())
        spread = 1.96 * float(self.errors.std(ddof=1)) if len(self) > 1 else float("nan")
        return bias, bias - spread, bias + spread


def measurement_errors(
    record: Mapping[str, Any],
    reference: Mapping[str, Any],
    stems: Iterable[str],
    unit: str = "mm",
) -> dict[str, float | None]:
    """Measured value, true value and error of each quantity.

    Args:
        record: measured values by name with unit, `{"hc_mm": 172.1, …}`; None or absent where
            nothing was measured.
        reference: the expert's values under the same names; None or absent where there is none.
        stems: names without unit, `("hc", "bpd", "ofd")`.
        unit: of all values.

    Returns:
        For a quantity q in mm: `q_mm`, `q_true_mm`, `q_error_mm` (measured minus true),
        `q_abs_error_mm` and `q_error_percent` (signed, of the true value). The error of a quantity
        in per cent is in percentage points, and the only one. None where a value is missing.

    Raises:
        DataError: a reference that is not above zero.
    """
    row: dict[str, float | None] = {}
    for quantity in (Quantity(stem, unit) for stem in stems):
        name = quantity.predicted
        measured, true = record.get(name), reference.get(name)
        if true is not None and not true > 0:
            raise DataError(f"reference {name} must be above zero, found {true!r}")
        error = None if measured is None or true is None else float(measured - true)
        row |= {name: measured, quantity.measured: true, quantity.error: error}
        row[quantity.absolute] = None if error is None else abs(error)
        if unit != "percent":
            relative = None if error is None else 100 * error / reference[name]
            row[f"{quantity.stem}_error_percent"] = relative
    return row
