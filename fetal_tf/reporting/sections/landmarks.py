"""Report section on landmarks: errors, success rates, and a check for collapse."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fetal_tf.edge.geometry.landmarks import LANDMARKS
from fetal_tf.reporting.plots.figures import BLUE, GRAY, ORANGE, styled
from fetal_tf.reporting.section import Plot, Section, Table
from fetal_tf.scores.rows import numbers
from fetal_tf.scores.wording import DASH, number, plural
from fetal_tf.tasks.task import Task

TITLE, KEY = "Landmarks", "landmarks"
NAMES = {
    "ofd_1": "OFD, left end",
    "ofd_2": "OFD, right end",
    "bpd_1": "BPD, upper end",
    "bpd_2": "BPD, lower end",
    "all": "all four",
}
COLLAPSED = 0.5  # a model whose predictions span less than this share of the truth's span
_LOOKS = {  # also distinct without colour
    "ofd_1": (ORANGE, "<"),
    "ofd_2": (ORANGE, ">"),
    "bpd_1": (BLUE, "^"),
    "bpd_2": (BLUE, "v"),
}


def landmark_section(rows: pd.DataFrame, summary: Mapping[str, Any], task: Task) -> Section:
    """Radial errors by landmark, success rates by distance, and the span of the predictions."""
    found = summary.get("landmarks")
    if not found or not found["landmarks"]["all"]["n"]:
        return Section(TITLE, KEY, ["No image could be scored."])
    return Section(
        TITLE,
        KEY,
        list(_sentences(found)),
        [_error_table(found["landmarks"]), _success_table(found["success"])],
        list(_plots(rows)),
    )


def _plots(rows: pd.DataFrame) -> Iterator[Plot]:
    if figure := _landmark_places(rows):
        yield Plot(
            "landmark_places",
            "Where the ends lie in the images",
            figure,
            "The four landmarks of every image as shares of its size, expert and model.",
            "Each mark is an end in one image. Heads lie in many places: a model that looks at the "
            "image spreads its marks as the expert does, one that has learnt the mean heaps them.",
            wide=True,
        )


@styled
def _landmark_places(rows: pd.DataFrame) -> Figure | None:
    """Plot the landmarks of all images, expert and model, as shares of width and height.

    A net that has learnt only the mean position gives four tight clusters.
    """
    places = {ending: _places(rows, ending) for ending in ("true_px", "px")}
    if not all(any(len(p) for p in by_name.values()) for by_name in places.values()):
        return None
    figure = Figure(figsize=(8.6, 3.4))
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
    """Landmark → points (n, 2) of the images that have it."""
    sizes = numbers(rows, "image_width_px", "image_height_px")
    found = {}
    for name in LANDMARKS:
        shares = (numbers(rows, f"{name}_x_{ending}", f"{name}_y_{ending}") + 0.5) / sizes
        found[name] = shares[np.isfinite(shares).all(axis=1)]
    return found


def _sentences(found: Mapping[str, Any]) -> Iterator[str]:
    every, nme = found["landmarks"]["all"], found["nme"]
    yield (
        f"Mean radial error {_px(every['mean'])} px over {plural(every['n'], 'landmark')}, "
        f"median {_px(every['median'])} px; over the length of its axis "
        f"{_share(nme['ofd']['mean'])} (OFD) and {_share(nme['bpd']['mean'])} (BPD)."
    )
    if found["not_predicted"]:
        yield f"Nothing was predicted in {plural(found['not_predicted'], 'image')}."
    axis = found["axis"]
    if axis["error_deg"]["n"]:
        yield (
            f"The OFD's direction is off by {axis['error_deg']['mean']:.1f} degrees in the mean "
            f"(median {axis['error_deg']['median']:.1f}); with the expert's direction, the same "
            f"ellipses would be {_px(axis['radial_error_turned_px']['mean'])} px off."
        )
    ratio = found["span_ratio"]
    if ratio is None:
        return
    spans = (
        f"The predicted landmarks span {_percent(found['span_share'])} of the image, the "
        f"expert's {_percent(found['span_share_true'])}"
    )
    if ratio < COLLAPSED:
        yield (
            f"{spans}: the model has COLLAPSED towards one answer for every image. Its errors "
            "measure how much heads differ, not how well it looks."
        )
    else:
        yield f"{spans}: the model follows the head."


def _error_table(landmarks: Mapping[str, Any]) -> Table:
    columns = ("n", "mean", "sd", "median", "min", "max")
    lines = [
        [NAMES[name], str(values["n"]), *(_px(values[key]) for key in columns[1:])]
        for name, values in landmarks.items()
    ]
    return Table(
        "Radial error, pixels of the original image",
        ["Landmark", *columns],
        lines,
        "Distance from the expert's point. Which end of an axis is called the first is a "
        "convention: the better order of the two counts, for each axis on its own.",
    )


def _success_table(success: Mapping[str, Any]) -> Table:
    lines = []
    for limit, values in success.items():
        low, high = values["ci95"]
        interval = DASH if low is None else f"{_percent(low)} to {_percent(high)}"
        lines.append([f"≤ {limit.removesuffix('px')} px", _percent(values["share"]), interval])
    return Table(
        "Landmarks within a distance",
        ["Distance", "Share", "95 % CI"],
        lines,
        "Wilson's interval; it takes landmarks for independent, which those of one image are not.",
    )


def _px(value: float | None) -> str:
    return number(value, "radial_error_px")


def _share(value: float | None) -> str:
    return number(value, "ofd_nme")


def _percent(value: float | None) -> str:
    return DASH if value is None else f"{100 * value:.1f} %"
