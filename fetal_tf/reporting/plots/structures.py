"""Figure of the features of brain structures."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from fetal_tf.reporting.plots.figures import BLUE, ORANGE, styled
from fetal_tf.scores.wording import metric_label


@styled
def feature_distributions(columns: Mapping[str, np.ndarray], flagged: np.ndarray) -> Figure | None:
    """Values and median of each feature, in normal and in flagged images.

    Args:
        columns: feature → values [N], NaN where the structure was not found.
        flagged: bool [N].

    Returns:
        One panel per feature; None without features.
    """
    if not columns:
        return None
    figure = Figure(figsize=(2.7 * len(columns), 3.6))
    spread = np.random.default_rng(0)  # horizontal, so that equal values do not overlap
    panels = figure.subplots(1, len(columns), squeeze=False)[0]
    for axes, (name, values) in zip(panels, columns.items(), strict=True):
        ticks = []
        for place, (chosen, color, marker) in enumerate(
            ((~flagged, BLUE, "o"), (flagged, ORANGE, "^"))
        ):
            kept = values[chosen & np.isfinite(values)]
            x = place + spread.uniform(-0.22, 0.22, len(kept))
            axes.scatter(x, kept, s=12, color=color, marker=marker, alpha=0.6, lw=0)
            if len(kept):
                axes.hlines(np.median(kept), place - 0.32, place + 0.32, color=color, lw=2)
            ticks.append(f"{'flagged' if place else 'normal'}\nn = {len(kept)}")
        axes.set_xticks([0, 1], ticks)
        axes.set(title=metric_label(name), xlim=(-0.5, 1.5))
        axes.title.set_fontsize(10.5)
    return figure
