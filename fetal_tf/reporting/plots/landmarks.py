"""Figures of landmarks: where they lie in the images, the expert's beside the model's."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fetal_tf.edge.geometry.landmarks import LANDMARKS
from fetal_tf.reporting.plots.figures import BLUE, GRAY, ORANGE, styled
from fetal_tf.scores.rows import numbers

_SIZE = (8.6, 3.4)
_LOOKS = {  # told apart without colour as well
    "ofd_1": (ORANGE, "<"),
    "ofd_2": (ORANGE, ">"),
    "bpd_1": (BLUE, "^"),
    "bpd_2": (BLUE, "v"),
}


@styled
def landmark_places(rows: pd.DataFrame) -> Figure | None:
    """Each image's four ends as shares of its width and height, in two panels.

    A net that has learnt only the mean puts all of its marks in four heaps.
    """
    places = {ending: _places(rows, ending) for ending in ("true_px", "px")}
    if not all(any(len(p) for p in by_name.values()) for by_name in places.values()):
        return None
    figure = Figure(figsize=_SIZE)
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    for axes, (ending, title) in zip(panels, (("true_px", "expert"), ("px", "model")), strict=True):
        for name, points in places[ending].items():
            color, marker = _LOOKS[name]
            axes.plot(*points.T, marker, color=color, ms=4, mew=0, alpha=0.5, ls="", label=name)
        axes.set_title(title)
        axes.set_xlabel("x / width")
        for at in (0, 1):
            axes.axhline(at, color=GRAY, lw=0.8)
            axes.axvline(at, color=GRAY, lw=0.8)
    panels[0].set_ylabel("y / height")
    panels[0].invert_yaxis()
    panels[1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _places(rows: pd.DataFrame, ending: str) -> dict[str, np.ndarray]:
    """(n, 2) by landmark, of the images that have it."""
    sizes = numbers(rows, "image_width_px", "image_height_px")
    found = {}
    for name in LANDMARKS:
        shares = (numbers(rows, f"{name}_x_{ending}", f"{name}_y_{ending}") + 0.5) / sizes
        found[name] = shares[np.isfinite(shares).all(axis=1)]
    return found
