"""Brain structures over all images: pooled scores, presence, anomaly scores."""

import typing
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from fetal_tf.scores import classes as class_scores
from fetal_tf.scores.classes import AbsentRule
from fetal_tf.scores.confusions import confusions_of_rows
from fetal_tf.scores.detection import auroc, presence_detection
from fetal_tf.scores.rows import numbers
from fetal_tf.scores.statistics import summarise

RAW = "raw_"  # columns of the label map before it was cleaned
ANOMALY_SCORES = ("anomaly_score", "shape_score", "disagreement_score")
NORMAL = "normal"


def pooled(rows: pd.DataFrame, classes: Sequence[str]) -> dict[str, float | None]:
    """Scores over the pixels of all images together; empty where no row holds any."""
    confusions, _ = confusions_of_rows(rows, classes)
    if not len(confusions):
        return {}
    return class_scores.pooled_metrics(confusions.sum(axis=0), classes)


def summary(
    rows: pd.DataFrame, classes: Sequence[str], absent: AbsentRule, seed: int
) -> dict[str, Any]:
    """Summarise the rows of `StructuresTask.evaluate`.

    Args:
        rows: of all images.
        classes: of the label maps, background first.
        absent: the rule by which the rows' own scores count absent classes, for the record.
        seed: of the bootstrap.

    Returns:
        Pooled figures with intervals, cleaned and raw; Dice per image under every rule for absent
        classes; presence detection; AUROC of the anomaly scores where conditions are known.
    """
    found: dict[str, Any] = {"classes": list(classes), "absent_rule": absent}
    for prefix, title in (("", "pooled"), (RAW, "pooled_raw")):
        confusions, groups = confusions_of_rows(rows, classes, prefix)
        if not len(confusions):
            return found
        total = confusions.sum(axis=0)
        values = class_scores.pooled_metrics(total, classes)
        intervals = class_scores.pooled_intervals(confusions, classes, groups, seed)
        found[title] = {
            name: {"value": value, "ci95": intervals[name]} for name, value in values.items()
        }
        if not prefix:
            found["confusion_px"] = total.tolist()
            found["per_image_dice"] = _dice_by_rule(confusions, classes, groups, seed)
            found["presence"] = presence_detection(confusions, classes)
    found["anomaly"] = _anomaly(rows, seed)
    return found


def _dice_by_rule(
    confusions: np.ndarray, classes: Sequence[str], groups: Sequence[str], seed: int
) -> dict[str, Any]:
    """Rule → structure → Dice per image, summarised."""
    found: dict[str, Any] = {}
    for rule in typing.get_args(AbsentRule):
        per_image = [class_scores.class_metrics(c, rule) for c in confusions]
        found[rule] = {
            name: summarise([m[index]["dice"] for m in per_image], seed, groups)
            for index, name in enumerate(classes)
            if index > 0
        }
    return found


def _anomaly(rows: pd.DataFrame, seed: int) -> dict[str, Any]:
    """Score → condition (or `any`) → AUROC against the normal images; empty without labels."""
    known = rows[rows["condition"] != ""]
    conditions = sorted({*known["condition"]} - {NORMAL})
    found: dict[str, Any] = {}
    for score in (*ANOMALY_SCORES, "mismatch_score"):
        found[score] = {}
        for condition in ("any", *conditions) if conditions else ():
            compared = conditions if condition == "any" else [condition]
            chosen = known[known["condition"].isin([NORMAL, *compared])]
            abnormal = (chosen["condition"] != NORMAL).to_numpy()
            found[score][condition] = auroc(
                numbers(chosen, score), abnormal, list(chosen["group"]), seed
            )
    return found
