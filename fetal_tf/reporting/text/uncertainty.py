"""The uncertainty study as `summary.json` and as text for the screen."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from fetal_tf.analysis.uncertain_quantities import LANDMARK_POINTS, Uncertain, column_name
from fetal_tf.edge.errors import DataError
from fetal_tf.evaluation.provenance import Evaluated
from fetal_tf.reporting.text.table import text_table
from fetal_tf.scores.risk_coverage import (
    REFUSED_SHARES,
    mean_or_none,
    risk_coverage,
    spearman,
    worst_found,
)
from fetal_tf.scores.rows import numbers, scored
from fetal_tf.scores.wording import DASH, metric_label, number
from fetal_tf.tasks.task import Task

SCHEMA = 1


def main_first(quantities: Sequence[Uncertain], task: Task) -> list[Uncertain]:
    """Sort: all landmarks together and the task's own quantities first, single points last."""
    own = {*task.headline, *(quantity.absolute for quantity in task.quantities)}

    def place(quantity: Uncertain) -> int:
        main = quantity.name == LANDMARK_POINTS or quantity.column("abs_error") in own
        return 0 if main else 2 if quantity.is_place else 1

    return sorted(quantities, key=place)


def pairs_of(
    rows: pd.DataFrame, quantity: Uncertain, method: str
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Spread [N] and absolute error [N] of the images that have both, and their groups."""
    spread = quantity.column(f"{column_name(method)}_spread")
    values = numbers(rows, spread, quantity.column("abs_error"))
    both = np.isfinite(values).all(axis=1)
    return *values[both].T, list(rows["group"][both])


def uncertainty_record(
    rows: pd.DataFrame,
    quantities: Sequence[Uncertain],
    methods: Sequence[str],
    evaluated: Evaluated,
    samples: int,
    seed: int,
) -> dict[str, Any]:
    """The content of the study's `summary.json`.

    Returns:
        `evaluated`, `images`, `groups`, `failed`, `samples` (answers per image), and `methods`:
        method → `unmeasured_share` of the answers and `quantities`: name → `n`, `mean_error` of the
        single answer, `mean_error_of_mean` of the answers' mean (None for places), `median_spread`,
        `error_over_spread` (root mean squares: 1 where the spread is as large as the error),
        `spearman`, `worst_found` and `risk_coverage`.

    Raises:
        DataError: no quantity has both a spread and an error in any image.
    """
    measured = scored(rows)
    if not any(len(pairs_of(measured, q, m)[0]) for q in quantities for m in methods):
        raise DataError("no image has both an expert's value and two answers that were measured")
    return {
        "schema": SCHEMA,
        "phantom": evaluated.phantom,
        "images": len(rows),
        "groups": rows["group"].nunique(),
        "failed": len(rows) - len(measured),
        "samples": samples,
        "evaluated": asdict(evaluated),
        "methods": {
            method: {
                "unmeasured_share": mean_or_none(
                    numbers(measured, f"{column_name(method)}_unmeasured") / samples
                ),
                "quantities": {q.name: _figures(measured, q, method, seed) for q in quantities},
            }
            for method in methods
        },
    }


def _figures(rows: pd.DataFrame, quantity: Uncertain, method: str, seed: int) -> dict[str, Any]:
    spread, error, groups = pairs_of(rows, quantity, method)
    of_mean = numbers(rows, quantity.column(f"{column_name(method)}_abs_error"))
    rms_spread = math.sqrt(float((spread**2).mean())) if len(spread) else 0.0
    return {
        "n": len(error),
        "mean_error": mean_or_none(error),
        "mean_error_of_mean": mean_or_none(of_mean[np.isfinite(of_mean)]),
        "median_spread": float(np.median(spread)) if len(spread) else None,
        "error_over_spread": math.sqrt(float((error**2).mean())) / rms_spread
        if rms_spread
        else None,
        "spearman": spearman(spread, error, groups, seed),
        "worst_found": worst_found(spread, error),
        "risk_coverage": risk_coverage(spread, error),
    }


def screen_text(record: Mapping[str, Any]) -> str:
    """Format a table with a row per method and quantity."""
    head = ["", "n", "mean error", "of the mean", "median spread", "Spearman (95 % interval)"]
    head += ["worst found", *(f"keep {1 - share:.0%}" for share in REFUSED_SHARES[1:])]
    table = [head]
    for method, found in record["methods"].items():
        for name, figures in found["quantities"].items():
            if not figures["n"]:
                continue
            low, high = figures["spearman"]["ci95"]
            between = "" if low is None else f" ({low:.2f} to {high:.2f})"
            value = figures["spearman"]["value"]
            table.append(
                [
                    f"{method}: {metric_label(name)}",
                    str(figures["n"]),
                    *(
                        number(figures[key], name)
                        for key in ("mean_error", "mean_error_of_mean", "median_spread")
                    ),
                    DASH if value is None else f"{value:.2f}{between}",
                    f"{figures['worst_found']:.0%}",
                    *(number(p["mean_error"], name) for p in figures["risk_coverage"][1:]),
                ]
            )
    return text_table(table)
