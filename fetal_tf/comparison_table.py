"""Runs side by side on the same images, and a paired test of each against the first."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fetal_tf.agreement import holm, paired_comparison
from fetal_tf.edge.errors import ConfigError, DataError
from fetal_tf.evaluation import summarise_rows
from fetal_tf.registry import nearest
from fetal_tf.report_tables import better
from fetal_tf.scores import finite, summarise
from fetal_tf.stored_evaluation import Judged
from fetal_tf.tasks.task import Row

SCHEMA = 1
LEVEL = 0.05  # of the family of all tests of one table
P_VALUES = ("wilcoxon_p", "wilcoxon_p_groups")


@dataclass(frozen=True)
class Standing:
    """One run's figures on the common images.

    Attributes:
        measured, flagged, refused, failed: images; see `fetal_tf.evaluation.summarise_rows`.
        unpaired: its images that another run has not.
        scores: metric → `mean`, `ci95`, `n` and the rest of `fetal_tf.scores.summarise`.
        pooled: metric → `value` and `ci95` over the pixels of all images together.
    """

    measured: int
    flagged: int
    refused: int
    failed: int
    unpaired: int
    scores: Mapping[str, Mapping[str, Any]]
    pooled: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class PairedTest:
    """One run against the first in one metric.

    Attributes:
        figures: of `fetal_tf.agreement.paired_comparison`, a = `run`, b = `against`; and the two
            p-values after Holm's adjustment over all tests of the table, `…_holm`.
        verdict: by the adjusted p-value over patients: `better` or `worse` (for signed errors
            `higher` or `lower`), `no difference shown`, `direction unclear` where the mean and the
            ranks point to different sides, `not testable`.
    """

    run: str
    against: str
    metric: str
    figures: Mapping[str, Any]
    verdict: str


@dataclass(frozen=True)
class Comparison:
    """What is compared: the images that all runs hold, by id; `metrics` in the table's order."""

    split: str
    dataset: str
    phantom: bool
    images: int
    groups: int
    metrics: tuple[str, ...]
    runs: Mapping[str, Standing]
    tests: tuple[PairedTest, ...]
    notes: tuple[str, ...]

    def as_record(self) -> dict[str, Any]:
        """The tree of comparison.json."""
        return {"schema": SCHEMA, **asdict(self)}


def compare_runs(judged: Sequence[Judged], metrics: Sequence[str] | None = None) -> Comparison:
    """Compare runs on the images that all of them hold, every one against the first.

    Args:
        judged: at least two, of one dataset.
        metrics: columns of the rows, or None: the headline metrics of all tasks. Of these, only
            columns that both runs hold are tested; where two runs' classes differ, only those
            that are named after a common class or measure a quantity: a mean over other classes
            is another figure, though it has the same name.

    Raises:
        ConfigError: an unknown metric.
        DataError: other datasets, fewer than two common images, or images that have an id in
            common and nothing else.
    """
    rows = _common_rows(judged)
    first = judged[0]
    chosen = _chosen_metrics(rows, judged, metrics)
    standings = {j.label: _standing(j, kept, chosen) for j, kept in zip(judged, rows, strict=True)}
    pairs = [
        (j, kept, name)
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
        tests=tuple(_tests(first, rows[0], pairs)),
        notes=tuple(_notes(judged)),
    )


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
    for key in ("group", "mm_per_pixel"):
        a, b = one.get(key), other.get(key)
        if a is None or b is None:
            continue  # a failed row knows no pixel size
        same = np.isclose(a, b, rtol=1e-4) if isinstance(a, float) else a == b
        if not same:
            raise DataError(
                f"image {one['id']}: {key} is {a} in {first} and {b} in {second}: the runs "
                "do not speak of the same images"
            )


def _chosen_metrics(
    rows: Sequence[Sequence[Row]], judged: Sequence[Judged], asked: Sequence[str] | None
) -> list[str]:
    if asked is None:
        headline = dict.fromkeys(name for j in judged for name in j.task.headline)
        return [name for name in headline if any(_holds(kept, name) for kept in rows)]
    columns = {
        name for kept in rows for row in kept for name in row if finite(row[name]) is not None
    }
    for name in asked:
        if name not in columns:
            raise ConfigError(
                f"--metrics: no run has a figure {name!r}{nearest(name, columns)}; headline: "
                f"{', '.join(judged[0].task.headline)}; the others are columns of per_image.csv"
            )
    return list(dict.fromkeys(asked))


def _holds(rows: Sequence[Row], metric: str) -> bool:
    return any(finite(row.get(metric)) is not None for row in rows)


def _means_the_same(metric: str, one: Judged, other: Judged) -> bool:
    if one.task.classes == other.task.classes:
        return True
    common = set(one.task.classes) & set(other.task.classes)
    return metric in one.task.quantities or any(metric.startswith(f"{c}_") for c in common)


def _standing(judged: Judged, rows: list[Row], metrics: Sequence[str]) -> Standing:
    groups = [str(row["group"]) for row in rows]
    summary = summarise_rows(rows, judged.task, judged.seed)
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
    )


def _tests(
    first: Judged, first_rows: Sequence[Row], pairs: Sequence[tuple[Judged, list[Row], str]]
) -> list[PairedTest]:
    groups = [str(row["group"]) for row in first_rows]
    found = [
        paired_comparison(
            [finite(row.get(name)) for row in rows],
            [finite(row.get(name)) for row in first_rows],
            groups,
            first.seed,
        )
        for _, rows, name in pairs
    ]
    for key in P_VALUES:
        known = [figures for figures in found if figures[key] is not None]
        adjusted = holm([figures[key] for figures in known])
        for figures in found:
            figures[f"{key}_holm"] = None
        for figures, p in zip(known, adjusted, strict=True):
            figures[f"{key}_holm"] = p
    return [
        PairedTest(j.label, first.label, name, figures, _verdict(name, figures))
        for (j, _, name), figures in zip(pairs, found, strict=True)
    ]


def _verdict(metric: str, figures: Mapping[str, Any]) -> str:
    p, difference = figures["wilcoxon_p_groups_holm"], figures["mean_difference"]
    if p is None:
        return "not testable"
    if p >= LEVEL or not difference:
        return "no difference shown"
    if difference * figures["rank_biserial"] <= 0:
        return "direction unclear"
    direction = better(metric)
    if direction == "near 0":
        return "higher" if difference > 0 else "lower"
    return "better" if (difference > 0) == (direction == "higher") else "worse"


def _notes(judged: Sequence[Judged]) -> list[str]:
    first, notes = judged[0], []
    for j in judged:
        if j.evaluated.get("trained_on"):
            notes.append(f"{j.label} was trained on {j.evaluated['trained_on']} of its images.")
    for j in judged[1:]:
        if j.task.classes != first.task.classes:
            notes.append(
                f"{j.label} knows {', '.join(j.task.classes)}; {first.label} knows "
                f"{', '.join(first.task.classes)}. What one names and the other does not counts "
                "to another class there: figures of the surrounding class differ by definition."
            )
        if j.evaluated["data_root"] != first.evaluated["data_root"]:
            notes.append(
                f"{j.label} was evaluated on {j.evaluated['data_root']}, {first.label} on "
                f"{first.evaluated['data_root']}; ids, patients and pixel sizes agree."
            )
    return notes
