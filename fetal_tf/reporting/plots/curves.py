"""Figures over the pixels of all images: ROC, precision-recall and calibration curves.

Each function takes `pixels`: a structure's displayed name → the summary of its `PixelLevels`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fetal_tf.reporting.plots.figures import BLUE, GRAY, ORANGE, styled

_LINES = ((ORANGE, "-", "o"), (BLUE, "--", "s"))  # also distinct without colour
_SQUARE = (5.4, 4.6)


@styled
def roc_curves(pixels: Mapping[str, Mapping[str, Any]]) -> Figure | None:
    """ROC curves. The marker is the mask, at threshold 0.5."""
    drawn = {name: found for name, found in pixels.items() if found["curves"]["roc"]["fpr"]}
    if not drawn:
        return None
    axes = _unit_square("false positive rate (1 \N{MINUS SIGN} specificity)", "sensitivity")
    axes.plot([0, 1], [0, 1], color=GRAY, lw=0.8, ls=":", label="guessing")
    for (name, found), (color, dashes, marker) in zip(drawn.items(), _LINES, strict=False):
        curve, area = found["curves"]["roc"], found["roc_auc"]["value"]
        label = f"{name}, AUC {area:.4f}"
        axes.plot(curve["fpr"], curve["tpr"], color=color, ls=dashes, lw=1.8, label=label)
        mask = (1 - found["specificity"], found["sensitivity"])
        axes.plot(*mask, marker, color=color, ms=6, label=f"{name}, mask at 0.5")
    axes.legend(loc="lower right")
    return axes.get_figure()  # type: ignore[return-value]


@styled
def pr_curves(pixels: Mapping[str, Mapping[str, Any]]) -> Figure | None:
    """Precision-recall curves as steps. The dotted line is the precision of guessing."""
    drawn = {name: found for name, found in pixels.items() if found["curves"]["pr"]["recall"]}
    if not drawn:
        return None
    axes = _unit_square("recall (sensitivity)", "precision")
    for (name, found), (color, dashes, _) in zip(drawn.items(), _LINES, strict=False):
        curve, area = found["curves"]["pr"], found["pr_auc"]["value"]
        recall = [0.0, *curve["recall"]]  # from recall 0 on, take that of the highest threshold
        precision = [curve["precision"][0], *curve["precision"]]
        axes.plot(
            recall,
            precision,
            color=color,
            ls=dashes,
            lw=1.8,
            drawstyle="steps-pre",
            label=f"{name}, average precision {area:.4f}",
        )
        share = curve["precision"][-1]  # all pixels called positive
        axes.axhline(share, color=color, lw=0.8, ls=":", label=f"{name}, guessing {share:.3f}")
    axes.legend(loc="center left")
    return axes.get_figure()  # type: ignore[return-value]


@styled
def calibration_curves(pixels: Mapping[str, Mapping[str, Any]]) -> Figure | None:
    """Calibration: observed share over predicted probability; below it the pixels per bin."""
    drawn = {name: found for name, found in pixels.items() if found["pixels"]}
    if not drawn:
        return None
    figure = Figure(figsize=_SQUARE)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3.4, 1])
    upper.plot([0, 1], [0, 1], color=GRAY, lw=0.8, ls=":", label="perfect")
    for place, ((name, found), (color, dashes, marker)) in enumerate(
        zip(drawn.items(), _LINES, strict=False)
    ):
        bins = found["curves"]["calibration"]
        count = np.array(bins["pixels"], np.float64)
        filled = count > 0
        predicted, observed = (_floats(bins[key])[filled] for key in ("predicted", "observed"))
        label = f"{name}, expected error {found['expected_calibration_error']:.4f}"
        upper.plot(
            predicted, observed, color=color, ls=dashes, lw=1.4, marker=marker, ms=5, label=label
        )
        width = 0.08 / len(drawn)
        left = np.arange(len(count)) / len(count) + 0.01 + place * width
        lower.bar(left[filled], 100 * count[filled] / count.sum(), width, align="edge", color=color)
    upper.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), ylabel="observed share")
    upper.legend(loc="best")
    lower.set(yscale="log", xlabel="predicted probability", ylabel="% of pixels")
    return figure


def _unit_square(xlabel: str, ylabel: str) -> Axes:
    axes = Figure(figsize=_SQUARE).subplots()
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel=xlabel, ylabel=ylabel)
    return axes


def _floats(values: Sequence[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], np.float64)
