"""What a sweep has found: a row for each trial, and one for each point of its grid."""

from collections.abc import Mapping, Sequence
from typing import Any

from fetal_tf.data.phantom.writing import is_phantom
from fetal_tf.experiment import monitor_of
from fetal_tf.runs.history import read_history
from fetal_tf.scores.monitor import Monitor
from fetal_tf.scores.statistics import spread
from fetal_tf.training.sweep import Grid, Trial

SCHEMA = 1


def sweep_record(
    name: str, grid: Grid, trials: Sequence[Trial], errors: Mapping[str, str]
) -> dict[str, Any]:
    """Gather the runs of a sweep, the tree of `sweep.json`.

    Args:
        name: of the sweep.
        grid: what varies.
        trials: all of them, in their order.
        errors: of those that have failed just now, by name.

    Returns:
        `monitor` and whether `lower_is_better`; `grid`; `trials`: their `run`, `values`, `seed`,
        `fold`, `state` (finished or failed), `best_epoch`, its `value` of the monitor, `seconds` of
        training over all starts, `error`; `points`: `values`, and over seeds and folds `mean`, `sd`
        (n - 1) and `n`, with how many `failed`.
    """
    monitor = monitor_of(trials[0].config)
    rows = [_row(trial, monitor, errors.get(trial.config.name, "")) for trial in trials]
    return {
        "schema": SCHEMA,
        "name": name,
        "phantom": any(_phantom(trial) for trial in trials),
        "monitor": monitor.name,
        "lower_is_better": monitor.falls,
        "grid": {key: list(values) for key, values in grid.items()},
        "trials": rows,
        "points": _points(rows),
    }


def trial_lines(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The lines of `sweep.csv`, one for each trial."""
    return [_line(row, record["monitor"]) for row in record["trials"]]


def point_lines(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The lines of `points.csv`, one for each point of the grid, the best first."""
    return [_line(point, record["monitor"]) for point in best_first(record)]


def best_first(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The points of a record, the best first; those without a value are the last."""
    sign = 1 if record["lower_is_better"] else -1
    return sorted(record["points"], key=lambda p: (p["mean"] is None, sign * (p["mean"] or 0)))


def _line(row: Mapping[str, Any], monitor: str) -> dict[str, Any]:
    renamed = {"value": monitor, "mean": f"{monitor}_mean", "sd": f"{monitor}_sd"}
    own = {renamed.get(key, key): found for key, found in row.items() if key != "values"}
    return {**row["values"], **own}


def _row(trial: Trial, monitor: Monitor, error: str) -> dict[str, Any]:
    done = trial.finished and not error
    history = read_history(trial.run / "metrics.csv") if done else []
    best = monitor.best_epoch(history) if done else None
    config = trial.config
    return {
        "run": config.name,
        "values": dict(trial.values),
        "seed": config.seed,
        "fold": config.split.fold,
        "state": "finished" if done else "failed",
        "best_epoch": None if best is None else best + 1,
        "value": None if best is None else history[best][monitor.name],
        "seconds": sum(epoch.get("seconds", 0.0) for epoch in history) if done else None,
        "error": error if error or done else "not finished",
    }


def _points(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row["values"].values()), []).append(row)
    points = []
    for group in groups.values():
        over = spread([row["value"] for row in group])
        points.append(
            {
                "values": group[0]["values"],
                **{key: over[key] for key in ("mean", "sd", "n")},
                "failed": sum(row["state"] == "failed" for row in group),
            }
        )
    return points


def _phantom(trial: Trial) -> bool:
    return any(is_phantom(source.root) for source in trial.config.data.sources.values())
