"""The report page of an evaluation, for clinicians and engineers.

`write_report` writes rows and summary as `report.html`, which needs no other file, and the same
figures and overlays beside it as PNG.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fetal_tf.edge.flag import split_flags
from fetal_tf.edge.io.files import write_bytes_atomic, write_text_atomic
from fetal_tf.edge.io.images import write_png
from fetal_tf.evaluation.provenance import Evaluated
from fetal_tf.evaluation.seen import HELD_OUT, seen_warning, to_quote
from fetal_tf.reporting.html import jpeg_uri, render
from fetal_tf.reporting.page_plots import report_plots
from fetal_tf.reporting.plots import figures
from fetal_tf.reporting.section import Section
from fetal_tf.reporting.sections.confidence import confidence_section
from fetal_tf.reporting.sections.four_chamber import four_chamber_section
from fetal_tf.reporting.sections.landmarks import landmark_section
from fetal_tf.reporting.sections.negatives import negatives_section
from fetal_tf.reporting.sections.structures import structures_section
from fetal_tf.reporting.sections.subgroups import subgroup_section
from fetal_tf.reporting.tables import flag_table, metric_tables, refused_and_failed, size_table
from fetal_tf.scores.quantities import Quantity
from fetal_tf.scores.rows import numbers, scored
from fetal_tf.scores.wording import DASH, interval, metric_label, number, plural
from fetal_tf.tasks.task import Task

# The sections that a task adds to the page, by the task's name.
MakeSection = Callable[[pd.DataFrame, Mapping[str, Any], Task], Section]
SECTIONS: Mapping[str, tuple[MakeSection, ...]] = {
    "structures": (structures_section,),
    "four_chamber": (four_chamber_section, confidence_section),
    "landmarks": (landmark_section,),
    "segmentation": (subgroup_section, landmark_section, confidence_section),
    "head_axis": (subgroup_section, landmark_section, confidence_section),
}
NAMES = {
    "hc": "head circumference",
    "bpd": "biparietal diameter",
    "ofd": "occipitofrontal diameter",
    "lv_width": "width of the lateral ventricle",
    "ctr_diameter": "cardiothoracic ratio by diameter",
}
NBSP = "\N{NO-BREAK SPACE}"
CI = f"95{NBSP}% CI"
_THEIRS = (
    " This page gives the figures of those held out; only the folded tables, the worst images and "
    "what was refused or failed are of all."
)
LISTED = 60  # rows of the refused-and-failed list; per_image.csv holds them all
THUMBNAIL_PX = 1000


@dataclass(frozen=True)
class Case:
    """One of the worst images: its row and its overlay, RGB uint8 [H, W, 3]."""

    row: Mapping[str, Any]
    overlay: np.ndarray


def write_report(
    out: Path,
    rows: pd.DataFrame,
    summary: Mapping[str, Any],
    evaluated: Evaluated,
    task: Task,
    cases: Sequence[Case] = (),
    history: Sequence[Mapping[str, object]] = (),
) -> Path:
    """Write `report.html`, `figures/NAME.png` and `overlays/NN_ID.png` into `out`.

    Args:
        out: the evaluation's folder.
        rows: one per image, from `evaluate_samples`.
        summary: of the same rows, from `summarise_rows`.
        evaluated: what was evaluated.
        task: names the metrics and the headline.
        cases: the worst images, worst first.
        history: rows of the run's `metrics.csv`; empty where there is no run.

    Returns:
        The page's path.

    Raises:
        FetalTFError: a file cannot be written.
    """
    quantity = _main_quantity(task)
    quoted_rows, quoted = to_quote(rows, summary)
    measuring = len(rows) > 0 or "negatives" not in summary  # negatives alone have no measurements
    plots = list(report_plots(quoted_rows, task, quantity, history))
    makers = SECTIONS.get(task.name, ()) if measuring else ()
    sections = [make(quoted_rows, quoted, task) for make in makers]
    if found := summary.get("negatives"):
        sections.append(negatives_section(found))
    for plot in (*plots, *(plot for section in sections for plot in section.plots)):
        write_bytes_atomic(out / "figures" / f"{plot.name}.png", figures.png_bytes(plot.figure))
    for rank, case in enumerate(cases, start=1):
        write_png(out / "overlays" / _overlay_name(rank, case.row), case.overlay)
    page = render(
        "report.html.j2",
        evaluated=evaluated,
        summary=summary,
        story=_story(quoted_rows, quoted, task, quantity),
        cautions=_cautions(summary, evaluated),
        cards=_cards(quoted, task) if measuring else [],
        tables=metric_tables(summary, task.columns) if measuring else [],
        plots=plots,
        sections=sections,
        no_agreement=_why_no_agreement(quoted_rows, quantity) if measuring else "",
        size_table=size_table(quoted_rows, quantity, task.headline[0]),
        quantity=quantity,
        cases=[_case_view(rank, case, task) for rank, case in enumerate(cases, start=1)],
        flags=flag_table(quoted_rows, task.headline[-1]),
        overlap_label=metric_label(task.headline[0]),
        error_label=metric_label(task.headline[-1]),
        losses=refused_and_failed(rows),
        listed=LISTED,
    )
    path = out / "report.html"
    write_text_atomic(path, page)
    return path


def _main_quantity(task: Task) -> Quantity | None:
    return task.quantities[0] if task.quantities else None


def _story(
    rows: pd.DataFrame, summary: Mapping[str, Any], task: Task, quantity: Quantity | None
) -> list[str]:
    """The result in sentences: measurement errors, then images not measured or flagged."""
    images = summary["images"]
    sentences = []
    if quantity and summary["metrics"][quantity.absolute]["n"]:
        sentences.append(_measured_story(quantity, rows, summary["metrics"][quantity.absolute]))
    if unmeasured := images["refused"] + images["failed"]:
        verb = "was" if unmeasured == 1 else "were"
        sentences.append(
            f"{unmeasured} of {plural(images['n'], 'image')} gave no measurement "
            f"({images['refused']} refused, {images['failed']} failed) and {verb} left out of "
            "every figure of the measurement."
        )
    if images["flagged"]:
        sentences.append(
            f"{plural(images['flagged'], 'measurement')} carried a warning and counted like any "
            "other; the table without them is below, folded."
        )
    return sentences


def _measured_story(quantity: Quantity, rows: pd.DataFrame, error: Mapping[str, Any]) -> str:
    pairs, unit = quantity.pairs(rows), quantity.error_sign
    name = NAMES.get(quantity.stem, quantity.name)
    if len(pairs) == 1:
        apart = f"{error['mean']:.2f} {unit}"
        return f"On one image, the predicted {name} differs from the expert's by {apart}."
    bias, low, high = (number(value, quantity.error) for value in pairs.limits())
    absolute = np.abs(pairs.errors)
    in_words = "percentage points (pp)" if unit == "pp" else unit
    return (
        f"On {len(pairs)} images, the predicted {name} differs from the expert's by "
        f"{error['mean']:.2f} {in_words} in the mean "
        f"({CI} {interval(error['ci95'], quantity.absolute)}). Half of the images lie within "
        f"{np.median(absolute):.2f} {unit}, nine in ten within "
        f"{np.percentile(absolute, 90):.2f} {unit}. The bias is {bias} {unit}, with 95{NBSP}% "
        f"limits of agreement from {low} to {high} {unit}."
    )


def _cautions(summary: Mapping[str, Any], evaluated: Evaluated) -> list[str]:
    cautions = []
    if evaluated.phantom:
        cautions.append(
            "These are generated phantom images. The figures show that the software works; "
            "they say nothing about patients."
        )
    if evaluated.gate:
        cautions.append(
            f"The gate {evaluated.gate} has looked at every image first, and its flags count: "
            "plane_score in per_image.csv, 1 and more is flagged."
        )
    if warning := seen_warning(summary):
        cautions.append(f"{warning}{_THEIRS if HELD_OUT in summary['seen'] else ''}")
    return cautions


def _cards(summary: Mapping[str, Any], task: Task) -> list[dict[str, Any]]:
    images = summary["images"]
    cards = [_card("Images", str(images["n"]), [f"of {plural(summary['groups'], 'examination')}"])]
    for name in task.headline:
        metric = summary["metrics"][name]
        label, _, unit = metric_label(name).partition(" (")
        notes = [f"n = {metric['n']}"] if metric["n"] else ["no image gave a value"]
        if metric["ci95"][0] is not None:
            notes.insert(0, f"{CI} {interval(metric['ci95'], name).replace(' ', NBSP)}")
        value = number(metric["mean"], name)
        cards.append(_card(f"{label}, mean", value, notes, unit=unit.rstrip(")"), tone="key"))
    for name, meaning in (
        ("flagged", "measured, with a warning"),
        ("refused", "no measurement given"),
        ("failed", "unreadable or broken"),
    ):
        tone = "warn" if images[name] else ""
        cards.append(_card(name.capitalize(), str(images[name]), [meaning], tone=tone))
    return cards


def _card(label: str, value: str, notes: list[str], unit: str = "", tone: str = "") -> dict:
    unit = "" if value == DASH else unit
    return {"label": label, "value": value, "unit": unit, "notes": notes, "tone": tone}


def _why_no_agreement(rows: pd.DataFrame, quantity: Quantity | None) -> str:
    """Why the page has no agreement plot; empty where it has one."""
    if quantity is None or len(quantity.pairs(rows)):
        return ""
    judged = scored(rows)
    measured = judged[judged["refused"] == ""]
    if judged.empty:
        reason = "every image failed: see the list below"
    elif measured.empty:
        reason = "every image was refused: see the list below"
    elif quantity.unit == "mm" and np.isnan(numbers(measured, "mm_per_pixel")).all():
        reason = "no image has a known pixel size, and without one there are no millimetres"
    else:
        reason = "no image has both a prediction and an expert's measurement"
    return f"No figure for {quantity.name} in {quantity.unit_sign}: {reason}."


def _case_view(rank: int, case: Case, task: Task) -> dict[str, Any]:
    row, overlap = case.row, task.headline[0]
    quantity = _main_quantity(task)
    facts = []
    if (value := number(row.get(overlap), overlap)) != DASH:
        facts.append(f"{metric_label(overlap)} {value}")
    if quantity:
        predicted, measured, error = (
            number(row.get(column), column)
            for column in (quantity.predicted, quantity.measured, quantity.error)
        )
        if predicted != DASH:
            facts.append(f"{quantity.name} {predicted} {quantity.unit_sign}")
        if measured != DASH:
            facts.append(f"expert {measured} {quantity.unit_sign}")
        if error != DASH:
            facts.append(f"error {error} {quantity.error_sign}")
    return {
        "rank": rank,
        "id": row["id"],
        "facts": [fact.replace(" ", NBSP) for fact in facts],
        "flags": split_flags(row["flags"]),
        "refused": row["refused"],
        "source": jpeg_uri(case.overlay, THUMBNAIL_PX),
        "alt": f"Image {row['id']} with the predicted and the expert's outline: "
        + "; ".join([*facts, row["refused"] or "measured"]),
    }


def _overlay_name(rank: int, row: Mapping[str, Any]) -> str:
    return f"{rank:02d}_{re.sub(r'[^A-Za-z0-9._-]+', '_', row['id'])}.png"
