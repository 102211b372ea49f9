"""RUN/metrics.csv: one row per finished epoch, and whether the training is over."""

import csv
from pathlib import Path

from fetal_tf.config.loading import load_config
from fetal_tf.config.tree import EarlyStopping
from fetal_tf.edge.errors import FetalTFError
from fetal_tf.edge.io.files import write_text_atomic
from fetal_tf.experiment import monitor_of
from fetal_tf.scores.monitor import History, Monitor


def has_stopped(history: History, monitor: Monitor, stopping: EarlyStopping | None) -> bool:
    """Whether early stopping has ended this training; never without it."""
    if stopping is None:
        return False
    return monitor.epochs_without_gain(history, stopping.min_delta) >= stopping.patience


def has_finished(run: Path) -> bool:
    """Whether the training in the folder `run` has reached its last epoch, or stopped early."""
    history = read_history(run / "metrics.csv")
    config = load_config(run / "config.yaml")
    if len(history) >= config.train.epochs:
        return True
    stopping = config.train.early_stopping
    return bool(history and stopping) and has_stopped(history, monitor_of(config), stopping)


def read_history(path: Path) -> list[dict[str, float]]:
    """Rows of a metrics.csv as numbers; empty where there is none."""
    if not path.is_file():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    except (ValueError, TypeError) as error:
        raise FetalTFError(
            f"{path}: not a table of numbers ({error}); --resume writes it anew"
        ) from error


def write_history(history: list[dict[str, float]], path: Path) -> None:
    """Write metrics.csv, one row per finished epoch. The whole file is written anew."""
    columns = ["epoch", *history[-1]]
    lines = [",".join(columns)]
    for epoch, row in enumerate(history, start=1):
        lines.append(",".join([str(epoch), *(f"{row[c]:.6g}" for c in columns[1:])]))
    write_text_atomic(path, "\n".join(lines) + "\n")
