"""Does the expected error tell which heads are measured wrongly? By the rows of an evaluation."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fetal_tf.risk_coverage import mean_or_none, risk_coverage, spearman
from fetal_tf.scores import finite
from fetal_tf.tasks.task import Row

REFUSED_SHARES = (0.0, 0.05, 0.1, 0.2)
EXPECTED = "hc_expected_error_percent"
_COLUMNS = (EXPECTED, "hc_error_percent", "hc_abs_error_mm")


def judged(rows: Sequence[Row]) -> list[Row]:
    """The rows that hold an expected error and the real one."""
    return [row for row in rows if all(finite(row.get(name)) is not None for name in _COLUMNS)]


def expected_and_errors(rows: Sequence[Row]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of `judged` rows: expected |ΔHC| in %, the real one in %, and in mm, each [N]."""
    values = np.array([[row[name] for name in _COLUMNS] for row in rows], np.float64)
    expected, percent, mm = np.abs(values.reshape(-1, len(_COLUMNS))).T
    return expected, percent, mm


def confidence_section(rows: Sequence[Row], seed: int) -> dict[str, Any]:
    """`confidence` of `summary.json`.

    Args:
        rows: of a task that measures heads.
        seed: of the bootstrap.

    Returns:
        `confidence`: None where no row holds an expected error and a real one; else `n`,
        `spearman` of the two (see `risk_coverage.spearman`), `thirds` by expected error, the
        smallest first: `n`, `mean_expected_percent`, `mean_error_percent`; and `risk_coverage`, per
        `refused_share` of the least certain images `n` that are kept, `mean_error_mm` and
        `mean_error_percent` of theirs. All errors are absolute, of HC.
    """
    known = judged(rows)
    if not known:
        return {"confidence": None}
    expected, percent, mm = expected_and_errors(known)
    in_percent = risk_coverage(expected, percent, REFUSED_SHARES)
    in_mm = risk_coverage(expected, mm, REFUSED_SHARES)
    found = {
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
            {
                "refused_share": by_percent["refused_share"],
                "n": by_percent["kept"],
                "mean_error_mm": by_mm["mean_error"],
                "mean_error_percent": by_percent["mean_error"],
            }
            for by_percent, by_mm in zip(in_percent, in_mm, strict=True)
        ],
    }
    return {"confidence": found}
