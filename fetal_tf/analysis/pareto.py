"""Which of several nets is worth its time: those that no other beats in both error and latency."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from fetal_tf.reporting.plots.figures import BLUE, GRAY, styled


@dataclass(frozen=True)
class Contender:
    """One net.

    Attributes:
        name: of the bundle.
        latency_ms: median of one frame through the net.
        error: mean of the metric that is lowered.
        error_ci95: its interval.
        images: how many it was judged on.
        kilobytes: of the file.
        gmacs: multiplications and additions of one frame, 10⁹.
    """

    name: str
    latency_ms: float
    error: float
    error_ci95: tuple[float, float]
    images: int
    kilobytes: float
    gmacs: float


def undominated(contenders: Sequence[Contender]) -> list[Contender]:
    """Those that no other one equals or beats in both, better in at least one; fastest first."""
    return sorted(
        (c for c in contenders if not any(_beats(other, c) for other in contenders)),
        key=lambda c: (c.latency_ms, c.error),
    )


def _beats(other: Contender, one: Contender) -> bool:
    theirs, own = (other.latency_ms, other.error), (one.latency_ms, one.error)
    return theirs != own and all(t <= o for t, o in zip(theirs, own, strict=True))


@styled
def pareto_plot(contenders: Sequence[Contender], error_label: str, time_label: str) -> Figure:
    """Error with its interval against latency; a line through the undominated ones."""
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
            xytext=(6, -13 if place % 2 else 5),  # neighbours' names do not meet
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
