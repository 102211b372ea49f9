"""The robustness study as `summary.json`, as the figure's title, and as text for the screen."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from fetal_tf.analysis.distortions import DISTORTIONS
from fetal_tf.analysis.robustness import SHARES
from fetal_tf.analysis.seed_agreement import measurement_agreement, seed_spread
from fetal_tf.evaluation.evaluate import summarise_rows
from fetal_tf.evaluation.provenance import Evaluated
from fetal_tf.reporting.text.table import text_table
from fetal_tf.scores.columns import POOLED
from fetal_tf.scores.wording import DASH, metric_label, number, plural
from fetal_tf.tasks.task import Task

SCHEMA = 1
PHANTOM_NOTE = "PHANTOM: generated images. The figures say nothing about patients."
_SHARE_LABELS = dict(zip(SHARES, ("flagged", "unmeasured"), strict=True))


def study_record(
    points: pd.DataFrame,
    clean: Mapping[str, pd.DataFrame],
    evaluated: Mapping[str, Evaluated],
    task: Task,
    differing: Sequence[str],
) -> dict[str, Any]:
    """The content of the study's `summary.json`.

    Args:
        points: all rows of robustness.csv; the undistorted ones also go into the spread.
        clean: run → its rows of the undistorted images.
        evaluated: run → what was evaluated.
        task: that of all runs.
        differing: sections of the config in which the runs differ, other than name and seed.

    Returns:
        `phantom`, `images`, `groups`, `evaluated` per run, the `distortions` with their levels,
        and `seeds`: null for one run, otherwise `spread` (see `seed_spread`, every metric and the
        pooled headline) and `agreement` (see `measurement_agreement`).
    """
    rows = next(iter(clean.values()))
    record: dict[str, Any] = {
        "schema": SCHEMA,
        "phantom": any(e.phantom for e in evaluated.values()),
        "images": len(rows),
        "groups": rows["group"].nunique(),
        "evaluated": {run: asdict(e) for run, e in evaluated.items()},
        "distortions": {
            name: {"unit": d.unit, "identity": d.identity, "levels": d.levels}
            for name, d in DISTORTIONS.items()
        },
        "seeds": None,
    }
    if len(clean) > 1:
        record["seeds"] = {
            "differing_sections": list(differing),
            "spread": seed_spread(_undistorted_means(points, clean, task)),
            "agreement": measurement_agreement(clean, task),
        }
    return record


def _undistorted_means(
    points: pd.DataFrame, clean: Mapping[str, pd.DataFrame], task: Task
) -> dict[str, dict[str, float | None]]:
    """Run → mean of every metric on undistorted images, with pooled ones and shares."""
    means: dict[str, dict[str, float | None]] = {}
    for run, rows in clean.items():
        metrics = summarise_rows(rows, task)["metrics"]
        means[run] = {name: summary["mean"] for name, summary in metrics.items()}
    for point in _undistorted(points).itertuples():
        means[point.run].setdefault(point.metric, point.mean)
    return means


def _undistorted(points: pd.DataFrame) -> pd.DataFrame:
    identities = {name: distortion.identity for name, distortion in DISTORTIONS.items()}
    return points[points["level"] == points["distortion"].map(identities)]


def title(record: Mapping[str, Any]) -> str:
    """Title of the figure: runs, format, number of images, and whether they are a phantom's."""
    first = next(iter(record["evaluated"].values()))
    kind = "PHANTOM image" if record["phantom"] else "image"
    runs = ", ".join(record["evaluated"])
    return f"{runs} ({first['format']}): {plural(record['images'], kind)}"


def screen_text(points: pd.DataFrame, record: Mapping[str, Any], task: Task) -> str:
    """Format means over runs, a row per distortion and level; then how far the seeds agree."""
    known = set(points["metric"])
    pooled = [POOLED + name for name in task.headline if POOLED + name in known]
    metrics = [*task.headline, *pooled, *SHARES]
    lines = [["distortion", "level", *(_label(name) for name in metrics)]]
    lines.append(["none", "", *_cells(_undistorted(points), metrics)])
    for name, distortion in DISTORTIONS.items():
        for level in distortion.levels:
            here = points[(points["distortion"] == name) & (points["level"] == level)]
            lines.append([name, f"{level:g} {distortion.unit}", *_cells(here, metrics)])
    parts = [PHANTOM_NOTE] if record["phantom"] else []
    parts += [text_table(lines, text_columns=2)]
    if record["seeds"]:
        parts.append(
            _seeds_text(record["seeds"], list(record["evaluated"]), [*task.headline, *pooled])
        )
    return "\n".join(parts)


def _cells(points: pd.DataFrame, metrics: Sequence[str]) -> list[str]:
    """Means over runs, one per metric."""
    means = points.groupby("metric")["mean"].mean()
    return [number(means.get(name), name) for name in metrics]


def _seeds_text(seeds: Mapping[str, Any], runs: Sequence[str], metrics: Sequence[str]) -> str:
    lines = [["undistorted", "mean", f"sd over {len(runs)} runs", *runs]]
    for name in metrics:
        of_metric = seeds["spread"][name]
        shown = [of_metric["mean"], of_metric["sd"], *of_metric["runs"].values()]
        lines.append([_label(name), *(number(value, name) for value in shown)])
    parts = [text_table(lines)]
    for column, found in seeds["agreement"].items():
        parts += [_icc_text(column, found, kind) for kind in _ICC_KINDS if kind in found]
    if seeds["differing_sections"]:
        keys = ", ".join(seeds["differing_sections"])
        parts.append(f"Note: the runs differ in more than their seed: {keys}.")
    return "\n".join(parts)


_ICC_KINDS = {"seen_by_all": "every run sees it", "absent_as_zero": "absent counts as 0"}


def _verdict(icc: float, low: float | None, target: float) -> str:
    """Judge by the interval, because a few images can give any estimate."""
    if low is not None and low >= target:
        return "reached"
    return "missed" if icc < target else "estimate above it, interval not"


def _icc_text(column: str, found: Mapping[str, Any], kind: str) -> str:
    """`ICC(2,1) of CSP area (px) between runs: 0.931 [0.884 to 0.961] over 31 of 40 images …`."""
    icc, (low, high), n = (found[kind][key] for key in ("icc", "ci95", "n"))
    value, verdict = DASH, "not tested"
    if icc is not None:
        value = f"{icc:.3f} [{DASH if low is None else f'{low:.3f} to {high:.3f}'}]"
        verdict = _verdict(icc, low, found["target"])
    left_out = {"unmeasured by a run": found["unmeasured"]}
    if kind == "seen_by_all":
        left_out |= {"seen by some": found["seen_by_some"], "by none": found["seen_by_none"]}
    without = ", ".join(f"{count} {why}" for why, count in left_out.items() if count)
    return (
        f"ICC(2,1) of {metric_label(column)} between runs: {value} over {n} of {found['images']} "
        f"images ({_ICC_KINDS[kind]}{'; left out: ' + without if without else ''}); "
        f"target {found['target']}: {verdict}"
    )


def _label(name: str) -> str:
    if name in _SHARE_LABELS:
        return _SHARE_LABELS[name]
    pooled = name.startswith(POOLED)
    return metric_label(name.removeprefix(POOLED)) + (", pooled" if pooled else "")
