"""Compare runs on the same images, with a paired test of each run against the first."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from fetal_tf.analysis.summary_figures import Figure, is_summary_figure, summary_figures
from fetal_tf.config.registry import nearest
from fetal_tf.edge.errors import ConfigError, DataError
from fetal_tf.evaluation.evaluate import summarise_rows
from fetal_tf.evaluation.stored import Judged
from fetal_tf.scores.paired_tests import PairedTest, paired_tests
from fetal_tf.scores.rows import numbers, scored
from fetal_tf.scores.statistics import summarise

SCHEMA = 1
PIXELS = "pixels."  # figures of a summary that rows alone cannot give
BACKGROUND = "background"  # of tasks in which every pixel belongs to exactly one class


@dataclass(frozen=True)
class Standing:
    """One run's figures on the common images.

    Attributes:
        measured, flagged, refused, failed: images; see
        `fetal_tf.evaluation.evaluate.summarise_rows`.
        unpaired: its images that another run lacks.
        scores: metric → `mean`, `ci95`, `n` and the rest of `fetal_tf.scores.statistics.summarise`.
        pooled: metric → `value` and `ci95` over the pixels of all images together.
        figures: dotted name → figure of the summary, see `fetal_tf.analysis.summary_figures`.
    """

    measured: int
    flagged: int
    refused: int
    failed: int
    unpaired: int
    scores: Mapping[str, Mapping[str, Any]]
    pooled: Mapping[str, Mapping[str, Any]]
    figures: Mapping[str, Figure]


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison on the images that all runs hold, matched by id.

    Attributes:
        metrics: in the table's order; columns of the rows, and dotted names of a summary's figures.
        published: run → `source` and `metrics` of the study that its config repeats.
    """

    split: str
    dataset: str
    phantom: bool
    images: int
    groups: int
    metrics: tuple[str, ...]
    runs: Mapping[str, Standing]
    published: Mapping[str, Mapping[str, Any]]
    tests: tuple[PairedTest, ...]
    notes: tuple[str, ...]

    def as_record(self) -> dict[str, Any]:
        """The content of comparison.json."""
        return {"schema": SCHEMA, **asdict(self)}


def compare_runs(judged: Sequence[Judged], metrics: Sequence[str] | None = None) -> Comparison:
    """Compare runs on the images that all of them hold, every one against the first.

    Args:
        judged: at least two, of one dataset; their tasks may differ.
        metrics: columns of the rows, or dotted names of a summary's figures. None: the headline
            metrics of all tasks, then those that any config states as published. Only columns that
            both runs hold are tested. With None and different classes, a column is tested only if
            it is named after a common class, belongs to an official score of both, or measures a
            quantity: a mean over other classes has the same name but another meaning.

    Raises:
        ConfigError: an unknown metric.
        DataError: different datasets, fewer than two common images, or different images under the
            same id.
    """
    frames = _common_images(judged)
    first = judged[0]
    summaries = [summarise_rows(f, j.task, j.seed) for j, f in zip(judged, frames, strict=True)]
    own = [_own_figures(*run) for run in zip(judged, frames, summaries, strict=True)]
    chosen = _chosen_metrics(own, judged, metrics)
    standings = {
        j.label: _standing(j, frame, summary, figures, chosen)
        for j, frame, summary, figures in zip(judged, frames, summaries, own, strict=True)
    }
    pairs = [
        (j.label, frame, name)
        for j, frame, figures in zip(judged[1:], frames[1:], own[1:], strict=True)
        for name in chosen
        if name in figures and name in own[0] and not is_summary_figure(name)
        if metrics is not None or _means_the_same(name, first, j)
    ]
    return Comparison(
        split=first.evaluated["split"],
        dataset=first.evaluated["dataset"],
        phantom=first.evaluated["phantom"],
        images=len(frames[0]),
        groups=frames[0]["group"].nunique(),
        metrics=tuple(chosen),
        runs=standings,
        published={j.label: j.published.model_dump() for j in judged if j.published},
        tests=tuple(paired_tests(first.label, frames[0], pairs, first.seed, first.task.columns)),
        notes=tuple(_notes(judged, own, standings)),
    )


def _common_images(judged: Sequence[Judged]) -> list[pd.DataFrame]:
    """Each run's rows of the common images, in the first run's order."""
    first, *others = judged
    for other in others:
        for key in ("dataset", "phantom"):
            if other.evaluated[key] != first.evaluated[key]:
                raise DataError(
                    f"{other.label}: {key} is {other.evaluated[key]}, in {first.label} it is "
                    f"{first.evaluated[key]}; only results on the same images can be compared, "
                    "see --data-root"
                )
    ids = first.rows["id"]
    for other in others:
        ids = ids[ids.isin(other.rows["id"])]
    if len(ids) < 2:
        counts = ", ".join(f"{j.label} {len(j.rows)}" for j in judged)
        raise DataError(
            f"{len(ids)} images in common ({counts}), at least 2 are needed; give runs of one "
            "split, or take --split all with a --data-root that none was trained on"
        )
    frames = [j.rows.set_index("id", drop=False).loc[ids] for j in judged]
    for other, frame in zip(others, frames[1:], strict=True):
        _check_same_images(frames[0], frame, first.label, other.label)
    return frames


