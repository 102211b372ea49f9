"""Report section on the four-chamber heart: FOCUS score, ratios, pixels, categories."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fetal_tf.reporting.plots.curves import calibration_curves, pr_curves, roc_curves
from fetal_tf.reporting.section import Plot, Section, Table
from fetal_tf.scores.focus import FOCUS_METRICS, MARKS
from fetal_tf.scores.quantities import Quantity
from fetal_tf.scores.rows import numbers, scored
from fetal_tf.scores.wording import DASH, interval, metric_label, number, plural
from fetal_tf.tasks.task import Task

NBSP = "\N{NO-BREAK SPACE}"
TITLE, KEY = "Four-chamber heart", "fourchamber"
STRUCTURES = ("heart", "thorax")
# Published by the dataset's authors, in the order of FOCUS_METRICS: shares, HD95 in pixels.
PUBLISHED = {
    "U-Net, dataset's authors": (0.8912, 0.9396, None, None, 0.9023),
    "TransUNet, dataset's authors": (0.9248, 0.9648, 16.76, 16.26, 0.9332),
}
OFFICIAL_TEST = "testing_"  # prefix of the ids of FOCUS' test images
PIXEL_METRICS = ("dice", "iou", "sensitivity", "specificity", "roc_auc", "pr_auc")
RATIOS = ("ctr_diameter", "ctr_area", "ctr_circumference")


def four_chamber_section(rows: pd.DataFrame, summary: Mapping[str, Any], task: Task) -> Section:
    """The official score, ratios, pixel metrics and categories of heart and thorax.

    Figures without any value are left out. A binary model has none that need a thorax.
    """
    judged = scored(rows)
    metrics = summary["metrics"]
    if not any(metrics[name]["n"] for name in task.metric_names):
        return Section(TITLE, KEY, ["No image could be scored."])
    structures = [s for s in STRUCTURES if f"{s}_dice" in metrics and metrics[f"{s}_dice"]["n"]]
    pixels = {s: p for s, p in summary.get("pixels", {}).items() if s in structures}
    tables = (
        _official_table(judged, metrics),
        _ratio_table(judged, metrics),
        _pixel_table(structures, metrics, pixels),
        _category_table(structures, summary.get("categories", {})),
    )
    return Section(
        TITLE,
        KEY,
        list(_sentences(judged, metrics)),
        [table for table in tables if table.rows],
        list(_curve_plots({s.capitalize(): pixels[s] for s in structures if s in pixels})),
    )


def _sentences(rows: pd.DataFrame, metrics: Mapping[str, Any]) -> Iterator[str]:
    figures = [
        f"{metric_label(name).removeprefix('FOCUS ')} {number(metrics[name]['mean'], name)} "
        f"(95{NBSP}% CI {interval(metrics[name]['ci95'], name)})"
        for name in _measured(metrics)
        if not name.endswith("px")
    ]
    if not figures:
        yield "No official FOCUS score: no image has an annotated ellipse to compare with."
        return
    n = max(metrics[name]["n"] for name in _measured(metrics))
    yield f"Official FOCUS score on {plural(n, 'image')}: {'; '.join(figures)}."
    paired = "focus_ctr_agreement" in _measured(metrics)
    missed = [
        f"the {structure} in {plural(count, 'image')}"
        for structure, official in (("heart", "cardiac"), ("thorax", "thorax"))
        if (count := _not_found(rows, official))
    ]
    if missed:
        yield (
            f"No outline was found for {' and '.join(missed)}: such an image counts 0"
            f"{' in Dice and CTR agreement' if paired else ''}, and has no HD95."
        )
    if not paired:
        yield "Without a thorax there is no cardiothoracic ratio."


def _official_table(rows: pd.DataFrame, metrics: Mapping[str, Any]) -> Table:
    columns = _measured(metrics)
    agreement = (
        "CTR agreement: 1 \N{MINUS SIGN} |ΔCTR| / CTR, of the minor axes; below 0 where the ratio "
        "is more than doubled. "
    )
    ours = [_mean_with_interval(metrics[name], name) for name in columns]
    lines = [["This model", *ours]] if columns else []
    for source, values in PUBLISHED.items() if columns else ():
        published = dict(zip(FOCUS_METRICS, values, strict=True))
        lines.append([source, *(number(published[name], name) for name in columns)])
    elsewhere = not rows["id"].str.startswith(OFFICIAL_TEST).all()
    caution = (
        "this evaluation is of other images, so the figures stand beside each other but are no "
        "ranking"
        if elsewhere
        else "compare them where this evaluation is of all of these"
    )
    return Table(
        "Official FOCUS score, beside published figures",
        ["Model", *(_without_focus(name) for name in columns)],
        lines,
        "Ellipses of model and expert are drawn in pixels of the original image and compared: Dice "
        "(1 = identical), HD95 (19 of 20 border points lie closer; the larger of both directions). "
        f"{agreement if 'focus_ctr_agreement' in columns else ''}"
        "The authors' figures are on FOCUS' 50 test images, ten repetitions "
        f"each; {caution}. FOCUS' 300 images are of 217 patients, but its files do not name them: "
        "the 95 % intervals take images for independent, and are a little too narrow.",
    )


def _ratio_table(rows: pd.DataFrame, metrics: Mapping[str, Any]) -> Table:
    lines = []
    for stem in RATIOS:
        quantity = Quantity(stem, "percent")
        name = quantity.absolute
        if name not in metrics or not len(pairs := quantity.pairs(rows)):
            continue
        bias, low, high = (number(value, quantity.error) for value in pairs.limits())
        lines.append(
            [
                quantity.name.removeprefix("CTR ").capitalize(),
                str(len(pairs)),
                f"{number(float(pairs.measured.mean()), name)} %",
                f"{number(float(pairs.predicted.mean()), name)} %",
                f"{bias} pp" + (f" [{_unbroken(f'{low} to {high}')}]" if len(pairs) > 1 else ""),
                _mean_with_interval(metrics[name], name, " pp"),
            ]
        )
    return Table(
        "Cardiothoracic ratio, three definitions",
        ["Ratio", "n", "Expert, mean", "Model, mean", "Bias [limits of agreement]", "Mean |Δ|"],
        lines,
        "Heart over thorax, each by its ellipse: minor axes (the dataset's CTR), areas, "
        "circumferences. The three differ, and so do their normal ranges: name the one you quote. "
        "pp: percentage points. Images without both outlines are left out.",
    )


def _pixel_table(
    structures: Sequence[str], metrics: Mapping[str, Any], pixels: Mapping[str, Any]
) -> Table:
    lines = []
    for name in PIXEL_METRICS:
        cells = [metric_label(name)]
        for structure in structures:
            metric = metrics[f"{structure}_{name}"]
            cells += [_mean_and_spread(metric), _pooled(pixels.get(structure, {}).get(name))]
        lines.append(cells)
    errors = [pixels.get(s, {}).get("expected_calibration_error") for s in structures]
    if any(error is not None for error in errors):
        cells = [cell for error in errors for cell in (DASH, _share(error))]
        lines.append(["Expected calibration error", *cells])
    header = [
        text
        for structure in structures
        for n in (metrics[f"{structure}_dice"]["n"],)
        for text in (
            f"{structure.capitalize()}, per image ({_unbroken(f'n = {n}')})",
            f"{structure.capitalize()}, pooled",
        )
    ]
    return Table(
        "Pixels, per image and pooled",
        ["Metric", *header],
        lines if structures else [],
        "The net's own mask, its probabilities of 0.5 and more, before any ellipse. Per image: "
        "mean ± sd. Pooled: all pixels of all images together, so that large images and large "
        "hearts weigh more; in brackets 95 % intervals. "
        f"{'The thorax holds the heart. ' if 'thorax' in structures else ''}"
        "PR AUC is average precision, by steps; most of an image is background, which flatters "
        "specificity, ROC AUC and calibration error.",
    )


def _category_table(structures: Sequence[str], found: Mapping[str, Any]) -> Table:
    counted = [s for s in structures if s in found and found[s]["n"]]
    lines = [
        [
            f"{metric_label(metric)} > {mark}",
            *(_percent(found[s][metric][str(mark)], found[s]["n"]) for s in counted),
        ]
        for metric, marks in MARKS.items()
        for mark in marks
    ]
    return Table(
        "Share of images above fixed marks",
        ["Category", *(f"{s.capitalize()} (n = {found[s]['n']})" for s in counted)],
        lines if counted else [],
        "The categories of the source study; an image above 0.8 is above 0.7 and 0.5, too.",
    )


def _curve_plots(pixels: Mapping[str, Mapping[str, Any]]) -> Iterator[Plot]:
    """ROC, precision-recall and calibration curves, as far as the pixels allow.

    Args:
        pixels: a structure's displayed name → the summary of its `PixelLevels`.
    """
    names = " and ".join(name.lower() for name in pixels)
    if figure := roc_curves(pixels):
        areas = ", ".join(
            f"{name} {number(p['roc_auc']['value'], 'dice')}" for name, p in pixels.items()
        )
        yield Plot(
            "roc_curves",
            "ROC, all pixels pooled",
            figure,
            f"ROC curves of the pixels of {names}; area under the curve: {areas}.",
            "Each threshold on the probability is a point: the share of the structure's pixels "
            "found, over the share of all others taken for it. The closer to the upper left "
            "corner, the better; the mark is the mask that is measured.",
        )
    if figure := pr_curves(pixels):
        areas = ", ".join(
            f"{name} {number(p['pr_auc']['value'], 'dice')}" for name, p in pixels.items()
        )
        yield Plot(
            "pr_curves",
            "Precision and recall, all pixels pooled",
            figure,
            f"Precision-recall curves of the pixels of {names}; average precision: {areas}.",
            "How many of the pixels called a structure are one, as more and more of it is found. "
            "It does not count background rightly left alone, so it is stricter than ROC. Dotted: "
            "the structure's share of all pixels, which guessing gives.",
        )
    if figure := calibration_curves(pixels):
        errors = ", ".join(
            f"{name} {number(p['expected_calibration_error'], 'dice')}"
            for name, p in pixels.items()
        )
        yield Plot(
            "calibration",
            "Calibration of the probabilities",
            figure,
            f"Observed share over predicted probability for pixels of {names}; expected "
            f"calibration error: {errors}.",
            "On the diagonal, of the pixels said to be 70 % heart seven in ten are. Below it "
            "the probabilities are too high, above it too low. The bars count the pixels, on a log "
            "scale: nearly all are certain, and a middle bin is the rim of a structure.",
        )


def _measured(metrics: Mapping[str, Any]) -> list[str]:
    return [name for name in FOCUS_METRICS if name in metrics and metrics[name]["n"]]


def _not_found(rows: pd.DataFrame, official: str) -> int:
    """Count images in which the model found no outline: Dice 0 and no HD95."""
    dice, hd95 = numbers(rows, f"focus_{official}_dice", f"focus_{official}_hd95_px").T
    return int(((dice == 0) & np.isnan(hd95)).sum())


def _without_focus(name: str) -> str:
    """Drop FOCUS from a label, because the table's title says it."""
    label = metric_label(name).removeprefix("FOCUS ")
    return label[0].upper() + label[1:]


def _mean_with_interval(metric: Mapping[str, Any], name: str, unit: str = "") -> str:
    if metric["mean"] is None:
        return DASH
    text = f"{number(metric['mean'], name)}{unit}"
    if metric["ci95"][0] is None:
        return text
    return f"{text} [{_unbroken(interval(metric['ci95'], name))}]"


def _unbroken(text: str) -> str:
    """Use no-break spaces, so that a line does not break inside an interval."""
    return text.replace(" ", NBSP)


def _mean_and_spread(metric: Mapping[str, Any]) -> str:
    if metric["mean"] is None:
        return DASH
    return _share(metric["mean"]) + ("" if metric["sd"] is None else f" ± {_share(metric['sd'])}")


def _pooled(value: Mapping[str, Any] | float | None) -> str:
    if isinstance(value, Mapping):
        return _mean_with_interval({"mean": value["value"], "ci95": value["ci95"]}, "dice")
    return _share(value)


def _share(value: float | None) -> str:
    return number(value, "dice")


def _percent(share: float, n: int) -> str:
    return f"{100 * share:.1f} % ({round(share * n)})"
