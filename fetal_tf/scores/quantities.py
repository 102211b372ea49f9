"""Measured quantities of an evaluation: their names, their columns, and their pairs of values."""

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
    """A column's stem as people write it: `hc` → `HC`, `lv_width` → `LV width`."""
    if name in _PHRASES:
        return _PHRASES[name]
    words = [
        word.upper() if word in _ABBREVIATIONS else _SPELLING.get(word, word)
        for word in name.split("_")
    ]
    return " ".join(words)


@dataclass(frozen=True)
class Quantity:
    """A measurement with the columns that a row holds of it: `hc_mm`, `hc_true_mm`, `hc_error_mm`.

    Attributes:
        stem: the columns' first part.
        unit: of all three columns.
    """

    stem: str
    unit: str

    @property
    def name(self) -> str:
        """As people write it."""
        return written(self.stem)

    def columns(self) -> tuple[Column, ...]:
        """What a row holds of it; the errors are published.

        A length has an error in per cent beside the one in its unit, see `measurement_errors`.
        """
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
        """The unit as people write it behind a value."""
        return UNITS.get(self.unit, self.unit)

    @property
    def error_sign(self) -> str:
        """… behind a difference: 44 % and 42 % are apart by 2 pp, percentage points."""
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
    """Predicted and measured values of the same images, [N] each, and which carry a flag."""

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

        One pair has no spread: its limits are NaN.
        """
        bias = float(self.errors.mean())
        spread = 1.96 * float(self.errors.std(ddof=1)) if len(self) > 1 else float("nan")
        return bias, bias - spread, bias + spread


def measurement_errors(
    record: Mapping[str, Any], reference: Mapping[str, float], quantities: Iterable[str]
) -> dict[str, float | None]:
    """Each quantity as measured, as the expert has it, and the difference.

    Args:
        record: measured values by name with unit, `{"hc_mm": 172.1, …}`; None or absent where
            nothing was measured.
        reference: the expert's values under the same names; absent where he gave none.
        quantities: names without unit, `("hc", "bpd", "ofd")`.

    Returns:
        For a quantity q: `q_mm`, `q_true_mm`, `q_error_mm` (measured minus true: positive is too
        large), `q_abs_error_mm` and `q_error_percent` (signed, of the true value). What cannot be
        known is None.

    Raises:
        DataError: a reference that is not above zero.
    """
    row: dict[str, float | None] = {}
    for quantity in quantities:
        measured, true = record.get(f"{quantity}_mm"), reference.get(f"{quantity}_mm")
        if true is not None and not true > 0:
            raise DataError(f"reference {quantity}_mm must be above zero, found {true!r}")
        error = None if measured is None or true is None else float(measured - true)
        row[f"{quantity}_mm"] = measured
        row[f"{quantity}_true_mm"] = true
        row[f"{quantity}_error_mm"] = error
        row[f"{quantity}_abs_error_mm"] = None if error is None else abs(error)
        row[f"{quantity}_error_percent"] = (
            None if error is None or true is None else 100 * error / true
        )
    return row