def _check_same_images(one: pd.DataFrame, other: pd.DataFrame, first: str, second: str) -> None:
    """Raise an error if images of one id differ in group, pixel size or truth."""
    truths = [name for name in one if re.search(r"(^|_)true_", name)]
    for key in ("group", "mm_per_pixel", *truths):
        if key not in one or key not in other:
            continue
        both = pd.DataFrame({"a": one[key], "b": other[key]}).replace("", None).dropna()
        if both.empty:
            continue
        differs = both["a"] != both["b"]
        if pd.api.types.is_numeric_dtype(both["a"]):
            differs = ~np.isclose(both["a"], both["b"], rtol=1e-4)
        for id, found in both[differs].iterrows():
            raise DataError(
                f"image {id}: {key} is {found['a']} in {first} and {found['b']} in {second}: the "
                "runs do not speak of the same images"
            )


def _own_figures(judged: Judged, rows: pd.DataFrame, summary: Mapping[str, Any]) -> dict[str, Any]:
    """A run's figures by name: every column that holds a number, and the summary's, dotted.

    Figures over pixels are those of all the run's images, because the rows do not hold them.
    """
    columns = dict.fromkeys(rows.select_dtypes("number").dropna(axis=1, how="all"))
    of_all = summary_figures(judged.summary)
    found = {name: figure for name, figure in of_all.items() if name.startswith(PIXELS)}
    found |= summary_figures(summary)
    return columns | {name: figure for name, figure in found.items() if is_summary_figure(name)}


def _chosen_metrics(
    own: Sequence[Mapping[str, Any]], judged: Sequence[Judged], asked: Sequence[str] | None
) -> list[str]:
    known = dict.fromkeys(name for figures in own for name in figures)
    if asked is None:
        headline = [name for j in judged for name in j.task.headline]
        published = [name for j in judged if j.published for name in j.published.metrics]
        return [name for name in dict.fromkeys([*headline, *published]) if name in known]
    for name in asked:
        if name not in known:
            raise ConfigError(
                f"--metrics: no run has a figure {name!r}{nearest(name, known)}; headline: "
                f"{', '.join(judged[0].task.headline)}; the others are columns of per_image.csv, "
                "and keys of summary.json joined by dots, such as metrics.dice.median"
            )
    return list(dict.fromkeys(asked))


def _means_the_same(metric: str, one: Judged, other: Judged) -> bool:
    if one.task.classes == other.task.classes:
        return True
    common = set(one.task.classes) & set(other.task.classes)
    return (
        metric in [quantity.absolute for quantity in one.task.quantities]
        or any(metric.startswith(f"{name}_") for name in common)
        or all(_is_official(metric, judged) for judged in (one, other))
    )


def _is_official(metric: str, judged: Judged) -> bool:
    return any(metric in columns for columns in judged.task.scores.values())


def _standing(
    judged: Judged,
    rows: pd.DataFrame,
    summary: Mapping[str, Any],
    own: Mapping[str, Any],
    metrics: Sequence[str],
) -> Standing:
    groups = list(rows["group"])
    pooled = judged.task.pooled(scored(rows))
    intervals: Mapping[str, Any] = summary.get("pooled", {})
    counts = {k: summary["images"][k] for k in ("measured", "flagged", "refused", "failed")}
    return Standing(
        **counts,
        unpaired=len(judged.rows) - len(rows),
        scores={
            name: summarise(numbers(rows, name), judged.seed, groups)
            for name in metrics
            if name in own and not is_summary_figure(name)
        },
        pooled={
            name: {
                "value": pooled[name],
                "ci95": intervals.get(name, {}).get("ci95", [None, None]),
            }
            for name in metrics
            if name in pooled
        },
        figures={name: own[name] for name in metrics if is_summary_figure(name) and name in own},
    )


def _notes(
    judged: Sequence[Judged],
    own: Sequence[Mapping[str, Any]],
    standings: Mapping[str, Standing],
) -> list[str]:
    """Warn of images trained on, of differences between the runs, and of missing figures."""
    first = judged[0]
    notes = [
        f"{j.label} was trained on {j.evaluated['trained_on']} of its images."
        for j in judged
        if j.evaluated.get("trained_on")
    ]
    for j in judged[1:]:
        notes += _differences(j, first)
    for j, standing in zip(judged, standings.values(), strict=True):
        if standing.unpaired and any(name.startswith(PIXELS) for name in standing.figures):
            notes.append(
                f"{j.label}: what is pooled over pixels holds all its {len(j.rows)} images, the "
                f"{standing.unpaired} that another run has not among them."
            )
    for j, names in zip(judged, own, strict=True):
        notes += _alone(j, names)
    return notes


def _differences(one: Judged, first: Judged) -> Iterator[str]:
    if one.task.name != first.task.name:
        yield (
            f"{one.label} is judged by the task {one.task.name}, {first.label} by "
            f"{first.task.name}: a metric that only one of them has is not tested."
        )
    if one.task.classes != first.task.classes:
        known = (
            f"{one.label} knows {', '.join(one.task.classes)}; {first.label} knows "
            f"{', '.join(first.task.classes)}."
        )
        if BACKGROUND in one.task.classes and BACKGROUND in first.task.classes:
            known += (
                " What one names and the other does not counts to another class there: figures of "
                "the surrounding class differ by definition."
            )
        yield known
    if one.evaluated["data_root"] != first.evaluated["data_root"]:
        yield (
            f"{one.label} was evaluated on {one.evaluated['data_root']}, {first.label} on "
            f"{first.evaluated['data_root']}; ids, groups, pixel sizes and truth agree."
        )


def _alone(judged: Judged, own: Mapping[str, object]) -> Iterator[str]:
    """Name the published figures that this evaluation does not have."""
    metrics = judged.published.metrics if judged.published else {}
    for name, value in metrics.items():
        if name not in own:
            yield (
                f"{judged.label}: its config states published.metrics.{name} = {value:g}, but its "
                f"evaluation has no such figure{nearest(name, own)}."
            )
