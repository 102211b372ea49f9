"""Histograms of the plane gate's scores: the plane's own images and others."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fetal_tf.analysis.plane_gate import SCORES, FrameSet
from fetal_tf.reporting.plots.figures import BLUE, INK, ORANGE, styled
from fetal_tf.scores.rows import numbers

_LABELS = {"plane_score": "plane score", "reconstruction_error": "reconstruction error"}
_BINS = 30
_SHOWN = 98  # percentile; larger values are counted in the last bar


@styled
def gate_histograms(own: FrameSet, others: Sequence[FrameSet]) -> Figure | None:
    """Histograms of shares of images, own and other: a row per set, a column per score.

    None where there is no other set to show.
    """
    if not others:
        return None
    figure = Figure(figsize=(9.0, 0.8 + 2.3 * len(others)))
    grid = figure.subplots(len(others), len(SCORES), squeeze=False)
    for row, other in zip(grid, others, strict=True):
        for axes, name in zip(row, SCORES, strict=True):
            _histogram(axes, name, own, other)
    return figure


def _histogram(axes: Axes, name: str, own: FrameSet, other: FrameSet) -> None:
    first, second = _values(own, name), _values(other, name)
    end = float(np.percentile(np.concatenate([first, second]), _SHOWN))
    end = max(end, 1.2) if name == "plane_score" else end or 1.0
    bins = np.linspace(0, end, _BINS + 1).tolist()
    for values, color, label in ((first, BLUE, own.name), (second, ORANGE, other.name)):
        if len(values):
            weights = np.full(len(values), 1 / len(values))
            label = f"{label} (n={len(values)})"
            shown = np.clip(values, 0, end)
            axes.hist(shown, bins, weights=weights, color=color, alpha=0.6, label=label)
    if name == "plane_score":
        axes.axvline(1, color=INK, lw=1.2, ls="--", label="flagged from here")
    axes.set(xlabel=_LABELS[name], ylabel="share of images", xlim=(0, end))
    axes.legend(fontsize=8)


def _values(frames: FrameSet, name: str) -> np.ndarray:
    values = numbers(frames.scored, name)
    return values[np.isfinite(values)]
