"""Paired tests of a comparison table: each run against the first, Holm-adjusted together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from fetal_tf.scores.agreement import holm, paired_comparison
from fetal_tf.scores.columns import Better, Column, better
from fetal_tf.scores.rows import numbers

LEVEL = 0.05  # family-wise, over all tests of one table
P_VALUES = ("wilcoxon_p", "wilcoxon_p_groups")


@dataclass(frozen=True)
class PairedTest:
    """One run against the first in one metric.

    Attributes:
        figures: results of `fetal_tf.scores.agreement.paired_comparison`, a = `run`, b = `against`;
            and both p-values after Holm's adjustment over all tests of the table, `…_holm`.
        improves: which way the metric improves.
        verdict: by the adjusted p-value over groups: `better` or `worse` (`higher` or `lower` where
            neither direction is better), `no difference shown`, `direction unclear` if mean and
            ranks disagree in sign, `not testable`.
    """

    run: str
    against: str
    metric: str
    figures: Mapping[str, Any]
    improves: Better
    verdict: str


def paired_tests(
    against: str,
    first: pd.DataFrame,
    pairs: Sequence[tuple[str, pd.DataFrame, str]],
    seed: int,
    columns: Mapping[str, Column],
) -> list[PairedTest]:
    """Test all pairs, then adjust their p-values together.

    Args:
        against: label of the run that all others are compared with.
        first: its rows.
        pairs: label of another run, its rows of the same images in the same order, and a column.
        seed: of the bootstrap.
        columns: of the task, with the direction of each.
    """
    found = [
        paired_comparison(numbers(rows, name), numbers(first, name), list(first["group"]), seed)
        for _, rows, name in pairs
    ]
    for key in P_VALUES:
        known = [figures for figures in found if figures[key] is not None]
        adjusted = holm([figures[key] for figures in known])
        for figures in found:
            figures[f"{key}_holm"] = None
        for figures, p in zip(known, adjusted, strict=True):
            figures[f"{key}_holm"] = p
    tests = []
    for (run, _, name), figures in zip(pairs, found, strict=True):
        improves = better(columns, name)
        tests.append(PairedTest(run, against, name, figures, improves, _verdict(improves, figures)))
    return tests


def _verdict(improves: Better, figures: Mapping[str, Any]) -> str:
    p, difference = figures["wilcoxon_p_groups_holm"], figures["mean_difference"]
    if p is None:
        return "not testable"
    if p >= LEVEL or not difference:
        return "no difference shown"
    if difference * figures["rank_biserial"] <= 0:
        return "direction unclear"
    if improves in ("near 0", "neither"):
        return "higher" if difference > 0 else "lower"
    return "better" if (difference > 0) == (improves == "higher") else "worse"
