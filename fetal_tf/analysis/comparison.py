"""Runs side by side on the same images, and a paired test of each against the first."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fetal_tf.analysis.comparison_notes import comparison_notes
from fetal_tf.analysis.summary_figures import Figure, is_summary_figure, summary_figures
from fetal_tf.config.registry import nearest
from fetal_tf.edge.errors import ConfigError, DataError
from fetal_tf.evaluation.evaluate import summarise_rows
from fetal_tf.evaluation.stored import Judged
from fetal_tf.scores.paired_tests import PairedTest, paired_tests
from fetal_tf.scores.rows import Row
from fetal_tf.scores.statistics import finite, summarise

SCHEMA = 1
PIXELS = "pixels."  # section of a summary that rows alone cannot give


@dataclass(frozen=True)
class Standing:
    """One run's figures on the common images.

    Attributes:
        measured, flagged, refused, failed: images; see
        `fetal_tf.evaluation.evaluate.summarise_rows`.
        unpaired: its images that another run has not.
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
    """What is compared: the images that all runs hold, by id.

    Attributes:
        metrics: in the table's order; columns of the rows, and dotted names of a summary's figures.
        published: run → `source` and `metrics`, what the study reports that its recipe repeats.
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
        """The tree of comparison.json."""
        return {"schema": SCHEMA, **asdict(self)}


def compare_runs(judged: Sequence[Judged], metrics: Sequence[str] | None = None) -> Comparison:
    """Compare runs on the images that all of them hold, every one against the first.

    Args:
        judged: at least two, of one dataset; their tasks may differ.
        metrics: columns of the rows or dotted names of a summary's figures, or None: the headline
            metrics of all tasks, then what any run's config states as published. Of these, only
            columns that both runs hold are tested; where two runs' classes differ, only those
            that are named after a common class, belong to an official score of both or measure a
            quantity: a mean over other classes is another figure, though it has the same name.

    Raises:
        ConfigError: an unknown metric.
        DataError: other datasets, fewer than two common images, or images that have an id in
            common and nothing else.
    """
    rows = _common_rows(judged)
    first = judged[0]
    summaries = [summarise_rows(kept, j.task, j.seed) for j, kept in zip(judged, rows, strict=True)]
    own = [_own_figures(*run) for run in zip(judged, rows, summaries, strict=True)]
    chosen = _chosen_metrics(own, judged, metrics)
    standings = {
        j.label: _standing(j, kept, summary, figures, chosen)
        for j, kept, summary, figures in zip(judged, rows, summaries, own, strict=True)
    }
    pairs = [
        (j.label, kept, name)
        for j, kept in zip(judged[1:], rows[1:], strict=True)
        for name in chosen
        if _holds(kept, name)
        and _holds(rows[0], name)
        and (metrics is not None or _means_the_same(name, first, j))
    ]
    return Comparison(
        split=first.evaluated["split"],
        dataset=first.evaluated["dataset"],
        phantom=first.evaluated["phantom"],
        images=len(rows[0]),
        groups=len({row["group"] for row in rows[0]}),
        metrics=tuple(chosen),
        runs=standings,
        published={j.label: j.published.model_dump() for j in judged if j.published},
        tests=tuple(paired_tests(first.label, rows[0], pairs, first.seed, first.task.columns)),
        notes=tuple(comparison_notes(judged, own, _pooled_unpaired(standings))),
    )


def _pooled_unpaired(standings: Mapping[str, Standing]) -> list[int]:
    """How many images are pooled over pixels in a run's figures that another run has not."""
    return [
        s.unpaired if any(name.startswith(PIXELS) for name in s.figures) else 0
        for s in standings.values()
    ]


def _common_rows(judged: Sequence[Judged]) -> list[list[Row]]:
    """Each run's rows of the common images, in the first run's order."""
    first = judged[0]
    by_id = [{str(row["id"]): row for row in j.rows} for j in judged]
    for other in judged[1:]:
        for key in ("dataset", "phantom"):
            if other.evaluated[key] != first.evaluated[key]:
                raise DataError(
                    f"{other.label}: {key} is {other.evaluated[key]}, in {first.label} it is "
                    f"{first.evaluated[key]}; only results on the same images can be compared, "
                    "see --data-root"
                )
    ids = [id for id in by_id[0] if all(id in rows for rows in by_id[1:])]
    if len(ids) < 2:
        counts = ", ".join(f"{j.label} {len(j.rows)}" for j in judged)
        raise DataError(
            f"{len(ids)} images in common ({counts}), at least 2 are needed; give runs of one "
            "split, or take --split all with a --data-root that none was trained on"
        )
    for id in ids:
        for j, rows in zip(judged[1:], by_id[1:], strict=True):
            _check_same_image(by_id[0][id], rows[id], first.label, j.label)
    return [[rows[id] for id in ids] for rows in by_id]


def _check_same_image(one: Row, other: Row, first: str, second: str) -> None:
    truths = [key for key in one if re.search(r"(^|_)true_", key)]  # ids and groups may coincide
    for key in ("group", "mm_per_pixel", *truths):
        a, b = one.get(key), other.get(key)
        if a is None or b is None:
            continue  # a failed row knows no pixel size
        same = np.isclose(a, b, rtol=1e-4) if isinstance(a, float) else a == b
        if not same:
            raise DataError(
                f"image {one['id']}: {key} is {a} in {first} and {b} in {second}: the runs "
                "do not speak of the same images"
            )


def _own_figures(judged: Judged, rows: Sequence[Row], summary: Mapping[str, Any]) -> dict[str, Any]:
    """A run's figures by name: every column with a number in it, and the summary's, dotted.

    What is pooled over pixels is of all the run's images: rows of the common ones do not hold it.
    """
    columns = dict.fromkeys(name for row in rows for name in row if finite(row[name]) is not None)
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


def _holds(rows: Sequence[Row], metric: str) -> bool:
    return any(finite(row.get(metric)) is not None for row in rows)


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
    rows: list[Row],
    summary: Mapping[str, Any],
    own: Mapping[str, Any],
    metrics: Sequence[str],
) -> Standing:
    groups = [str(row["group"]) for row in rows]
    pooled = judged.task.pooled([row for row in rows if not row.get("error")])
    intervals: Mapping[str, Any] = summary.get("pooled", {})
    counts = {k: summary["images"][k] for k in ("measured", "flagged", "refused", "failed")}
    return Standing(
        **counts,
        unpaired=len(judged.rows) - len(rows),
        scores={
            name: summarise([finite(row.get(name)) for row in rows], judged.seed, groups)
            for name in metrics
            if _holds(rows, name)
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
