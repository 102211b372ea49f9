"""How well the expected error predicts the real one, over the images of an evaluation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fetal_tf.scores.risk_coverage import mean_or_none, risk_coverage, spearman
from fetal_tf.scores.rows import numbers

REFUSED_SHARES = (0.0, 0.05, 0.1, 0.2)


@dataclass(frozen=True)
class Doubted:
    """A quantity with an expected error, and the names of its columns.

    Attributes:
        quantity: as the columns spell it.
        title: as people do.
        unit: of its error in per cent, in words.
        in_mm: whether there is an error in millimetres beside the one in per cent.
    """

    quantity: str
    title: str
    unit: str
    in_mm: bool

    @property
    def expected(self) -> str:
        """Column of the expected error, per cent."""
        return f"{self.quantity}_expected_error_percent"

    @property
    def errors(self) -> tuple[str, ...]:
        """Columns of the real one: per cent first, and mm where there is one."""
        percent = f"{self.quantity}_error_percent"
        return (percent, f"{self.quantity}_abs_error_mm") if self.in_mm else (percent,)


HC = Doubted("hc", "HC", "%", in_mm=True)
CTR = Doubted("ctr_diameter", "the CTR by diameter", "percentage points", in_mm=False)
QUANTITIES: Mapping[str, Doubted] = {doubted.quantity: doubted for doubted in (HC, CTR)}


def expected_and_errors(rows: pd.DataFrame, doubted: Doubted) -> tuple[list[np.ndarray], list[str]]:
    """The images that have an expected error and the real one.

    Returns:
        The expected absolute error in % and each of `errors`, [N] each; and the images' groups.
    """
    values = numbers(rows, doubted.expected, *doubted.errors)
    known = np.isfinite(values).all(axis=1)
    return list(np.abs(values[known]).T), list(rows["group"][known])


def confidence_section(rows: pd.DataFrame, seed: int, doubted: Doubted) -> dict[str, Any]:
    """`confidence` of `summary.json`.

    Args:
        rows: of a task that expects an error.
        seed: of the bootstrap.
        doubted: whose.

    Returns:
        `confidence`: None where no row holds an expected error and a real one; else `quantity`,
        `n`, `spearman` of the two (see `risk_coverage.spearman`), `thirds` by expected error, the
        smallest first: `n`, `mean_expected_percent`, `mean_error_percent`; and `risk_coverage`, per
        `refused_share` of the least certain images `n` that are kept, `mean_error_percent` of
        theirs and, of a length, `mean_error_mm`. All errors are absolute; of a ratio, per cent are
        points.
    """
    (expected, *errors), groups = expected_and_errors(rows, doubted)
    if not groups:
        return {"confidence": None}
    percent = errors[0]
    kept = [risk_coverage(expected, error, REFUSED_SHARES) for error in errors]
    names = ("mean_error_percent", "mean_error_mm")[: len(errors)]
    found = {
        "quantity": doubted.quantity,
        "n": len(groups),
        "spearman": spearman(expected, percent, groups, seed),
        "thirds": [
            {
                "n": len(third),
                "mean_expected_percent": mean_or_none(expected[third]),
                "mean_error_percent": mean_or_none(percent[third]),
            }
            for third in np.array_split(np.argsort(expected, kind="stable"), 3)
        ],
        "risk_coverage": [
            {"refused_share": points[0]["refused_share"], "n": points[0]["kept"]}
            | {name: point["mean_error"] for name, point in zip(names, points, strict=True)}
            for points in zip(*kept, strict=True)
        ],
    }
    return {"confidence": found}
