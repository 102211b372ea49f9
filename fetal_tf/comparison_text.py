"""A comparison as Markdown, for `comparison.md` and the screen, and as lines of a CSV."""

from collections.abc import Mapping, Sequence
from typing import Any

from fetal_tf.comparison_table import LEVEL, Comparison, PairedTest
from fetal_tf.report_tables import DASH, better, interval, metric_label, number, plural

TEST_FIGURES = (
    "wilcoxon_p",
    "wilcoxon_p_holm",
    "wilcoxon_p_groups",
    "wilcoxon_p_groups_holm",
    "cohens_dz",
    "rank_biserial",
)
Table = list[list[str]]


def comparison_markdown(comparison: Comparison, bar: str = r"\|") -> str:
    """A line per run, then a line per test, and what to know when reading them.

    Args:
        comparison: what to write.
        bar: what `|` in a cell becomes: escaped in Markdown, as it is on a screen.
    """
    kind = "PHANTOM image" if comparison.phantom else "image"
    parts = [
        f"# {plural(comparison.images, kind)} of {plural(comparison.groups, 'patient')} "
        f"({comparison.dataset}, {comparison.split})"
    ]
    if comparison.phantom:
        parts.append("PHANTOM: generated images. The figures say nothing about patients.")
    parts += ["## Mean over images [95 % CI]", _aligned(_scores_table(comparison), bar)]
    if any(standing.pooled for standing in comparison.runs.values()):
        parts += ["## Pooled over the pixels of all images [95 % CI]"]
        parts += [_aligned(_pooled_table(comparison), bar)]
    if comparison.tests:
        first = comparison.tests[0].against
        parts += [f"## Each run against {first}, image by image"]
        parts += [_aligned(_tests_table(comparison), bar), _how_to_read(comparison)]
    parts += [f"Note: {note}" for note in comparison.notes]
    return "\n\n".join(parts) + "\n"


def _scores_table(comparison: Comparison) -> Table:
    table = [["run", *(metric_label(name) for name in comparison.metrics)]]
    table[0] += ["measured", "flagged", "refused", "failed", "unpaired"]
    for run, standing in comparison.runs.items():
        line = [run]
        for name in comparison.metrics:
            score = standing.scores.get(name)
            if score is None:
                line.append(DASH)
                continue
            some = f" n={score['n']}" if score["n"] < comparison.images else ""
            line.append(_with_interval(score["mean"], score, name) + some)
        line += [
            str(n)
            for n in (
                standing.measured,
                standing.flagged,
                standing.refused,
                standing.failed,
                standing.unpaired,
            )
        ]
        table.append(line)
    return table


def _pooled_table(comparison: Comparison) -> Table:
    known = {name for standing in comparison.runs.values() for name in standing.pooled}
    names = [name for name in comparison.metrics if name in known]
    table = [["run", *(metric_label(name) for name in names)]]
    for run, standing in comparison.runs.items():
        line = [run]
        for name in names:
            score = standing.pooled.get(name)
            line.append(DASH if score is None else _with_interval(score["value"], score, name))
        table.append(line)
    return table


def _with_interval(value: float | None, score: Mapping[str, Any], name: str) -> str:
    text = number(value, name)
    return text if score["ci95"][0] is None else f"{text} [{interval(score['ci95'], name)}]"


def _tests_table(comparison: Comparison) -> Table:
    head = ["run", "metric", "pairs", "difference [95 % CI]", "d_z", "rank-biserial"]
    head += ["p images", "Holm", "p patients", "Holm", "verdict"]
    return [head, *(_test_line(test) for test in comparison.tests)]


def _test_line(test: PairedTest) -> list[str]:
    figures, name = test.figures, test.metric
    return [
        test.run,
        f"{metric_label(name)} ({better(name)} is better)",
        f"{figures['n']} of {figures['n'] + figures['n_left_out']}",
        _difference(figures, name),
        _effect(figures["cohens_dz"]),
        _effect(figures["rank_biserial"]),
        *(_p(figures[key]) for key in TEST_FIGURES[:4]),
        test.verdict,
    ]


def _difference(figures: Mapping[str, Any], name: str) -> str:
    """A difference has a sign, whatever the metric has."""
    values = [figures["mean_difference"], *figures["ci95"]]
    cells = [
        DASH if v is None else ("+" if v > 0 else "") + number(v, name).lstrip("+") for v in values
    ]
    return cells[0] if values[1] is None else f"{cells[0]} [{cells[1]} to {cells[2]}]"


def _effect(value: float | None) -> str:
    return DASH if value is None else f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")


def _p(value: float | None) -> str:
    if value is None:
        return DASH
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _how_to_read(comparison: Comparison) -> str:
    count = plural(len(comparison.tests), "test")
    return (
        "Difference: the run minus the one it is held against, over images that both measured. "
        "p: Wilcoxon signed-rank test, over images (which takes frames of one patient for "
        f"independent) and over patients' means; Holm: adjusted for {count}. The verdict is by "
        f"the adjusted p over patients at {LEVEL:g}. d_z: mean over sd of the differences."
    )


def _aligned(table: Table, bar: str) -> str:
    """A pipe table, aligned so that it reads well as text."""
    escaped = [[cell.replace("|", bar) for cell in line] for line in table]
    widths = [max(3, *(len(line[k]) for line in escaped)) for k in range(len(escaped[0]))]
    head, *body = (
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |"
        for line in escaped
    )
    return "\n".join([head, "|" + "|".join("-" * (w + 2) for w in widths) + "|", *body])


def comparison_lines(comparison: Comparison) -> list[dict[str, Any]]:
    """Lines of comparison.csv: run and metric, over images and pooled over pixels, with its test.

    The columns of the test are empty for the first run, and for pooled figures.
    """
    tests = {(test.run, test.metric): test for test in comparison.tests}
    lines = []
    for run, standing in comparison.runs.items():
        for name, score in standing.scores.items():
            line = _figure_line(run, name, "images", score["mean"], score["ci95"], score["n"])
            lines.append(line | _test_cells(tests.get((run, name))))
        for name, score in standing.pooled.items():
            n = comparison.images - standing.failed
            lines.append(_figure_line(run, name, "pixels", score["value"], score["ci95"], n))
    return lines


def _figure_line(
    run: str, metric: str, over: str, value: float | None, ci95: Sequence[float | None], n: int
) -> dict[str, Any]:
    figures = {"value": value, "ci95_low": ci95[0], "ci95_high": ci95[1], "n": n}
    return {"run": run, "metric": metric, "over": over, **figures}


def _test_cells(test: PairedTest | None) -> dict[str, Any]:
    names = ("pairs", "difference", "difference_ci95_low", "difference_ci95_high", *TEST_FIGURES)
    if test is None:
        return dict.fromkeys(("against", *names, "verdict"))
    figures = test.figures
    values = [figures["n"], figures["mean_difference"], *figures["ci95"]]
    values += [figures[name] for name in TEST_FIGURES]
    cells = dict(zip(names, values, strict=True))
    return {"against": test.against, **cells, "verdict": test.verdict}
