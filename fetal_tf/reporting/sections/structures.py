"""Report section on brain structures: Dice pooled and per image, anomaly scores."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from fetal_tf.reporting.plots.structures import feature_distributions
from fetal_tf.reporting.section import Plot, Section, Table
from fetal_tf.scores.rows import numbers
from fetal_tf.scores.wording import DASH, interval, number, plural
from fetal_tf.tasks.task import Task

NAMES = {"csp": "CSP", "lv": "LV", "brain": "brain", "background": "background"}
RULES = {
    "skip": "left out",
    "one": "1 if nothing is found",
    "zero": "0",
}
TOTALS = {
    "foreground_dice": "mean Dice of the structures",
    "mean_iou": "mean IoU, all classes",
    "mean_iou_foreground": "mean IoU without background",
    "mean_iou_small": "mean IoU of {small}",
    "frequency_weighted_iou": "frequency-weighted IoU",
    "pixel_accuracy": "pixel accuracy",
}
SCORES = {
    "anomaly_score": ("anomaly score (no expert)", "the larger of the two below"),
    "shape_score": ("shape", "largest robust z-score"),
    "disagreement_score": ("disagreement", "of flipped and brightened views"),
    "mismatch_score": ("mismatch score", "needs the expert's mask"),
}
FEATURES = ("csp_area_mm2", "lv_area_mm2", "lv_width_mm", "brain_eccentricity", "csp_solidity")
FLAGGED_FROM = 1.0  # of the anomaly score


def structures_section(rows: pd.DataFrame, summary: Mapping[str, Any], task: Task) -> Section:
    """Tables and plots of what `StructuresTask.summarise` found."""
    if "pooled" not in summary:
        return Section("Structures", "structures", ["No image could be scored."])
    return Section(
        "Structures",
        "structures",
        list(_sentences(summary)),
        list(_tables(summary)),
        list(_plots(rows)),
    )


def _sentences(summary: Mapping[str, Any]) -> Iterator[str]:
    pooled, per_image = summary["pooled"], summary["per_image_dice"]
    for name in _structures(summary)[1:]:
        shown = per_image["skip"][name]
        zero = per_image["zero"][name]
        if shown["n"] and zero["n"]:
            yield (
                f"{NAMES[name]}: Dice {_score(pooled[f'{name}_dice']['value'])} pooled over all "
                f"pixels, {_score(shown['mean'])} in the mean of the {shown['n']} images that show "
                f"it, {_score(zero['mean'])} over all {zero['n']} images if an image without it "
                "counts 0. The three answer different questions: name the one you quote."
            )


def _tables(summary: Mapping[str, Any]) -> Iterator[Table]:
    yield _dice_table(summary)
    yield _totals_table(summary)
    yield _detail_table(summary)
    yield _confusion_table(summary)
    if summary.get("presence"):
        yield _presence_table(summary["presence"])
    if any(summary["anomaly"].values()):
        yield _anomaly_table(summary["anomaly"])


def _dice_table(summary: Mapping[str, Any]) -> Table:
    rows = []
    for name in _structures(summary):
        pooled, raw = summary["pooled"][f"{name}_dice"], summary["pooled_raw"][f"{name}_dice"]
        cells = [NAMES[name], _with_interval(pooled), _with_interval(raw)]
        for rule in RULES:
            mean = summary["per_image_dice"][rule][name]
            cells.append(_with_interval({"value": mean["mean"], "ci95": mean["ci95"]}, mean["n"]))
        rows.append(cells)
    return Table(
        "Dice, pooled over pixels and per image",
        [
            "Structure",
            "Pooled",
            "Pooled, not cleaned",
            *(f"Per image; absent: {what}" for what in RULES.values()),
        ],
        rows,
        "Pooled: all pixels of all images together, so large structures in few images decide. Per "
        "image: the mean over images; “absent” is what an image counts whose expert mask does not "
        f"show the structure. Metrics above use the rule “{RULES[summary['absent_rule']]}”. "
        "Intervals: 95 %, whole patients resampled.",
    )


def _totals_table(summary: Mapping[str, Any]) -> Table:
    cleaned, raw = summary["pooled"], summary["pooled_raw"]
    small = " and ".join(NAMES[name] for name in _structures(summary)[1:])
    rows = [
        [label.format(small=small), _with_interval(cleaned[name]), _with_interval(raw[name])]
        for name, label in TOTALS.items()
        if name in cleaned
    ]
    return Table("Over all classes, pooled", ["Metric", "Cleaned", "Not cleaned"], rows)


def _detail_table(summary: Mapping[str, Any]) -> Table:
    metrics = ("iou", "precision", "recall", "f1")
    rows = [
        [NAMES[name], *(_with_interval(summary["pooled"][f"{name}_{m}"]) for m in metrics)]
        for name in summary["classes"]
    ]
    return Table("Per class, pooled", ["Class", "IoU", "Precision", "Recall", "F1"], rows)


def _confusion_table(summary: Mapping[str, Any]) -> Table:
    matrix = np.array(summary["confusion_px"], np.float64)
    shares = 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    classes = summary["classes"]
    rows = [
        [NAMES[name], *(f"{share:.2f} %" for share in line), f"{int(total):,}"]
        for name, line, total in zip(classes, shares, matrix.sum(axis=1), strict=True)
    ]
    return Table(
        "Where the expert's pixels went",
        ["Expert", *(f"as {NAMES[name]}" for name in classes), "pixels"],
        rows,
        "Each row adds up to 100 %.",
    )


def _presence_table(presence: Mapping[str, Any]) -> Table:
    rows = []
    for name, found in presence.items():
        cells = [NAMES[name]]
        for rate in ("sensitivity", "specificity"):
            cells.append(_with_interval({"value": found[rate], "ci95": found[f"{rate}_ci95"]}))
        counts = ("true_positive", "false_negative", "false_positive", "true_negative")
        rows.append([*cells, *(str(found[count]) for count in counts)])
    return Table(
        "Is the structure there at all?",
        ["Structure", "Sensitivity", "Specificity", "Found", "Missed", "Invented", "Rightly none"],
        rows,
        "An image shows a structure where at least one pixel of it is marked. Intervals: Wilson.",
    )


def _anomaly_table(anomaly: Mapping[str, Any]) -> Table:
    conditions = list(next(found for found in anomaly.values() if found))
    rows = []
    for score, found in anomaly.items():
        label, meaning = SCORES[score]
        cells = [
            _with_interval({"value": found[c]["auroc"], "ci95": found[c]["ci95"]})
            for c in conditions
        ]
        rows.append([label, *cells, meaning])
    first = next(iter(found for found in anomaly.values() if found))
    sizes = [f"{c.replace('_', ' ')} (n = {first[c]['n_positive']})" for c in conditions]
    normal = first["any"]["n_negative"]
    return Table(
        "Anomaly scores against the seeded conditions: AUROC",
        ["Score", *sizes, "What it is"],
        rows,
        f"The chance that an image with the condition scores above one of {normal} normal images; "
        "0.5 is guessing.",
    )


def _plots(rows: pd.DataFrame) -> Iterator[Plot]:
    scores = numbers(rows, "anomaly_score")
    judged = rows[np.isfinite(scores)]
    flagged = scores[np.isfinite(scores)] >= FLAGGED_FROM
    columns = {}
    for name in FEATURES:
        values = numbers(judged, name)
        if np.isfinite(values).sum() >= 2:
            columns[name] = values
    if figure := feature_distributions(columns, flagged):
        n = int(flagged.sum())
        yield Plot(
            "feature_distributions",
            "Features, normal against flagged",
            figure,
            f"Distributions of {', '.join(columns)} over {plural(len(judged), 'image')}, {n} of "
            "them flagged by the anomaly score.",
            "Each mark is an image in which the model found the structure; the line is the median. "
            "“Flagged” is an anomaly score of 1 or more, which needs no expert.",
            wide=True,
        )


def _structures(summary: Mapping[str, Any]) -> list[str]:
    return summary["classes"][1:]


def _score(value: float | None) -> str:
    return number(value, "dice")


def _with_interval(entry: Mapping[str, Any], n: int | None = None) -> str:
    if entry["value"] is None:
        return DASH
    count = "" if n is None else f", n = {n}"
    return f"{_score(entry['value'])} [{interval(entry['ci95'], 'dice')}]{count}"
