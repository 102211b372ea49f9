"""The plane gate study as text for the screen."""

from collections.abc import Mapping
from typing import Any

from fetal_tf.analysis.plane_gate import OWN, SCORES
from fetal_tf.reporting.text.table import text_table


def screen_text(record: Mapping[str, Any]) -> str:
    """Format the table for the screen, with notes on threshold and reference."""
    header = ("set", "n", "flagged", "AUROC plane score", "AUROC reconstruction error")
    own = record["own"]
    lines = [header, (OWN, str(own["n"]), _share(own["flagged_share"]), "", "")]
    for found in record["sets"]:
        figures = (_auroc_text(found[name]) for name in SCORES)
        share = _share(found["flagged_share"])
        lines.append((found["set"], str(found["n"]), share, *figures))
    text = [text_table(lines, text_columns=len(header))]
    threshold = record["threshold"]
    text.append(
        f"flagged: plane score from 1 on, set to flag {threshold['false_alarm_rate']:.0%} of "
        f"{threshold['n']} validation images"
    )
    if record["reference_fitted_to_these_images"]:
        text.append("its reference was fitted to these very images: their scores flatter")
    return "\n".join(text)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def _auroc_text(found: Mapping[str, Any]) -> str:
    low, high = found["ci95"]
    if found["auroc"] is None:
        return "-"
    interval = "" if low is None else f" [{low:.3f}, {high:.3f}]"
    return f"{found['auroc']:.3f}{interval}"
