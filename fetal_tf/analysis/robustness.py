"""Evaluate the same images under every distortion at every level."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fetal_tf.analysis.distortions import DISTORTIONS
from fetal_tf.data.sample import Sample
from fetal_tf.edge.inference.predictor import Predictor
from fetal_tf.evaluation.evaluate import check_any_scored, evaluate_samples, summarise_rows
from fetal_tf.scores.columns import POOLED
from fetal_tf.scores.rows import scored
from fetal_tf.scores.statistics import summarise
from fetal_tf.tasks.task import Task

SHARES = ("flagged_share", "unmeasured_share")
NOTHING: list[None] = [None, None]


@dataclass(frozen=True)
class Condition:
    """Scored images at one level of one distortion."""

    distortion: str
    level: float
    rows: pd.DataFrame

    @property
    def undistorted(self) -> bool:
        return self.level == DISTORTIONS[self.distortion].identity


def spread(samples: Sequence[Sample], limit: int | None) -> list[Sample]:
    """At most `limit` of the samples, evenly spread over the list; all of them without a limit."""
    if limit is None or limit >= len(samples):
        return list(samples)
    return [samples[place] for place in np.linspace(0, len(samples) - 1, limit).round().astype(int)]


def conditions(
    predictor: Predictor,
    samples: Sequence[Sample],
    task: Task,
    *,
    seed: int,
    progress: bool = False,
) -> Iterator[Condition]:
    """Score the samples under every distortion at every level, the identity included.

    The undistorted images are scored once. With one seed, all runs get the same frames.

    Raises:
        DataError: not one of the undistorted images could be evaluated.
    """
    clean = evaluate_samples(predictor, samples, task, progress=progress)
    check_any_scored(clean)
    for name, distortion in DISTORTIONS.items():
        for level in sorted((*distortion.levels, distortion.identity)):
            if level == distortion.identity:
                yield Condition(name, level, clean)
                continue
            distort = distortion.at(level, seed)
            rows = evaluate_samples(predictor, samples, task, progress=progress, distort=distort)
            yield Condition(name, level, rows)


def points(run: str, condition: Condition, task: Task, seed: int) -> list[dict[str, Any]]:
    """The figures of one run under one condition, as rows of robustness.csv.

    Returns:
        Per figure `run`, `distortion`, `level`, `metric`, `mean`, `ci95_low`, `ci95_high` (over
        patients) and `n`, the images that have it. Metrics are the headline columns; with
        `pooled_` in front the figure over the pixels of all images together; `flagged_share`,
        measured with a flag; and `unmeasured_share`, refused or failed.
    """
    rows = condition.rows
    summary = summarise_rows(rows, task, seed)
    found = {name: summary["metrics"][name] for name in task.headline}
    pooled = task.pooled(scored(rows))
    intervals: Mapping[str, Any] = summary.get("pooled", {})
    for name in task.headline:
        if name in pooled:
            ci95 = intervals.get(name, {}).get("ci95", NOTHING)
            found[POOLED + name] = {"mean": pooled[name], "ci95": ci95, "n": len(scored(rows))}
    unmeasured = (rows["error"] != "") | (rows["refused"] != "")
    flagged = (rows["flags"] != "") & ~unmeasured
    for name, counted in zip(SHARES, (flagged, unmeasured), strict=True):
        found[name] = summarise(counted.to_numpy(), seed, list(rows["group"]))
    return [
        {
            "run": run,
            "distortion": condition.distortion,
            "level": condition.level,
            "metric": name,
            "mean": figure["mean"],
            "ci95_low": figure["ci95"][0],
            "ci95_high": figure["ci95"][1],
            "n": figure["n"],
        }
        for name, figure in found.items()
    ]
