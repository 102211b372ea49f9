"""The result of a cross-validation as a table for the screen."""

from collections.abc import Mapping
from typing import Any

from fetal_tf.evaluation.cross_validation import BEST
from fetal_tf.evaluation.negatives import ANSWERS
from fetal_tf.reporting.text.table import text_table
from fetal_tf.scores.columns import POOLED
from fetal_tf.scores.wording import DASH, interval, metric_label, number, plural


def screen_text(record: Mapping[str, Any]) -> str:
    """Format a row per metric: each fold, mean ± sd over folds, and all images pooled.

    Args:
        record: of `fetal_tf.evaluation.cross_validation.pool_folds`.
    """
    folds = record["folds"]
    head = ["", *(f"fold {n}" for n in range(len(folds))), "mean ± sd", "pooled (95 % interval)"]
    table = [head, _counts("images", "n", record)]
    table += [
        _counts(name, name, record) for name in ("refused", "failed") if record["images"][name]
    ]
    table += [_line(metric, figure) for metric, figure in record["metrics"].items()]
    if "negatives" in record:
        table += [_answers(name, record) for name in ANSWERS]
    images, groups = plural(record["images"]["n"], "image"), plural(record["groups"], "group")
    about = f"pooled: {images} of {groups}, each judged by the fold that held it out of training; "
    lines = [text_table(table), f"{about}± is the sd over {len(folds)} folds"]
    if record["chosen_on_judged_images"]:
        chosen = " and ".join(record["chosen_on_judged_images"])
        lines.append(
            f"figures are a little too good: {chosen} were chosen on the images that judge a fold"
        )
    return "\n".join(lines)


def _counts(label: str, key: str, record: Mapping[str, Any]) -> list[str]:
    per_fold = [str(fold["images"][key]) for fold in record["folds"]]
    return [label, *per_fold, DASH, str(record["images"][key])]


def _answers(name: str, record: Mapping[str, Any]) -> list[str]:
    parts = [fold.get("negatives") for fold in record["folds"]]
    per_fold = [DASH if found is None else str(found[name]) for found in parts]
    total = record["negatives"]
    return [f"negatives {name}", *per_fold, DASH, f"{total[name]} of {total['n']} answers"]


def _line(metric: str, figure: Mapping[str, Any]) -> list[str]:
    stem = metric.removeprefix(POOLED).removeprefix(BEST)
    if metric.startswith(BEST):
        label = f"best {stem}"
    else:
        label = metric_label(stem) + (", over pixels" if metric.startswith(POOLED) else "")
    over_folds = together = DASH
    if figure["mean"] is not None:
        sd = number(figure["sd"], stem).lstrip("+")
        over_folds = f"{number(figure['mean'], stem)} ± {sd}"
    pooled = figure["pooled"]
    if pooled is not None and pooled["value"] is not None:
        together = f"{number(pooled['value'], stem)} ({interval(pooled['ci95'], stem)})"
    return [label, *(number(value, stem) for value in figure["folds"]), over_folds, together]
