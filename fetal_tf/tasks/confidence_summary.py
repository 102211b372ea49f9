"""Does the expected error tell which images are measured wrongly? By the rows of an evaluation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fetal_tf.scores.risk_coverage import mean_or_none, risk_coverage, spearman
from fetal_tf.scores.rows import Row
from fetal_tf.scores.statistics import finite

REFUSED_SHARES = (0.0, 0.05, 0.1, 0.2)


@dataclass(frozen=True)
class Doubted:
    """A quantity whose error is expected, by the names of its columns.

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


def judged(rows: Sequence[Row], doubted: Doubted) -> list[Row]:
    """The rows that hold an expected error and the real one."""
    columns = (doubted.expected, *doubted.errors)
    return [row for row in rows if all(finite(row.get(name)) is not None for name in columns)]


def expected_and_errors(rows: Sequence[Row], doubted: Doubted) -> list[np.ndarray]:
    """Of `judged` rows: the expected absolute error in %, and each of `errors`, every one [N]."""
    columns = (doubted.expected, *doubted.errors)
    values = np.array([[row[name] for name in columns] for row in rows], np.float64)
    return list(np.abs(values.reshape(-1, len(columns))).T)


def confidence_section(rows: Sequence[Row], seed: int, doubted: Doubted) -> dict[str, Any]:
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
    known = judged(rows, doubted)
    if not known:
        return {"confidence": None}
    expected, *errors = expected_and_errors(known, doubted)
    percent = errors[0]
    kept = [risk_coverage(expected, error, REFUSED_SHARES) for error in errors]
    names = ("mean_error_percent", "mean_error_mm")[: len(errors)]
    found = {
        "quantity": doubted.quantity,
        "n": len(known),
        "spearman": spearman(expected, percent, [str(row["group"]) for row in known], seed),
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
