"""Figures of landmarks: where they lie in the images, the expert's beside the model's."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from fetal_tf.edge.geometry.landmarks import LANDMARKS
from fetal_tf.reporting.plots.figures import BLUE, GRAY, ORANGE, styled
from fetal_tf.scores.statistics import finite

_SIZE = (8.6, 3.4)
_LOOKS = {  # told apart without colour as well
    "ofd_1": (ORANGE, "<"),
    "ofd_2": (ORANGE, ">"),
    "bpd_1": (BLUE, "^"),
    "bpd_2": (BLUE, "v"),
}


@styled
def landmark_places(rows: Sequence[Mapping[str, Any]]) -> Figure | None:
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


def _places(rows: Sequence[Mapping[str, Any]], ending: str) -> dict[str, np.ndarray]:
    """(n, 2) by landmark, of the images that have it."""
    found = {}
    for name in LANDMARKS:
        pairs = []
        for row in rows:
            x, y = (finite(row.get(f"{name}_{axis}_{ending}")) for axis in "xy")
            width, height = (finite(row.get(f"image_{side}_px")) for side in ("width", "height"))
            if x is not None and y is not None and width and height:
                pairs.append(((x + 0.5) / width, (y + 0.5) / height))
        found[name] = np.array(pairs).reshape(-1, 2)
    return found
