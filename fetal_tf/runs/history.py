"""A run's history: one row a finished epoch, the best of them, and how long none was better."""

import csv
from pathlib import Path

import numpy as np

from fetal_tf.config.loading import load_config
from fetal_tf.config.tree import TrainConfig
from fetal_tf.edge.errors import FetalTFError
from fetal_tf.scores.direction import lower_is_better


def has_stopped(history: list[dict[str, float]], options: TrainConfig) -> bool:
    """Whether early stopping has ended this training; a function of the history."""
    stopping = options.early_stopping
    if stopping is None:
        return False
    waited = epochs_without_gain(history, options.monitor, stopping.min_delta)
    return waited >= stopping.patience


def has_finished(run: Path) -> bool:
    """Whether the training in the folder `run` has reached its last epoch, or stopped early."""
    history = read_history(run / "metrics.csv")
    options = load_config(run / "config.yaml").train
    return len(history) >= options.epochs or (bool(history) and has_stopped(history, options))


def best_epoch(history: list[dict[str, float]], monitor: str) -> int:
    """Index of the best row; the earliest of equals. Raises ValueError on an empty history."""
    values = np.array([row[monitor] for row in history], dtype=float)
    values = np.where(np.isfinite(values), values if lower_is_better(monitor) else -values, np.inf)
    return int(np.argmin(values))


def epochs_without_gain(
    history: list[dict[str, float]], monitor: str, min_delta: float = 0.0
) -> int:
    """Epochs since `monitor` last improved by more than `min_delta`; a function of the history."""
    sign = 1 if lower_is_better(monitor) else -1
    best, waited = np.inf, 0
    for row in history:
        value = sign * row[monitor]
        if value < best - min_delta:
            best, waited = value, 0
        else:
            waited += 1
    return waited


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
