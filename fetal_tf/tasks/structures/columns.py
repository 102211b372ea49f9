"""The columns of the structures task, and its parity limits."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace

from fetal_tf.edge.measure.structures import Features
from fetal_tf.scores.columns import Column, ParityLimits, declare, facts, figures, values
from fetal_tf.scores.confusions import confusion_names
from fetal_tf.scores.quantities import Quantity
from fetal_tf.tasks.structures.summary import ANOMALY_SCORES, RAW

BACKGROUND = "background"
PER_CLASS = ("dice", "iou", "precision", "recall", "f1")
TRUE = "true_"  # prefix of values measured on the expert's mask
FEATURES = tuple(field.name for field in fields(Features))
LV_WIDTH = "lv_width"
_RELATIVE = f"{LV_WIDTH}_error_percent"  # of a width of a few mm: in the rows, not published


def declared_columns(
    classes: Sequence[str], quantities: Sequence[Quantity]
) -> Mapping[str, Column]:
    """All columns of a row: overlap, shape, anomaly scores and pixel counts."""
    return declare(*_columns(classes, quantities))


def _columns(classes: Sequence[str], quantities: Sequence[Quantity]) -> Iterator[Iterable[Column]]:
    structures = classes[1:]
    overlap = ("foreground_dice", *(f"{name}_dice" for name in structures))
    others = (
        f"{BACKGROUND}_dice",
        *(f"{name}_{metric}" for name in classes for metric in PER_CLASS[1:]),
        "pixel_accuracy",
    )
    yield figures(*overlap, *(RAW + name for name in overlap), *others, better="higher")
    yield figures(*(f"{name}_mismatch" for name in structures), better="lower")
    yield figures("mismatch_score", better="lower")
    for quantity in quantities:
        yield (
            replace(c, published=c.published and c.name != _RELATIVE) for c in quantity.columns()
        )
    yield figures(*ANOMALY_SCORES, better="neither")
    yield (Column(RAW + name, "higher", compared=True) for name in others)
    measured = [
        f"{name}_{feature}"
        for name in structures
        for feature in FEATURES
        if name == "lv" or not feature.startswith("width")
    ]
    shown = [f"{name}_present" for name in structures[1:]]
    lengths = [quantity.predicted for quantity in quantities]
    yield values(*(name for name in measured if name not in lengths), *shown)
    yield facts(*(TRUE + name for name in (*measured, *shown)), "mm_per_pixel")
    for prefix in ("", RAW):  # pooled figures are computed from these
        yield facts(*confusion_names(classes, prefix))
    yield [Column("weighted_iou", "higher")]  # while training


def parity_limits(structures: Sequence[str], *, scored: bool) -> ParityLimits:
    """How far an exported file may drift from the float model.

    Limits hold for: Dice of every structure, pooled and per image, of the cleaned and of the raw
    label map (cleaning can hide a drift); the width of the lateral ventricle in pixels of the
    original frame; the anomaly score if thresholds were fitted (`scored`).
    """

    def limits(dice: float, width_px: float, anomaly_score: float) -> dict[str, float]:
        found = {f"pooled_{name}_dice_delta": dice for name in structures}
        for prefix in ("", RAW):
            found |= {f"{prefix}{name}_dice_abs_delta_mean": dice for name in structures}
        if "lv" in structures:
            found["lv_width_abs_delta_mean_px"] = width_px
        if scored:
            found["anomaly_score_abs_delta_mean"] = anomaly_score
        return found

    return {
        "full": limits(1e-4, 0.01, 1e-3),
        "half": limits(1e-3, 0.1, 0.01),
        "quantized": limits(5e-3, 0.5, 0.05),
    }
