"""Report section on the expected error: calibration, and the gain from refusing by it."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from fetal_tf.reporting.plots.uncertainty import risk_coverage_curve
from fetal_tf.reporting.section import Plot, Section, Table
from fetal_tf.scores.wording import metric_label, number, plural
from fetal_tf.tasks.confidence_summary import HC, QUANTITIES, Doubted, expected_and_errors
from fetal_tf.tasks.task import Task

TITLE, KEY = "Confidence", "confidence"
THIRDS = ("smallest", "middle", "largest")


def confidence_section(rows: pd.DataFrame, summary: Mapping[str, Any], task: Task) -> Section:
    """Rank correlation, expected and real error by thirds, and the risk-coverage curve."""
    found = summary.get("confidence")
    if not found:
        return Section(
            TITLE,
            KEY,
            [
                "No image has both an expected error and a real one: no error model belongs to "
                "this model, its validation images were too few, or there is no pixel size."
            ],
        )
    return Section(
        TITLE,
        KEY,
        [_sentence(found)],
        [_thirds_table(found), refused_table(found)],
        [*_plots(rows, doubted_in(found))],
    )


def doubted_in(found: Mapping[str, Any]) -> Doubted:
    """The quantity that the section is about: HC where the summary names none."""
    return QUANTITIES[found.get("quantity", HC.quantity)]


def _sentence(found: Mapping[str, Any]) -> str:
    value, (low, high) = found["spearman"]["value"], found["spearman"]["ci95"]
    if value is None:
        return "There is no rank: too few images, or an error that is the same for all of them."
    between = "" if low is None else f" (95 % CI {low:.2f} to {high:.2f})"
    return (
        f"Expected and real error of {doubted_in(found).title} rank "
        f"{plural(found['n'], 'image')} alike by Spearman's "
        f"{value:.2f}{between}: 1 is the same order, 0 is none. The expected error is fitted to "
        "the validation images and right in their mean; it is no interval for a single image."
    )


def _thirds_table(found: Mapping[str, Any]) -> Table:
    error = metric_label(_percent_column(found))
    lines = [
        [
            name,
            str(third["n"]),
            _percent(third["mean_expected_percent"]),
            _percent(third["mean_error_percent"]),
        ]
        for name, third in zip(THIRDS, found["thirds"], strict=True)
    ]
    return Table(
        "Expected and real error, by thirds of the expected one",
        ["Expected error", "n", f"mean expected {error}", f"mean real {error}"],
        lines,
        "Calibrated means that both columns agree; useful, that they grow downwards.",
    )


def refused_table(found: Mapping[str, Any]) -> Table:
    """Table: mean error of the images kept, by the share refused."""
    columns = {"mean_error_percent": _percent_column(found)}
    if doubted_in(found).in_mm:
        columns = {"mean_error_mm": f"{doubted_in(found).quantity}_abs_error_mm"} | columns
    lines = [
        [
            f"{point['refused_share']:.0%}",
            str(point["n"]),
            *(number(point[key], column) for key, column in columns.items()),
        ]
        for point in found["risk_coverage"]
    ]
    return Table(
        "The least certain images refused",
        ["Refused", "n kept", *(f"mean {metric_label(column)}" for column in columns.values())],
        lines,
        "Images that the measurement refuses anyway take no part.",
    )


def _plots(rows: pd.DataFrame, doubted: Doubted) -> Iterator[Plot]:
    (expected, percent, *_), known = expected_and_errors(rows, doubted)
    name = f"{doubted.quantity}_percent"
    if figure := risk_coverage_curve(expected, percent, "expected error", name):
        yield Plot(
            f"{doubted.quantity}_risk_coverage",
            "Risk and coverage",
            figure,
            f"Mean error of the images kept over the share of {plural(len(known), 'image')} "
            "refused, by the expected error and by the real one.",
            "The faster the line falls, the better the doubt finds the errors. The dotted line "
            "refuses the largest errors themselves: nothing can be better.",
        )


def _percent_column(found: Mapping[str, Any]) -> str:
    return f"{doubted_in(found).quantity}_abs_error_percent"


def _percent(value: float | None) -> str:
    return number(value, "hc_abs_error_percent")
