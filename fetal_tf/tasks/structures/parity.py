"""How far an exported file may drift from the float model on structures."""

from collections.abc import Mapping, Sequence

from fetal_tf.tasks.precision import by_format
from fetal_tf.tasks.structures.summary import RAW

_PRECISION = by_format(
    full={"dice": 1e-4, "width_px": 0.01, "anomaly_score": 1e-3},
    half={"dice": 1e-3, "width_px": 0.1, "anomaly_score": 0.01},
    quantized={"dice": 5e-3, "width_px": 0.5, "anomaly_score": 0.05},
)


def limits(structures: Sequence[str], *, scored: bool) -> Mapping[str, Mapping[str, float]]:
    """Format → delta → limit.

    Dice of every structure is bounded pooled and image by image, cleaned and raw, since cleaning
    may hide what the raw map shows; the ventricle's width in pixels of the original frame; and,
    where thresholds were fitted (`scored`), the anomaly score that they were fitted to.
    """
    return {form: _limits(structures, scored, p) for form, p in _PRECISION.items()}


def _limits(
    structures: Sequence[str], scored: bool, precision: Mapping[str, float]
) -> dict[str, float]:
    dice = precision["dice"]
    found = {f"pooled_{name}_dice_delta": dice for name in structures}
    for prefix in ("", RAW):
        found |= {f"{prefix}{name}_dice_abs_delta_mean": dice for name in structures}
    if "lv" in structures:
        found["lv_width_abs_delta_mean_px"] = precision["width_px"]
    if scored:
        found["anomaly_score_abs_delta_mean"] = precision["anomaly_score"]
    return found
