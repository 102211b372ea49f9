"""Figures of the uncertainty study: error over spread, and the gain from refusing images."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fetal_tf.reporting.plots.figures import BLUE, GRAY, ORANGE, styled
from fetal_tf.scores.risk_coverage import WORST_SHARE, risk_coverage
from fetal_tf.scores.wording import metric_label

_PANELS = 4  # quantities side by side
_LOOKS = ((BLUE, "-"), (ORANGE, "--"))  # methods; also distinct without colour
_DECADES = 3  # per axis; smaller values are drawn at its start
_REFUSED = np.linspace(0, 0.5, 51)

Pairs = Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]]


@styled
def error_against_spread(pairs: Pairs, title: str) -> Figure | None:
    """Scatter plots of error over spread, and risk-coverage curves below them.

    Args:
        pairs: quantity → method → spread [N] and absolute error [N] in the quantity's unit; the
            first four quantities with any image are drawn.
        title: above the panels.

    Returns:
        None where no quantity has two images.
    """
    drawn = [name for name, found in pairs.items() if any(len(s) > 1 for s, _ in found.values())]
    drawn = drawn[:_PANELS]
    if not drawn:
        return None
    methods = list(dict.fromkeys(method for name in drawn for method in pairs[name]))
    rows = len(methods) + 1
    figure = Figure(figsize=(max(3.6 * len(drawn), 5.2), 3.3 * rows + 0.9))
    panels = figure.subplots(rows, len(drawn), squeeze=False)
    for column, name in enumerate(drawn):
        limits = _limits([values for pair in pairs[name].values() for values in pair])
        for axes, method in zip(panels[:-1, column], methods, strict=True):
            _scatter(axes, name, method, *pairs[name][method], limits)
        _kept(panels[-1, column], name, pairs[name])
    named: dict[str, Artist] = {}
    for axes in (panels[0, 0], panels[-1, 0]):  # in the panels a legend hides images
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            named.setdefault(label, handle)
    figure.legend(
        list(named.values()), list(named), loc="outside lower center", ncols=4, fontsize=8.5
    )
    figure.suptitle(title, fontsize=10.5)
    return figure


@styled
def risk_coverage_curve(doubt: np.ndarray, error: np.ndarray, by: str, name: str) -> Figure | None:
    """Risk-coverage curve: mean error of the images kept, over the share refused.

    Args:
        doubt: [N], larger is more doubtful.
        error: absolute, [N].
        by: name of the doubt, for the legend.
        name: of the quantity with its unit, `hc_mm`.

    Returns:
        None where there are not two images.
    """
    if len(error) < 2:
        return None
    figure = Figure()
    axes = figure.subplots()
    _kept(axes, name, {by: (doubt, error)})
    axes.legend(loc="lower left")
    return figure


def _limits(values: Sequence[np.ndarray]) -> tuple[float, float]:
    """Limits of both axes: the largest value, and at most _DECADES below it."""
    together = np.concatenate(values)
    above = together[together > 0]
    if not len(above):
        return 1e-3, 1.0
    return float(max(above.max() * 10.0**-_DECADES, above.min())) / 1.3, float(above.max()) * 1.3


def _scatter(
    axes: Axes,
    name: str,
    method: str,
    spread: np.ndarray,
    error: np.ndarray,
    limits: tuple[float, float],
) -> None:
    low, high = limits
    axes.set(xscale="log", yscale="log", xlim=limits, ylim=limits)
    axes.plot(limits, limits, color=GRAY, lw=0.9, ls=":", label="error = spread")
    if len(error):
        count = int(np.ceil(WORST_SHARE * len(error)))
        doubted = np.zeros(len(error), bool)
        doubted[np.argsort(-spread, kind="stable")[:count]] = True
        looks = (
            (~doubted, "image", BLUE, "o", 16),
            (doubted, "most uncertain 10 %", ORANGE, "^", 26),
        )
        for chosen, label, color, marker, size in looks:
            axes.scatter(
                np.clip(spread[chosen], low, high), np.clip(error[chosen], low, high),
                s=size, color=color, marker=marker, alpha=0.65, lw=0, label=label,
            )  # fmt: skip
        worst = np.sort(error)[-count]
        axes.axhline(worst, color=GRAY, lw=0.9, ls="--", label="worst 10 % from here")
    quantity = _label(name)
    axes.set(xlabel=f"spread of {quantity}, {method}", ylabel=f"absolute error of {quantity}")


def _label(name: str) -> str:
    """A quantity with the unit of its errors: points for a ratio in per cent."""
    stem, _, unit = name.rpartition("_")
    return metric_label(f"{stem}_error_{unit}").removeprefix("Δ")


def _kept(axes: Axes, name: str, found: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
    for (method, (spread, error)), (color, dashes) in zip(found.items(), _LOOKS, strict=False):
        if not len(error):
            continue
        curve = risk_coverage(spread, error, _REFUSED.tolist())
        kept = [point["mean_error"] for point in curve]
        axes.plot(100 * _REFUSED, kept, color=color, ls=dashes, lw=1.6, label=f"by {method}")
    spread, error = max(found.values(), key=lambda pair: len(pair[0]))
    best = [point["best_mean_error"] for point in risk_coverage(spread, error, _REFUSED.tolist())]
    axes.plot(100 * _REFUSED, best, color=GRAY, lw=1.0, ls=":", label="by the error itself")
    axes.axhline(float(error.mean()), color=GRAY, lw=0.8, label="at random")
    axes.set(xlabel="% of images refused", ylabel=f"mean error of {_label(name)}", xlim=(0, 50))
    axes.set_ylim(bottom=0)
