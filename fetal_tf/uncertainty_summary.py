"""Does the spread tell where the errors are: rank correlation, worst cases found, risk-coverage."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from scipy.stats import rankdata

from fetal_tf.edge.errors import DataError
from fetal_tf.evaluation import Evaluated
from fetal_tf.report_tables import DASH, metric_label, number
from fetal_tf.scores import cluster_resamples, finite, percentile_interval
from fetal_tf.tasks.task import Row, Task
from fetal_tf.uncertain_quantities import LANDMARK_POINTS, Uncertain, column_name

SCHEMA = 1
WORST_SHARE = 0.1
REFUSED_SHARES = (0.0, 0.1, 0.2, 0.3)


def main_first(quantities: Sequence[Uncertain], task: Task) -> list[Uncertain]:
    """All landmarks together and the task's own quantities before the others."""
    own = {*task.headline, *task.quantities}

    def place(quantity: Uncertain) -> int:
        main = quantity.name == LANDMARK_POINTS or quantity.column("abs_error") in own
        return 0 if main else 2 if quantity.is_place else 1

    return sorted(quantities, key=place)


def pairs_of(
    rows: Sequence[Row], quantity: Uncertain, method: str
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Spread [N] and absolute error [N] of the images that have both, and their groups."""
    spread = quantity.column(f"{column_name(method)}_spread")
    found = [
        (s, e, str(row["group"]))
        for row in rows
        if (s := finite(row.get(spread))) is not None
        and (e := finite(row.get(quantity.column("abs_error")))) is not None
    ]
    return (
        np.array([s for s, _, _ in found], np.float64),
        np.array([e for _, e, _ in found], np.float64),
        [group for _, _, group in found],
    )


def spearman(
    spread: np.ndarray, error: np.ndarray, groups: Sequence[str], seed: int
) -> dict[str, Any]:
    """Spearman's rank correlation, ties by their mean rank, with a bootstrap over groups.

    Args:
        spread: [N].
        error: absolute, [N].
        groups: the examination or patient of each image; whole groups are drawn.
        seed: of the bootstrap.

    Returns:
        `value`, None where one of them does not vary or fewer than three images are there, and
        `ci95`, `[low, high]`.
    """
    value = _rank_correlation(spread, error)
    resamples = cluster_resamples(groups, seed)
    if value is None or resamples is None:
        return {"value": value, "ci95": [None, None]}
    index, drawn = resamples
    members = [np.flatnonzero(index == group) for group in range(index.max() + 1)]
    values = []
    for names in drawn:
        chosen = np.concatenate([members[name] for name in names])
        again = _rank_correlation(spread[chosen], error[chosen])
        values.append(np.nan if again is None else again)
    return {"value": value, "ci95": percentile_interval(np.array(values))}


def _rank_correlation(a: np.ndarray, b: np.ndarray) -> float | None:
    if len(a) < 3 or not np.ptp(a) or not np.ptp(b):
        return None
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def worst_found(spread: np.ndarray, error: np.ndarray, share: float = WORST_SHARE) -> float | None:
    """Which part of the worst errors is among as many of the most uncertain images.

    Both are the upper `share` of the images, rounded up; guessing finds `share` of them. None
    without images.
    """
    if not len(error):
        return None
    count = math.ceil(share * len(error))
    worst = np.argsort(-error, kind="stable")[:count]
    doubted = np.argsort(-spread, kind="stable")[:count]
    return len(np.intersect1d(worst, doubted)) / count


def risk_coverage(
    spread: np.ndarray, error: np.ndarray, shares: Sequence[float] = REFUSED_SHARES
) -> list[dict[str, Any]]:
    """Mean error of what is kept when the most uncertain images are refused.

    Args:
        spread: [N].
        error: absolute, [N].
        shares: of the images to refuse, rounded down to whole ones.

    Returns:
        Per share `refused_share`, `kept` images, their `mean_error`, and `best_mean_error`: that of
        refusing the largest errors themselves, which nothing can be better than.
    """
    by_spread, by_error = error[np.argsort(-spread, kind="stable")], -np.sort(-error)
    found = []
    for share in shares:
        refused = math.floor(share * len(error) + 1e-9)
        found.append(
            {
                "refused_share": share,
                "kept": len(error) - refused,
                "mean_error": _mean(by_spread[refused:]),
                "best_mean_error": _mean(by_error[refused:]),
            }
        )
    return found


def uncertainty_record(
    rows: Sequence[Row],
    quantities: Sequence[Uncertain],
    methods: Sequence[str],
    evaluated: Evaluated,
    samples: int,
    seed: int,
) -> dict[str, Any]:
    """The tree of `summary.json`.

    Returns:
        `evaluated`, `images`, `groups`, `failed`, `samples` (answers per image), and `methods`:
        method → `unmeasured_share` of the answers and `quantities`: name → `n`, `mean_error` of the
        single answer, `mean_error_of_mean` of the answers' mean (None for places), `median_spread`,
        `error_over_spread` (root mean squares: 1 where the spread is as large as the error),
        `spearman`, `worst_found` and `risk_coverage`.

    Raises:
        DataError: no quantity has both a spread and an error in any image.
    """
    measured = [row for row in rows if not row.get("error")]
    if not any(len(pairs_of(measured, q, m)[0]) for q in quantities for m in methods):
        raise DataError("no image has both an expert's value and two answers that were measured")
    return {
        "schema": SCHEMA,
        "phantom": evaluated.phantom,
        "images": len(rows),
        "groups": len({row["group"] for row in rows}),
        "failed": len(rows) - len(measured),
        "samples": samples,
        "evaluated": asdict(evaluated),
        "methods": {
            method: {
                "unmeasured_share": _mean(
                    np.array([row[f"{column_name(method)}_unmeasured"] for row in measured], float)
                    / samples
                ),
                "quantities": {q.name: _figures(measured, q, method, seed) for q in quantities},
            }
            for method in methods
        },
    }


def _figures(rows: Sequence[Row], quantity: Uncertain, method: str, seed: int) -> dict[str, Any]:
    spread, error, groups = pairs_of(rows, quantity, method)
    of_mean = [
        value
        for row in rows
        if (value := finite(row.get(quantity.column(f"{column_name(method)}_abs_error"))))
        is not None
    ]
    rms_spread = math.sqrt(float((spread**2).mean())) if len(spread) else 0.0
    return {
        "n": len(error),
        "mean_error": _mean(error),
        "mean_error_of_mean": _mean(np.array(of_mean)),
        "median_spread": float(np.median(spread)) if len(spread) else None,
        "error_over_spread": math.sqrt(float((error**2).mean())) / rms_spread
        if rms_spread
        else None,
        "spearman": spearman(spread, error, groups, seed),
        "worst_found": worst_found(spread, error),
        "risk_coverage": risk_coverage(spread, error),
    }


def screen_text(record: Mapping[str, Any]) -> str:
    """A line per method and quantity."""
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
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])
        for line in table
    )


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None
