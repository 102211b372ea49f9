"""The figures of pooled pixels in the report, with what they show in words."""

from collections.abc import Iterator, Mapping
from typing import Any

from fetal_tf.reporting.plots.curves import calibration_curves, pr_curves, roc_curves
from fetal_tf.reporting.section import Plot
from fetal_tf.scores.wording import number


def curve_plots(pixels: Mapping[str, Mapping[str, Any]]) -> Iterator[Plot]:
    """The curves that these pixels can give.

    Args:
        pixels: structure as people write it → the summary of its `PixelLevels`.
    """
    names = " and ".join(name.lower() for name in pixels)
    if figure := roc_curves(pixels):
        areas = ", ".join(
            f"{name} {number(p['roc_auc']['value'], 'dice')}" for name, p in pixels.items()
        )
        yield Plot(
            "roc_curves",
            "ROC, all pixels pooled",
            figure,
            f"ROC curves of the pixels of {names}; area under the curve: {areas}.",
            "Each threshold on the probability is a point: the share of the structure's pixels "
            "found, over the share of all others taken for it. The closer to the upper left "
            "corner, the better; the mark is the mask that is measured.",
        )
    if figure := pr_curves(pixels):
        areas = ", ".join(
            f"{name} {number(p['pr_auc']['value'], 'dice')}" for name, p in pixels.items()
        )
        yield Plot(
            "pr_curves",
            "Precision and recall, all pixels pooled",
            figure,
            f"Precision-recall curves of the pixels of {names}; average precision: {areas}.",
            "How many of the pixels called a structure are one, as more and more of it is found. "
            "It does not count background rightly left alone, so it is stricter than ROC. Dotted: "
            "the structure's share of all pixels, which guessing gives.",
        )
    if figure := calibration_curves(pixels):
        errors = ", ".join(
            f"{name} {number(p['expected_calibration_error'], 'dice')}"
            for name, p in pixels.items()
        )
        yield Plot(
            "calibration",
            "Calibration of the probabilities",
            figure,
            f"Observed share over predicted probability for pixels of {names}; expected "
            f"calibration error: {errors}.",
            "On the diagonal, of the pixels said to be 70 % heart seven in ten are. Below it "
            "the probabilities are too high, above it too low. The bars count the pixels, on a log "
            "scale: nearly all are certain, and a middle bin is the rim of a structure.",
        )
