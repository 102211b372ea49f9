"""The result of a sweep for the screen."""

from collections.abc import Mapping
from typing import Any

from fetal_tf.analysis.sweep import best_first
from fetal_tf.reporting.text.table import text_table
from fetal_tf.scores.wording import DASH, number


def screen_text(record: Mapping[str, Any]) -> str:
    """Format a row per point of the grid, the best first, then the failed trials.

    Args:
        record: of `fetal_tf.analysis.sweep.sweep_record`.
    """
    monitor, keys = record["monitor"], list(record["grid"])
    table = [[*keys, monitor, "sd", "n", "failed"]]
    for point in best_first(record):
        figures = [number(point[name], monitor) for name in ("mean", "sd")]
        counts = [str(point["n"]), str(point["failed"] or DASH)]
        table.append([*point["values"].values(), *figures, *counts])
    lines = [text_table(table, len(keys), rule=True)]
    failed = [row for row in record["trials"] if row["state"] == "failed"]
    if failed:
        lines.append(f"{len(failed)} of {len(record['trials'])} trials failed:")
        lines += [f"  {row['run']}: {row['error']}" for row in failed]
    return "\n".join(lines)
