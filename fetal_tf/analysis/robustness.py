"""Scores of the same images under every distortion at every level."""

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
    """The images at one level of one distortion, scored."""

    distortion: str
    level: float
    rows: pd.DataFrame

    @property
    def undistorted(self) -> bool:
        return self.level == DISTORTIONS[self.distortion].identity


@dataclass(frozen=True)
class Point:
    """One figure of one run under one condition.

    Attributes:
        metric: a headline column; `pooled_` before it: over the pixels of all images together;
            `flagged_share`: measured with a flag; `unmeasured_share`: refused or failed.
        mean: over images, or the pooled figure; None where no image has one.
        ci95: `[low, high]`, over patients; Nones where it cannot be told.
        n: images that have a figure.
    """

    run: str
    distortion: str
    level: float
    metric: str
    mean: float | None
    ci95: list[float] | list[None]
    n: int

    def as_line(self) -> dict[str, Any]:
        """A line of robustness.csv."""
        low, high = self.ci95
        return {
            "run": self.run,
            "distortion": self.distortion,
            "level": self.level,
            "metric": self.metric,
            "mean": self.mean,
            "ci95_low": low,
            "ci95_high": high,
            "n": self.n,
        }


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
    """Score the samples under every distortion at every level, its identity among them.

    The undistorted images are scored once; several runs meet the very same distorted frames.

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


def points(run: str, condition: Condition, task: Task, seed: int) -> list[Point]:
    """The figures of one condition: headline columns, what the task pools of them, and shares."""
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
        Point(run, condition.distortion, condition.level, name, s["mean"], s["ci95"], s["n"])
        for name, s in found.items()
    ]
