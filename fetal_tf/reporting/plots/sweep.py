"""Parallel coordinates of a sweep: an axis for each key of the grid, and one for the result."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fetal_tf.analysis.sweep import best_first
from fetal_tf.reporting.plots.figures import GRAY, INK, styled

_FILLED = 0.7  # of the distance between two values, by their lines


@styled
def parallel_coordinates(record: Mapping[str, Any]) -> Figure | None:
    """A line for each point of the grid, coloured by its mean; the best ends on top, and is thick.

    Lines that share a value are fanned out around it, the better ones above. None where no key
    varies, or no trial has finished.

    Args:
        record: of `fetal_tf.analysis.sweep.sweep_record`.
    """
    grid = record["grid"]
    points = [point for point in best_first(record) if point["mean"] is not None]
    if not grid or not points:
        return None
    means = np.array([point["mean"] for point in points])
    ends = _heights(means, record["lower_is_better"])
    colors = colormaps["viridis"](0.92 * (1 - ends))  # yellow does not show on white
    figure = Figure(figsize=(2.2 + 2.1 * len(grid), 4.4))
    axes = figure.subplots()
    ways = [_places(points, key, values) for key, values in grid.items()]
    for number in reversed(range(len(points))):  # the best is drawn last
        heights = [*(way[number] for way in ways), ends[number]]
        width, alpha = (2.8, 1.0) if number == 0 else (1.4, 0.75)
        axes.plot(*_curve(heights), color=colors[number], lw=width, alpha=alpha)
        axes.plot(len(grid), ends[number], "o", color=colors[number], ms=5)
    for place, (key, values) in enumerate(grid.items()):
        levels = _levels(len(values))
        for level in levels:
            band = np.array([-0.5, 0.5]) * _FILLED / len(values)
            axes.plot([place, place], level + band, color=GRAY, lw=5, alpha=0.35, zorder=0)
        _axis(axes, place, key, dict(zip(values, levels, strict=True)))
    _axis(axes, len(grid), _title(record), _scale(means, ends), right=True)
    axes.set_xlim(-0.45, len(grid) + 0.45)
    axes.set_ylim(-0.12, 1.12)
    axes.set_axis_off()
    if record["phantom"]:
        said = "PHANTOM: generated images, which say nothing about patients"
        axes.text(0.0, 0.0, said, transform=axes.transAxes, color=GRAY, fontsize="small")
    return figure


def _title(record: Mapping[str, Any]) -> str:
    best = ", lowest on top" if record["lower_is_better"] else ""
    return f"{record['monitor']}{best}"


def _heights(means: np.ndarray, falls: bool) -> np.ndarray:
    """Means on a scale from 0, the worst, to 1, the best."""
    better = -means if falls else means
    reach = float(np.ptp(better))
    return (better - better.min()) / reach if reach else np.full(len(means), 0.5)


def _levels(count: int) -> np.ndarray:
    """The heights of so many values, each in the middle of its own band."""
    return (np.arange(count) + 0.5) / count


def _places(points: Sequence[Mapping[str, Any]], key: str, values: Sequence[str]) -> list[float]:
    """Where each line crosses the axis of `key`: near its value, the best of these on top."""
    band = _FILLED / len(values)
    levels = dict(zip(values, _levels(len(values)), strict=True))
    places = []
    for number, point in enumerate(points):
        same = [n for n, other in enumerate(points) if other["values"][key] == point["values"][key]]
        offset = 0.5 - (same.index(number) + 0.5) / len(same)
        places.append(float(levels[point["values"][key]] + band * offset))
    return places


def _curve(heights: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """A smooth way through heights one apart, level at each."""
    step = np.linspace(0, 1, 40)
    ease = step**2 * (3 - 2 * step)
    pairs = list(itertools.pairwise(heights))
    x = np.concatenate([place + step for place in range(len(pairs))])
    return x, np.concatenate([low + (high - low) * ease for low, high in pairs])


def _scale(means: np.ndarray, ends: np.ndarray) -> dict[str, float]:
    """Labels of the last axis: its ends, and three between."""
    if not np.ptp(means):
        return {f"{means[0]:.4g}": 0.5}
    worst, best = means[ends.argmin()], means[ends.argmax()]
    return {f"{worst + level * (best - worst):.4g}": float(level) for level in np.linspace(0, 1, 5)}


def _axis(
    axes: Axes, place: int, title: str, labels: Mapping[str, float], right: bool = False
) -> None:
    axes.plot([place, place], [-0.06, 1.06], color=GRAY, lw=1, zorder=0)
    axes.annotate(title, (place, 1.09), ha="center", va="bottom", fontweight="bold", color=INK)
    for text, height in labels.items():
        axes.annotate(
            text,
            (place, height),
            xytext=(8 if right else -8, 0),
            textcoords="offset points",
            ha="left" if right else "right",
            va="center",
            color=INK,
            bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.8},
        )
