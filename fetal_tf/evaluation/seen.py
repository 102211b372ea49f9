"""What a net has seen of the frames that it is judged on: learnt, chosen on, held out, unknown."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fetal_tf.data.sample import Sample
from fetal_tf.evaluation.target import EvaluationTarget
from fetal_tf.runs.lineage import Origin, learnt_by, origin_of, same_images
from fetal_tf.scores.rows import image_counts, scored
from fetal_tf.scores.statistics import summarise_columns
from fetal_tf.tasks.task import Task

HELD_OUT, CHOSEN_ON, UNKNOWN, LEARNT = "held_out", "chosen_on", "unknown", "learnt"
# Worth most as evidence first; in words.
SEEN: Mapping[str, str] = {
    HELD_OUT: "held out",
    UNKNOWN: "unknown to the net's records",
    CHOSEN_ON: "chosen on (validation: epoch and limits)",
    LEARNT: "learnt",
}
# Frames of other data than the net's own are told by their names. Fewer known names than this share
# may be chance: numbered frames of two datasets have the same names.
_SAME_DATASET_SHARE = 0.5


def seen_by(
    target: EvaluationTarget,
    samples: Sequence[Sample],
    data_root: Path | None = None,
    dataset: str | None = None,
) -> list[str]:
    """For each sample one of the keys of SEEN.

    The target's split and the list of what its ancestors have learnt tell it, by the sample's
    dataset and id. In a folder that is not the target's own, names are believed where at least half
    of them are known.
    """
    if not samples:
        return []
    config = target.config.data
    learnt = learnt_by(target.folder) if target.folder else set()
    by_split = {origin_of(id, config): row.split for id, row in target.splits.items()}
    learnt |= {origin for origin, split in by_split.items() if split == "train"}
    read_by = {*config.sources, *(source.dataset for source in config.sources.values())}
    if dataset is None or dataset in read_by:
        origins = [origin_of(sample.id, config) for sample in samples]
    else:
        origins = [(same_images(dataset), sample.id) for sample in samples]
    known = sum(origin in learnt or origin in by_split for origin in origins)
    own = target.experiment.data.is_own(data_root, dataset)
    if not own and known < _SAME_DATASET_SHARE * len(origins):
        return [UNKNOWN] * len(origins)
    return [_seen(origin, learnt, by_split) for origin in origins]


def _seen(origin: Origin, learnt: set[Origin], by_split: Mapping[Origin, str]) -> str:
    if origin in learnt:
        return LEARNT
    return {"val": CHOSEN_ON, "test": HELD_OUT}.get(by_split.get(origin, ""), UNKNOWN)


def with_seen(rows: pd.DataFrame, seen: Iterable[str]) -> pd.DataFrame:
    """The rows with a column `seen` behind the group."""
    if rows.empty:
        return rows
    rows = rows.copy()
    rows.insert(list(rows.columns).index("group") + 1, "seen", list(seen))
    return rows


def seen_section(
    rows: pd.DataFrame, task: Task, seed: int, over_all: Mapping[str, Any]
) -> dict[str, Any]:
    """Counts and statistics by what the net has seen, for `summary.json`.

    Args:
        rows: of `with_seen`; without its column there is no part.
        task: names the columns, and adds its own statistics.
        seed: of the bootstrap.
        over_all: the summary of all rows, see `summarise_rows`.

    Returns:
        `seen`: key of SEEN → `images` (`n`, `measured`, `flagged`, `refused`, `failed`), `groups`,
        `metrics` and what the task adds, for those that there are.
    """
    parts = dict(list(rows.groupby("seen"))) if "seen" in rows else {}
    found = {}
    for key in SEEN:
        if key in parts:
            part, judged = parts[key], scored(parts[key])
            whole = over_all["metrics"] if len(part) == len(rows) else None
            found[key] = {
                "images": image_counts(part),
                "groups": int(part["group"].nunique()),
                "metrics": whole or summarise_columns(judged, task.metric_names, seed),
                **({} if whole else task.summarise(judged, seed)),
            }
    return {"seen": found}


def seen_warning(summary: Mapping[str, Any]) -> str:
    """A sentence where the net has learnt from some of the frames; empty otherwise."""
    found = summary.get("seen", {})
    if LEARNT not in found:
        return ""
    n, all_ = found[LEARNT]["images"]["n"], summary["images"]["n"]
    if n == all_:
        return f"The net has learnt from all of these {all_} images: the figures flatter it."
    quote = ", those held out are the ones to quote" if HELD_OUT in found else ""
    return (
        f"The net has learnt from {n} of these {all_} images: the figures over all flatter "
        f"it{quote}."
    )


def to_quote(
    rows: pd.DataFrame, summary: Mapping[str, Any]
) -> tuple[pd.DataFrame, Mapping[str, Any]]:
    """The frames whose figures are to be quoted, and the summary of them.

    These are the held-out ones where the net has learnt from others, else all. What is pooled over
    the pixels of all frames is not theirs, and left out.
    """
    found = summary.get("seen", {})
    if LEARNT not in found or HELD_OUT not in found:
        return rows, summary
    kept = {key: value for key, value in summary.items() if key != "pixels"}
    return rows[rows["seen"] == HELD_OUT], {**kept, **found[HELD_OUT]}
