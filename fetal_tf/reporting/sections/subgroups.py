"""Report section on subgroups: heads by size and by dataset. The model card uses it as well."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from fetal_tf.reporting.section import Section, Table
from fetal_tf.scores.wording import interval, metric_label, number
from fetal_tf.tasks.subgroup_summary import FIRST_SOURCE, METRICS
from fetal_tf.tasks.task import Task

TITLE, KEY = "By size and centre", "subgroups"
KINDS = {"size": "By size of head", "source": "By dataset"}


def subgroup_section(rows: pd.DataFrame, summary: Mapping[str, Any], task: Task) -> Section:
    """A table by head size, and one by dataset where several are mixed."""
    return Section(TITLE, KEY, [], [*subgroup_tables(summary)])


def subgroup_tables(summary: Mapping[str, Any], first: str = "first dataset") -> Iterator[Table]:
    """A table for each kind of group; none where the task has no subgroups.

    `first` is the name of the dataset whose frames carry no source's name.
    """
    for kind, groups in summary.get("subgroups", {}).items():
        yield Table(
            KINDS[kind],
            [
                "group",
                "n",
                "flagged",
                *(f"{metric_label(name)} [95 % CI]" for name in METRICS),
                "largest |ΔHC| without a flag (mm)",
            ],
            [
                [first if name == FIRST_SOURCE else _words(name), *_cells(group)]
                for name, group in groups.items()
            ],
            "Flagged images are in the means. ΔHC is measured less the expert's.",
        )


def _cells(group: Mapping[str, Any]) -> list[str]:
    largest = group["largest_unflagged_error_mm"]
    return [
        str(group["n"]),
        str(group["flagged"]),
        *(
            f"{number(group['metrics'][name]['mean'], name)} "
            f"[{interval(group['metrics'][name]['ci95'], name)}]"
            for name in METRICS
        ),
        number(largest, "hc_abs_error_mm"),
    ]


def _words(name: str) -> str:
    return name.replace("hc_", "HC ").replace("_", " ")
