"""The main figures of the report, and how any figure becomes a PNG or an inline SVG.

Every function returns a `matplotlib.figure.Figure`, or None where there is nothing to draw.
"""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fetal_tf.scores.quantities import Pairs, Quantity

INK = "#1b2733"  # text and axes; becomes the page's own text colour in the SVG
BLUE, ORANGE, GRAY = "#2f7fc1", "#d9730d", "#7f8b97"  # readable on white and on near-black

_STYLE: dict[Any, Any] = {
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "figure.figsize": (6.2, 4.0),
    "font.size": 10.5,
    "legend.frameon": False,
    "savefig.transparent": True,
    "svg.fonttype": "none",
    "svg.hashsalt": "fetal_tf",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}

styled = matplotlib.rc_context(_STYLE)  # a decorator; entered at every call


@styled
def score_histogram(values: np.ndarray, label: str) -> Figure | None:
    """Histogram of a score in [0, 1] over the images.

    The axis starts just below the 5th percentile; lower values are counted in the first bar and
    named in the legend. Otherwise one failure at 0 would squeeze the rest into a single bar.
    """
    if not len(values):
        return None
    floor = np.floor((np.percentile(values, 5) - 0.02) / 0.05) * 0.05
    floor = float(np.clip(floor, 0.0, 0.9))
    below = int((values < floor - 1e-9).sum())
    figure = Figure()
    axes = figure.subplots()
    bins = np.linspace(floor, 1.0, 31).tolist()
    axes.hist(np.clip(values, floor, 1.0), bins, color=BLUE, edgecolor="none", rwidth=0.92)
    for value, dashes, name in (
        (np.mean(values), "-", "mean"),
        (np.median(values), "--", "median"),
    ):
        if value >= floor:
            axes.axvline(value, color=ORANGE, ls=dashes, lw=1.6, label=f"{name} {value:.4f}")
    if below:
        axes.plot([], [], " ", label=f"{below} below {floor:.2f}, in the first bar")
    axes.set(xlabel=label, ylabel="images", xlim=(floor, 1.0))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.legend(loc="best")
    return figure


@styled
def bland_altman(pairs: Pairs, quantity: Quantity) -> Figure | None:
    """Bland-Altman plot: error over the mean of prediction and truth, with bias and limits."""
    if not len(pairs):
        return None
    figure = Figure()
    axes = figure.subplots()
    _scatter(axes, (pairs.predicted + pairs.measured) / 2, pairs.errors, pairs.flagged)
    bias, low, high = pairs.limits()
    reach = 1.15 * max(np.abs([*pairs.errors, 1.0]).max(), abs(np.nan_to_num([low, high])).max())
    axes.axhline(0, color=GRAY, lw=0.8)
    apart = 0.26 * reach  # so that the labels of narrow limits do not overlap
    for value, place, dashes, name in (
        (bias, bias, "-", "bias"),
        (low, min(low, bias - apart), "--", "\N{MINUS SIGN}1.96 sd"),
        (high, max(high, bias + apart), "--", "+1.96 sd"),
    ):
        if np.isfinite(value):
            axes.axhline(value, color=ORANGE, ls=dashes, lw=1.4, zorder=1)
            text = f"{name}\n{value:+.2f} {quantity.error_sign}".replace("-", "\N{MINUS SIGN}")
            axes.annotate(
                text,
                (1.01, place),
                xycoords=("axes fraction", "data"),
                va="center",
                fontsize=9,
                annotation_clip=False,
            )
    axes.set(
        ylim=(-reach, reach),
        xlabel=f"mean of predicted and measured {quantity.name} ({quantity.unit_sign})",
        ylabel=f"predicted - measured ({quantity.error_sign})".replace(" - ", " \N{MINUS SIGN} "),
    )
    return figure


@styled
def predicted_against_measured(pairs: Pairs, quantity: Quantity) -> Figure | None:
    """Scatter plot of predicted over measured values, with the identity line."""
    if not len(pairs):
        return None
    figure = Figure()
    axes = figure.subplots()
    both = np.concatenate([pairs.predicted, pairs.measured])
    margin = max(0.05 * float(np.ptp(both)), 2.0)
    ends = (float(both.min()) - margin, float(both.max()) + margin)
    axes.plot(ends, ends, color=ORANGE, lw=1.2, label="identity", zorder=1)
    _scatter(axes, pairs.measured, pairs.predicted, pairs.flagged)
    axes.set(
        xlim=ends,
        ylim=ends,
        aspect="equal",
        xlabel=f"measured {quantity.name} ({quantity.unit_sign})",
        ylabel=f"predicted {quantity.name} ({quantity.unit_sign})",
    )
    axes.legend(loc="upper left")
    return figure


def _scatter(axes: Axes, x: np.ndarray, y: np.ndarray, flagged: np.ndarray) -> None:
    """Flagged images have another marker and another colour."""
    looks: list[tuple[np.ndarray, str, dict[str, Any]]] = [
        (~flagged, "image", {"s": 18, "color": BLUE, "marker": "o", "alpha": 0.65, "zorder": 2}),
        (flagged, "flagged", {"s": 34, "color": ORANGE, "marker": "^", "alpha": 0.9, "zorder": 3}),
    ]
    for chosen, label, look in looks:
        if chosen.any():
            axes.scatter(x[chosen], y[chosen], lw=0, label=label, **look)
    if flagged.any():
        axes.legend(loc="upper left")


@styled
def learning_curves(history: Sequence[Mapping[str, object]], metric: str) -> Figure | None:
    """Loss and `metric` over the epochs, training and validation; None without such columns."""
    names = [
        n for n in ("loss", metric) if _curve(history, n).size or _curve(history, f"val_{n}").size
    ]
    if not names:
        return None
    figure = Figure(figsize=(6.2 * len(names), 3.6))
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for column, color, label in ((name, GRAY, "training"), (f"val_{name}", BLUE, "validation")):
            curve = _curve(history, column)
            if curve.size:
                axes.plot(
                    *curve.T, color=color, lw=1.8, marker="." * (len(curve) < 30), label=label
                )
        axes.set(xlabel="epoch", ylabel=name)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        axes.legend()
    return figure


def _curve(history: Sequence[Mapping[str, object]], name: str) -> np.ndarray:
    """(epoch, value) rows [N, 2] of one column, blanks and NaN left out; epochs count from 1."""
    points = []
    for index, row in enumerate(history, start=1):
        try:
            value = float(row[name])  # type: ignore[arg-type]
        except (KeyError, TypeError, ValueError):
            continue  # the column began later, or the cell is blank
        if np.isfinite(value):
            points.append((index, value))
    return np.array(points, np.float64).reshape(-1, 2)


def png_bytes(figure: Figure) -> bytes:
    """Encode a figure as PNG on white, 160 dpi."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=160, facecolor="white", transparent=False)
    return buffer.getvalue()


@styled
def inline_svg(figure: Figure, name: str, alt: str) -> str:
    """Encode a figure as an `<svg>` element with the page's text colour, `alt` for screen readers.

    Several figures share one page, so `name` is put in front of their ids.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px; font-family: inherit", text)
    text = text.replace(INK, "currentColor")
    label = alt.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return re.sub(
        r'width="[\d.]+pt" height="[\d.]+pt"', f'role="img" aria-label="{label}"', text, count=1
    )
