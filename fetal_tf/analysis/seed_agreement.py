"""How much scores and measurements differ between runs that differ only in their seed.

The interval of an ICC takes images as independent, which frames of one patient are not.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from fetal_tf.edge.errors import ConfigError
from fetal_tf.evaluation.target import EvaluationTarget
from fetal_tf.experiment import Experiment
from fetal_tf.scores.agreement import icc_2_1
from fetal_tf.scores.rows import numbers, scored
from fetal_tf.scores.statistics import over_repeats
from fetal_tf.tasks.task import Task

ICC_TARGET = 0.9  # "excellent", Koo & Li 2016, J Chiropr Med 15:155
# mm² where every frame has a pixel size: an area in pixels depends on the zoom.
AREAS = ("_area_mm2", "_area_px")
MAY_DIFFER = ("name", "seed")


def check_one_experiment(targets: Mapping[str, EvaluationTarget]) -> list[str]:
    """Check that the runs have the same data, splits, task and classes, and different seeds.

    Returns:
        Sections of the config, other than name and seed, in which they differ: then the spread has
        more causes than the seed.

    Raises:
        ConfigError: they do not; the message names the runs and both values.
    """
    (first, reference), *others = targets.items()
    for label, target in others:
        for what, found, expected in zip(
            (
                "dataset",
                "dataset's options",
                "datasets mixed in",
                "task",
                "classes",
                "headline metrics",
            ),
            _ground(target.experiment),
            _ground(reference.experiment),
            strict=True,
        ):
            if found != expected:
                raise ConfigError(
                    f"{label}: {what} {found}, but {first} has {expected}; seeds of one experiment "
                    "are expected here, compare others with tools.compare"
                )
        if target.splits != reference.splits:
            raise ConfigError(
                f"{label}: its splits.csv differs from that of {first}; train with the same "
                "split.seed and only another seed, so that the runs share their test images"
            )
    seeds: dict[int, str] = {}
    for label, target in targets.items():
        other = seeds.setdefault(target.config.seed, label)
        if other != label:
            raise ConfigError(
                f"{label}: has the seed of {other}, {target.config.seed}, and a net agrees with "
                "itself; train with another --set seed=N"
            )
    return sorted(
        {key for _, s in others for key in _differing(s.experiment, reference.experiment)}
    )


def _ground(experiment: Experiment) -> tuple[Any, ...]:
    data, task = experiment.config.data, experiment.task
    mixed = [(name, s.dataset, s.options, s.negative) for name, s in data.mixed_with.items()]
    return data.dataset, data.options, mixed, task.name, task.classes, task.headline


def _differing(one: Experiment, other: Experiment) -> Iterator[str]:
    mine, theirs = (e.config.model_dump(mode="json") for e in (one, other))
    for tree in (mine, theirs):
        tree["data"].pop("root")  # data may have moved
        for source in tree["data"]["mixed_with"].values():
            source.pop("root")
    yield from (key for key in mine if key not in MAY_DIFFER and mine[key] != theirs[key])


def seed_spread(means: Mapping[str, Mapping[str, float | None]]) -> dict[str, Any]:
    """Mean and sd (n - 1) over the runs of every metric.

    Args:
        means: run → metric → its mean over the undistorted images.

    Returns:
        Metric → `mean`, `sd` (None for fewer than two values), `runs`: each run's own value.
    """
    found: dict[str, Any] = {}
    for name in dict.fromkeys(name for of_run in means.values() for name in of_run):
        values = {run: of_run.get(name) for run, of_run in means.items()}
        found[name] = over_repeats(list(values.values())) | {"runs": values}
    return found


def measurement_agreement(rows: Mapping[str, pd.DataFrame], task: Task) -> dict[str, Any]:
    """ICC(2,1) between runs of each structure's area and of each measured quantity.

    Args:
        rows: run → its rows, the same images in the same order.
        task: names classes and quantities.

    Returns:
        Column → `target`, `images`; `unmeasured`: images that a run refused or failed, left out of
        everything; `seen_by_some`: those that some runs measure and others do not; `seen_by_none`;
        `seen_by_all`: `n`, `left_out`, `icc`, `ci95` over the images in which every run sees the
        structure. For areas `absent_as_zero` holds the same over all measured images, where a
        structure that was not found counts as 0. It also shows disagreement about presence, but
        images in which no run finds the structure raise it.
    """
    found: dict[str, Any] = {}
    measured = [(f["error"] == "") & (f["refused"] == "") for f in rows.values()]
    usable = np.all(measured, axis=0)
    total = len(usable)
    for column in _columns(rows, task):
        values = np.column_stack([numbers(frame, column) for frame in rows.values()])[usable]
        seen = np.isfinite(values).sum(axis=1)
        found[column] = {
            "target": ICC_TARGET,
            "images": total,
            "unmeasured": total - len(values),
            "seen_by_some": int(((seen > 0) & (seen < len(rows))).sum()),
            "seen_by_none": int((seen == 0).sum()),
            "seen_by_all": _icc(values[seen == len(rows)], total),
        }
        if column.endswith(AREAS):
            found[column]["absent_as_zero"] = _icc(np.nan_to_num(values, nan=0.0), total)
    return found


def _columns(rows: Mapping[str, pd.DataFrame], task: Task) -> list[str]:
    """Areas of the task's classes and predicted quantities, as far as a row holds them."""
    in_mm = all(np.isfinite(numbers(scored(f), "mm_per_pixel")).all() for f in rows.values())
    areas = [f"{name}{AREAS[0] if in_mm else AREAS[1]}" for name in task.classes]
    quantities = [quantity.predicted for quantity in task.quantities]
    held = {name for frame in rows.values() for name in frame}
    return [name for name in (*areas, *quantities) if name in held]


def _icc(values: np.ndarray, total: int) -> dict[str, Any]:
    few = min(values.shape) < 2
    found = {"icc": None, "ci95": [None, None]} if few else icc_2_1(values)
    return {"n": len(values), "left_out": total - len(values), **found}
