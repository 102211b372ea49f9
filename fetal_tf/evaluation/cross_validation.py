"""Pool the folds of a cross-validation: `runs/NAME-folds`.

Each fold is judged on the images that it held out of training: no net learnt its weights from the
images that it judges. Yet its epoch, and where a task fits limits its limits, are chosen on these
images. That makes the figures a little too good; `chosen_on_judged_images` in `folds.json` says it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fetal_tf.edge.errors import DataError, FetalTFError
from fetal_tf.edge.io.folders import write_all
from fetal_tf.evaluation.evaluate import summarise_rows
from fetal_tf.evaluation.negatives import ANSWERS
from fetal_tf.runs.history import read_history
from fetal_tf.scores.columns import POOLED
from fetal_tf.scores.monitor import Monitor
from fetal_tf.scores.rows import csv_text, image_frame, json_text, read_object, read_rows, scored
from fetal_tf.scores.statistics import over_repeats
from fetal_tf.tasks.task import Task

SCHEMA = 1
EVALUATION = Path("evaluation") / "val-keras"  # where `evaluate RUN --split val` leaves its results
BEST = "best_"  # in front of the monitor: its value at each fold's best epoch


@dataclass(frozen=True)
class Fold:
    """The results of one fold: its epochs, and a row for each image that it held out.

    Attributes:
        run: its folder.
        rows: of its own validation images.
        summary: the `summary.json` beside them.
        history: its epochs, see `fetal_tf.runs.history.read_history`.
    """

    run: Path
    rows: pd.DataFrame
    summary: Mapping[str, Any]
    history: list[dict[str, float]]

    def found(self, *keys: str) -> Any:
        """The value under nested keys of the summary.

        Raises:
            DataError: it has no such key.
        """
        value: Any = self.summary
        for depth, key in enumerate(keys, 1):
            if not isinstance(value, Mapping) or key not in value:
                folder = self.run / EVALUATION
                raise DataError(
                    f"{folder / 'summary.json'}: has no {'.'.join(keys[:depth])}; {_again(folder)}"
                )
            value = value[key]
        return value


def read_fold(run: Path) -> Fold:
    """Read the results of a fold that is trained and evaluated.

    Raises:
        DataError: its results are missing or damaged.
    """
    folder = run / EVALUATION
    try:
        summary = read_object(folder / "summary.json")
    except FetalTFError as error:
        raise DataError(f"{error}; {_again(folder)}") from error
    rows = read_rows(folder / "per_image.csv")
    return Fold(run, rows, summary, read_history(run / "metrics.csv"))


def pool_folds(name: str, folds: Sequence[Fold], task: Task, monitor: Monitor, seed: int) -> dict:
    """Pool all folds into one record, the tree of `folds.json`.

    Args:
        name: of the config.
        folds: in their order; no image is in two of them.
        task: names the columns.
        monitor: the config's; its best values are compared too.
        seed: of the bootstrap.

    Returns:
        `folds`: per fold its run, images, epochs, best epoch, what was `evaluated`, `negatives`.
        `images`, `groups`, `bootstrap`: of all folds, see
        `fetal_tf.evaluation.evaluate.summarise_rows`.
        `chosen_on_judged_images`: what of each net was chosen on the images that judge it.
        `metrics`: the headline, its figures pooled over pixels, and the monitor. Each has `folds`,
        one value per fold; `mean` and `sd` (n - 1) over folds; and `pooled`: the `value` over all
        held-out images, `ci95` over groups, `n` images. `pooled` is null for the monitor.
        `negatives`, where there are any: how many of `n` answers to frames that show something
        else were `refused`, `flagged`, `passed` or `failed`. A frame that several folds hold out
        counts once for each.

    Raises:
        DataError: an image that two folds validate on, a fold's summary that lacks a figure.
    """
    rows = pooled_rows(folds)
    whole = summarise_rows(rows, task, seed)
    figures: dict[str, tuple[list[Any], dict[str, Any] | None]] = {
        column: (
            [fold.found("metrics", column, "mean") for fold in folds],
            _pooled(whole["metrics"][column], "mean", whole["metrics"][column]["n"]),
        )
        for column in task.headline
    }
    for column in task.pooled_headline:
        figures[POOLED + column] = (
            [fold.found("pooled", column, "value") for fold in folds],
            _pooled(whole["pooled"][column], "value", len(scored(rows))),
        )
    answers = [_answers(fold) for fold in folds]
    best = [monitor.best_epoch(fold.history) for fold in folds]
    at_best = [fold.history[epoch][monitor.name] for fold, epoch in zip(folds, best, strict=True)]
    figures[BEST + monitor.name] = (at_best, None)
    return {
        "schema": SCHEMA,
        "name": name,
        "phantom": any(fold.found("evaluated", "phantom") for fold in folds),
        **{key: whole[key] for key in ("images", "groups", "bootstrap")},
        "chosen_on_judged_images": [
            *([f"epoch (by {monitor.name})"] if monitor.name.startswith("val_") else []),
            *(["measurement limits"] if task.fits_measurer else []),
        ],
        "metrics": {
            column: {"folds": values, **over_repeats(values), "pooled": pooled}
            for column, (values, pooled) in figures.items()
        },
        **({"negatives": _summed(answers)} if any(answers) else {}),
        "folds": [
            {
                "run": fold.run.name,
                "images": fold.found("images"),
                "groups": fold.found("groups"),
                "epochs": len(fold.history),
                "best_epoch": epoch + 1,
                "evaluated": fold.found("evaluated"),
                **({"negatives": found} if found else {}),
            }
            for fold, epoch, found in zip(folds, best, answers, strict=True)
        ],
    }


def pooled_rows(folds: Sequence[Fold]) -> pd.DataFrame:
    """The rows of all folds, each with the number of its `fold`.

    Raises:
        DataError: an image in two of them.
    """
    numbered = (fold.rows.assign(fold=number) for number, fold in enumerate(folds))
    rows = image_frame(pd.concat(numbered, ignore_index=True))
    again = rows[rows["id"].duplicated()]
    if len(again):
        id, number = again.iloc[0][["id", "fold"]]
        first = rows.loc[rows["id"] == id, "fold"].iloc[0]
        raise DataError(
            f"{folds[number].run}: validates on {id}, and so does {folds[first].run}; these are no "
            "folds of one split"
        )
    return rows[list(dict.fromkeys(["id", "group", "fold", *rows]))]


def write_folds(out: Path, record: Mapping[str, Any], rows: pd.DataFrame) -> list[Path]:
    """Write `folds.json`, `folds.csv` (a line per metric) and `per_image.csv` to `out`."""
    texts = {
        "folds.json": json_text(record),
        "folds.csv": csv_text(_lines(record)),
        "per_image.csv": csv_text(rows),
    }
    return write_all(out, texts)


def _lines(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    lines = []
    for metric, figure in record["metrics"].items():
        pooled = figure["pooled"] or {"value": None, "ci95": [None, None], "n": None}
        line = {"metric": metric}
        line |= {f"fold_{number}": value for number, value in enumerate(figure["folds"])}
        line |= {"mean": figure["mean"], "sd": figure["sd"], "pooled": pooled["value"]}
        line |= dict(zip(("ci95_low", "ci95_high"), pooled["ci95"], strict=True))
        lines.append(line | {"n": pooled["n"]})
    return lines


def _pooled(figure: Mapping[str, Any], value: str, n: int) -> dict[str, Any]:
    return {"value": figure[value], "ci95": figure["ci95"], "n": n}


def _answers(fold: Fold) -> dict[str, int]:
    """A fold's counts of answers to negatives; empty where there were none."""
    if not fold.summary.get("negatives"):
        return {}
    return {name: fold.found("negatives", name) for name in ("n", "failed", *ANSWERS)}


def _again(folder: Path) -> str:
    return f"remove {folder} and start the command again with --resume"


def _summed(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    return {name: sum(c.get(name, 0) for c in counts) for name in ("n", "failed", *ANSWERS)}
