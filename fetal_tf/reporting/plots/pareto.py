"""Plot of error over latency, with the Pareto front."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from fetal_tf.analysis.pareto import Contender, undominated
from fetal_tf.reporting.plots.figures import BLUE, GRAY, styled


@styled
def pareto_plot(contenders: Sequence[Contender], error_label: str, time_label: str) -> Figure:
    """Plot error with its interval over latency; a stepped line joins the Pareto front."""
    figure = Figure(figsize=(6.4, 4.2))
    axes = figure.subplots()
    front = undominated(contenders)
    for place, contender in enumerate(sorted(contenders, key=lambda c: c.latency_ms)):
        color = BLUE if contender in front else GRAY
        low, high = contender.error_ci95
        axes.plot([contender.latency_ms] * 2, [low, high], color=color, linewidth=1, alpha=0.6)
        axes.plot(contender.latency_ms, contender.error, "o", color=color, markersize=6)
        axes.annotate(
            contender.name,
            (contender.latency_ms, contender.error),
            xytext=(6, -13 if place % 2 else 5),  # keeps names apart
            textcoords="offset points",
            fontsize=8.5,
        )
    axes.step(
        [c.latency_ms for c in front],
        np.minimum.accumulate([c.error for c in front]),
        where="post",
        color=BLUE,
        linewidth=1.2,
        alpha=0.5,
    )
    axes.set_xlim(0, 1.25 * max(c.latency_ms for c in contenders))
    axes.set_xlabel(time_label)
    axes.set_ylabel(error_label)
    return figure
