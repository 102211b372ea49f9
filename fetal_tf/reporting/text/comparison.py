"""A comparison of runs as Markdown (file and screen) and as rows of comparison.csv."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fetal_tf.analysis.comparison import Comparison, Standing
from fetal_tf.analysis.summary_figures import is_summary_figure
from fetal_tf.reporting.text.table import markdown_table
from fetal_tf.scores.paired_tests import LEVEL, PairedTest
from fetal_tf.scores.wording import DASH, interval, metric_label, number, plural

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
    """Format tables of the runs' and published figures, a table of the tests, and notes.

    Args:
        comparison: what to write.
        bar: replaces `|` in cells: escaped for Markdown, unchanged for the screen.
    """
    kind = "PHANTOM image" if comparison.phantom else "image"
    parts = [
        f"# {plural(comparison.images, kind)} of {plural(comparison.groups, 'group')} "
        f"({comparison.dataset}, {comparison.split})"
    ]
    if comparison.phantom:
        parts.append("PHANTOM: generated images. The figures say nothing about patients.")
    parts += ["## Mean over images [95 % CI]", markdown_table(_scores_table(comparison), bar=bar)]
    if any(standing.pooled for standing in comparison.runs.values()):
        parts += ["## Pooled over the pixels of all images [95 % CI]"]
        parts += [markdown_table(_pooled_table(comparison), bar=bar)]
    if any(is_summary_figure(name) for name in comparison.metrics):
        parts += [
            "## Over all images together [95 % CI]",
            markdown_table(_figures_table(comparison), bar=bar),
        ]
    if comparison.published:
        parts += [_published_by(comparison)]
    if comparison.tests:
        first = comparison.tests[0].against
        parts += [f"## Each run against {first}, image by image"]
        parts += [markdown_table(_tests_table(comparison), text_columns=2, bar=bar)]
        parts += [_how_to_read(comparison)]
    parts += [f"Note: {note}" for note in comparison.notes]
    return "\n\n".join(parts) + "\n"


def _scores_table(comparison: Comparison) -> Table:
    names = [name for name in comparison.metrics if not is_summary_figure(name)]
    counts = ("measured", "flagged", "refused", "failed", "unpaired")
    table = [["run", *(metric_label(name) for name in names), *counts]]
    for run, standing in comparison.runs.items():
        means = {name: {**score, "value": score["mean"]} for name, score in standing.scores.items()}
        line = [run, *(_figure(means.get(name), name, comparison.images) for name in names)]
        table.append([*line, *(str(getattr(standing, count)) for count in counts)])
        table += [[*line, *(DASH for _ in counts)] for line in _published(comparison, run, names)]
    return table


def _figures_table(comparison: Comparison) -> Table:
    names = [name for name in comparison.metrics if is_summary_figure(name)]
    table = [["run", *(_dotted_label(name) for name in names)]]
    for run, standing in comparison.runs.items():
        figures = standing.figures
        table.append([run])
        table[-1] += [_figure(figures.get(name), name, comparison.images) for name in names]
        table += _published(comparison, run, names)
    return table


def _dotted_label(name: str) -> str:
    """`pixels.heart.roc_auc` → `Heart ROC AUC (pixels)`."""
    section, _, rest = name.partition(".")
    return f"{metric_label(rest.replace('.', '_'))} ({section.replace('_', ' ')})"


def _figure(figure: Mapping[str, Any] | None, name: str, images: int) -> str:
    if figure is None:
        return DASH
    count = "" if figure["n"] == images else f" n={figure['n']}"
    return _with_interval(figure["value"], figure, name) + count


def _published(comparison: Comparison, run: str, names: Sequence[str]) -> Table:
    """The row of published figures below a run's own, with the published digits; or none."""
    metrics = comparison.published.get(run, {}).get("metrics", {})
    if not any(name in metrics for name in names):
        return []
    cells = [f"{metrics[name]:g}" if name in metrics else DASH for name in names]
    return [[f"{run}, published", *cells]]


def _published_by(comparison: Comparison) -> str:
    runs_by_source: dict[str, list[str]] = {}
    for run, published in comparison.published.items():
        runs_by_source.setdefault(published["source"], []).append(run)
    sources = "; ".join(f"{', '.join(runs)}: {source}" for source, runs in runs_by_source.items())
    return (
        f"Published: {sources}. Those are figures of other images, the study's own split: read "
        "them beside ours; no test holds one against the other."
    )


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
    head += ["p images", "Holm", "p groups", "Holm", "verdict"]
    return [head, *(_test_line(test) for test in comparison.tests)]


def _test_line(test: PairedTest) -> list[str]:
    figures, name = test.figures, test.metric
    return [
        test.run,
        f"{metric_label(name)} ({test.improves} is better)",
        f"{figures['n']} of {figures['n'] + figures['n_left_out']}",
        _difference(figures, name),
        _effect(figures["cohens_dz"]),
        _effect(figures["rank_biserial"]),
        *(_p(figures[key]) for key in TEST_FIGURES[:4]),
        test.verdict,
    ]


def _difference(figures: Mapping[str, Any], name: str) -> str:
    """A mean difference with its interval, always signed."""
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
        "p: Wilcoxon signed-rank test, over images (which takes frames of one group for "
        "independent) and over the means of groups (patients or examinations, as far as the data "
        f"tell them); Holm: adjusted for {count}. The verdict is by the adjusted p over groups at "
        f"{LEVEL:g}. d_z: mean over sd of the differences."
    )


def comparison_lines(comparison: Comparison) -> list[dict[str, Any]]:
    """Rows of comparison.csv: a figure of a run, over images, over pixels, or of the summary.

    `published` is the study's value of the same metric; it has a row even where ours is missing.
    The test's columns are filled only for means over images, and not for the first run.
    """
    tests = {(test.run, test.metric): test for test in comparison.tests}
    lines = []
    for run, standing in comparison.runs.items():
        published = comparison.published.get(run, {}).get("metrics", {})
        for line in _own_lines(run, standing, comparison):
            counterpart = published.get(line["metric"]) if line["over"] != "pixels" else None
            test = tests.get((run, line["metric"])) if line["over"] == "images" else None
            # Without published figures the table has no such column.
            beside = {"published": counterpart} if comparison.published else {}
            lines.append(line | beside | _test_cells(test))
    return lines


def _own_lines(run: str, standing: Standing, comparison: Comparison) -> Iterator[dict[str, Any]]:
    published = comparison.published.get(run, {}).get("metrics", {})
    for name, score in standing.scores.items():
        yield _figure_line(run, name, "images", {**score, "value": score["mean"]})
    for name, figure in standing.figures.items():
        yield _figure_line(run, name, "summary", figure)
    for name in comparison.metrics:
        if name in published and name not in standing.scores and name not in standing.figures:
            over = "summary" if is_summary_figure(name) else "images"
            yield _figure_line(run, name, over, {"value": None, "ci95": [None, None], "n": 0})
    for name, score in standing.pooled.items():
        n = comparison.images - standing.failed
        yield _figure_line(run, name, "pixels", {**score, "n": n})


def _figure_line(run: str, metric: str, over: str, figure: Mapping[str, Any]) -> dict[str, Any]:
    low, high = figure["ci95"]
    figures = {"value": figure["value"], "ci95_low": low, "ci95_high": high, "n": figure["n"]}
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
