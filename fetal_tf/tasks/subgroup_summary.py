"""Figures of heads by size and by dataset, which a mean over all images hides."""

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd

from fetal_tf.scores.rows import numbers
from fetal_tf.scores.statistics import spread, summarise

# Head circumference in mm: the INTERGROWTH-21st medians at 14, 20 and 28 weeks, rounded.
SIZE_LIMITS_MM = (100, 175, 260)
SIZES = ("hc_below_100_mm", "hc_100_to_175_mm", "hc_175_to_260_mm", "hc_from_260_mm")
METRICS = ("dice", "hc_abs_error_mm", "hc_error_mm", "bpd_abs_error_mm", "ofd_abs_error_mm")
FIRST_SOURCE = "first"
_NO_SIZE = "hc_unknown"


def subgroup_section(rows: pd.DataFrame, seed: int) -> dict[str, Any]:
    """`subgroups` of `summary.json`, for rows of heads.

    Args:
        rows: scored, as `SegmentationTask.evaluate` makes them.
        seed: of the bootstrap over groups.

    Returns:
        `size`: by the expert's circumference, `hc_below_100_mm`, `hc_100_to_175_mm` …; `source`,
        where several datasets are mixed: by their names, the first one's as `first`. Each holds
        `n`, `flagged`, `metrics` (see `fetal_tf.scores.statistics.summarise`) and
        `largest_unflagged_error_mm`, of HC, None where nothing is known. Empty groups are left out.
    """
    edges = [-np.inf, *SIZE_LIMITS_MM, np.inf]
    sizes = pd.cut(numbers(rows, "hc_true_mm"), edges, right=False, labels=SIZES)
    found = {"size": _described(rows, sizes.add_categories(_NO_SIZE).fillna(_NO_SIZE), seed)}
    if "source" in rows and rows["source"].nunique() > 1:
        sources = rows["source"].replace("", FIRST_SOURCE)
        order = sorted(set(sources), key=lambda name: (name != FIRST_SOURCE, name))
        found["source"] = _described(rows, pd.Categorical(sources, order), seed)
    return {"subgroups": found}


def _described(rows: pd.DataFrame, names: pd.Categorical, seed: int) -> dict[Hashable, Any]:
    groups = rows.groupby(names, observed=True)
    return {name: _figures(of_group, seed) for name, of_group in groups}


def _figures(rows: pd.DataFrame, seed: int) -> dict[str, Any]:
    patients = list(rows["group"])
    measured, flagged = rows["refused"] == "", rows["flags"] != ""
    errors = np.abs(numbers(rows[measured & ~flagged], "hc_error_mm"))
    return {
        "n": len(rows),
        "flagged": int((measured & flagged).sum()),
        "metrics": {name: summarise(numbers(rows, name), seed, patients) for name in METRICS},
        "largest_unflagged_error_mm": spread(errors)["max"],
    }
