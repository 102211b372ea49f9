"""The main figures of the report, each with a caption and a text for screen readers."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from fetal_tf.reporting.plots import figures
from fetal_tf.reporting.section import Plot
from fetal_tf.scores.quantities import Pairs, Quantity
from fetal_tf.scores.rows import numbers
from fetal_tf.scores.wording import metric_label, plural
from fetal_tf.tasks.task import Task


def report_plots(
    rows: pd.DataFrame,
    task: Task,
    quantity: Quantity | None,
    history: Sequence[Mapping[str, object]],
) -> Iterator[Plot]:
    """Score histogram, agreement plots and learning curves, as far as the data allow."""
    overlap = task.headline[0]
    values = numbers(rows, overlap)
    values = values[np.isfinite(values)]
    label = metric_label(overlap)
    if figure := figures.score_histogram(values, label):
        yield Plot(
            f"{overlap}_histogram",
            f"{label}, image by image",
            figure,
            f"Histogram of {label} over {plural(len(values), 'image')}: mean {values.mean():.4f}, "
            f"median {np.median(values):.4f}, lowest {values.min():.4f}.",
            f"{label} is the overlap of predicted and true area, 1 = identical. A narrow "
            "hump at the right is good; what matters is the tail to the left.",
        )
    if quantity:
        yield from _agreement_plots(quantity.pairs(rows), quantity)
    if figure := figures.learning_curves(history, overlap):
        validated = any(key.startswith("val_") for key in history[-1])
        yield Plot(
            "learning_curves",
            "Learning curves",
            figure,
            f"Training{' and validation' * validated} curves over {plural(len(history), 'epoch')}.",
            "Both curves should level off together; validation turning away from training means "
            "that the model began to memorise."
            if validated
            else "The curve should level off. No frame was held out to validate on, so it cannot "
            "show whether the model began to memorise.",
            wide=True,
        )


def _agreement_plots(pairs: Pairs, quantity: Quantity) -> Iterator[Plot]:
    unit, apart, name = quantity.unit_sign, quantity.error_sign, quantity.name
    if figure := figures.bland_altman(pairs, quantity):
        bias, low, high = pairs.limits()
        limits = (
            f", limits of agreement {low:+.2f} to {high:+.2f} {apart}" if len(pairs) > 1 else ""
        )
        yield Plot(
            f"{quantity.stem}_bland_altman",
            f"Agreement on {name} (Bland-Altman)",
            figure,
            f"Bland-Altman plot of {name} on {plural(len(pairs), 'image')}: "
            f"bias {bias:+.2f} {apart}{limits}.",
            "Each mark is one image. The solid line is the bias, the mean error; 19 of 20 images "
            "are expected between the dashed lines. A slope would mean that the error changes with "
            f"{'the size' if unit != '%' else 'the ratio; pp are percentage points'}.",
        )
    if figure := figures.predicted_against_measured(pairs, quantity):
        yield Plot(
            f"{quantity.stem}_predicted_against_measured",
            f"Predicted against measured {name}",
            figure,
            f"Scatter plot of predicted over measured {name} on {plural(len(pairs), 'image')}, "
            f"from {pairs.measured.min():.0f} to {pairs.measured.max():.0f} {unit}, "
            "with the identity line.",
            "Marks on the line agree with the expert; above it the model reads too large, below "
            "it too small.",
        )
