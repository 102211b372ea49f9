"""Curves of the robustness study: a panel per distortion, a line per score."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fetal_tf.analysis.distortions import DISTORTIONS
from fetal_tf.analysis.robustness import SHARES
from fetal_tf.reporting.plots.figures import BLUE, GRAY, ORANGE, styled
from fetal_tf.scores.columns import POOLED, Column, better
from fetal_tf.scores.wording import metric_label

COLORS = (BLUE, ORANGE, "#3a9d5d", "#a25bb5", "#c9485b", "#8a6d3b")
_PANELS_PER_ROW = 3


@styled
def robustness_curves(
    points: pd.DataFrame, title: str, columns: Mapping[str, Column]
) -> Figure | None:
    """Plot the scores that are better when higher over the level of each distortion.

    With one run a band is the 95 % interval of the mean; with several the line is the mean over
    runs and the band reaches from the lowest run to the highest. Scores over images are solid,
    pooled ones dashed in the same colour. None without such a score.

    Args:
        points: of all runs.
        title: above the panels.
        columns: of the task; they say which scores are better when higher.
    """
    metrics = _metrics(points, columns)
    if not metrics:
        return None
    names = points["distortion"].unique()
    rows = -(-len(names) // _PANELS_PER_ROW)
    figure = Figure(figsize=(3.6 * _PANELS_PER_ROW, 2.9 * rows + 0.8))
    panels = figure.subplots(rows, _PANELS_PER_ROW, sharey=True, squeeze=False).ravel()
    for axes, name in zip(panels, names, strict=False):
        _panel(axes, name, points[points["distortion"] == name], metrics)
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    lowest = points.loc[points["metric"].isin(metrics), ["mean", "ci95_low"]].min().min()
    panels[0].set_ylim(np.floor(10 * lowest) / 10 - 0.01, 1.01)  # shared by all
    for axes in panels[::_PANELS_PER_ROW]:
        axes.set_ylabel("score")
    runs = points["run"].nunique()
    band = "95 % interval" if runs == 1 else f"lowest to highest of {runs} runs"
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 4))
    figure.suptitle(f"{title} (band: {band}; dotted: undistorted)", fontsize=10.5)
    return figure


def _metrics(points: pd.DataFrame, columns: Mapping[str, Column]) -> list[str]:
    """The names of the scores to draw, each followed by its pooled form."""
    measured = points[points["mean"].notna() & ~points["metric"].isin(SHARES)]
    known = [name for name in measured["metric"].unique() if better(columns, name) == "higher"]
    order = dict.fromkeys(name.removeprefix(POOLED) for name in known)
    return [name for stem in order for name in (stem, POOLED + stem) if name in known]


def _panel(axes: Axes, name: str, points: pd.DataFrame, metrics: Sequence[str]) -> None:
    """Levels have equal distances on the axis, because most of them double at each step."""
    distortion = DISTORTIONS[name]
    levels = sorted(points["level"].unique())
    several = points["run"].nunique() > 1
    stems = list(dict.fromkeys(metric.removeprefix(POOLED) for metric in metrics))
    for metric in metrics:
        color = COLORS[stems.index(metric.removeprefix(POOLED)) % len(COLORS)]
        pooled = metric.startswith(POOLED)
        label = metric_label(metric.removeprefix(POOLED)) + (", pooled" if pooled else "")
        at_levels = points[points["metric"] == metric].groupby("level")
        low = at_levels["mean" if several else "ci95_low"].min()
        high = at_levels["mean" if several else "ci95_high"].max()
        x = np.arange(len(levels))
        middle, dashes = at_levels["mean"].mean(), "--" if pooled else "-"
        axes.plot(x, middle, color=color, ls=dashes, marker=".", label=label)
        axes.fill_between(x, low, high, color=color, alpha=0.1 if pooled else 0.2, lw=0)
    axes.axvline(levels.index(distortion.identity), color=GRAY, lw=0.9, ls=":", zorder=0)
    axes.set_xticks(np.arange(len(levels)), [f"{level:g}" for level in levels])
    axes.set(title=name.capitalize(), xlabel=distortion.unit)
    axes.title.set_fontsize(10.5)
