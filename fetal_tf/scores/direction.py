"""Which way a figure improves, by the name of its column."""

import re

# A distance, which is never negative, and not the difference of two lengths.
_RADIAL = re.compile(r"radial_error(_strict)?_px|[a-z]+_nme")


def lower_is_better(metric: str) -> bool:
    """Losses and errors fall; Dice, IoU, accuracy and their kin rise."""
    return metric.endswith(("loss", "error", "_mm", "_px"))


def better(name: str) -> str:
    """Which way a metric improves: `higher`, `lower`, or `near 0` for a signed error."""
    if _RADIAL.fullmatch(name):
        return "lower"
    if re.search(r"(?<!abs)_error_", name):
        return "near 0"
    lower = r"error|distance|hd95|mismatch|anomaly|shape_score|plane_score|disagreement"
    return "lower" if re.search(lower, name) else "higher"
