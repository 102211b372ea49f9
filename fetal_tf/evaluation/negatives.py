"""How a net answers to negatives: frames of something else, see `fetal_tf.data.negatives`.

The right answer is a refusal. A number with a flag asks the reader to look. A number without a flag
(`passed`) is the error to avoid.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from fetal_tf.data.sample import Sample
from fetal_tf.edge.flag import flag_codes
from fetal_tf.evaluation.provenance import fingerprint
from fetal_tf.scores.detection import wilson_interval
from fetal_tf.scores.rows import Row, count_codes, scored

# A missing pixel size says nothing about what the frame shows.
NO_DOUBT = {"no_pixel_size"}
ANSWERS = ("refused", "flagged", "passed")


def negatives_section(
    rows: pd.DataFrame, samples: Sequence[Sample], trained_on: int | None
) -> dict[str, Any]:
    """The part `negatives` of `summary.json`; empty without rows.

    Args:
        rows: of negatives, from `evaluate_samples`.
        samples: those negatives.
        trained_on: how many of them the net has learnt, None where nobody knows.

    Returns:
        `n`: readable frames; of them `refused` (no number at all), `flagged` (numbers with a doubt
        about the picture, or of one structure where another was refused) and `passed` (numbers
        without any), each with its Wilson interval `…_ci95`, which takes frames as independent;
        `failed`: unreadable ones beside these; `flags`, `refusals`: frames per code; `trained_on`;
        `samples_sha256`, see `fetal_tf.evaluation.provenance.fingerprint`.
    """
    if rows.empty:
        return {}
    judged = scored(rows)
    answers = [answer(row) for row in judged.to_dict("records")]
    section: dict[str, Any] = {"n": len(judged), "failed": len(rows) - len(judged)}
    for name in ANSWERS:
        count = answers.count(name)
        section |= {name: count, f"{name}_ci95": wilson_interval(count, len(judged))}
    section["flags"] = count_codes(judged["flags"])
    section["refusals"] = count_codes(judged["refused"])
    section |= {"trained_on": trained_on, "samples_sha256": fingerprint(samples)}
    return {"negatives": section}


def answer(row: Row) -> str:
    """`refused`, `flagged` or `passed`."""
    if row["refused"]:
        return "flagged" if row["numbers"] else "refused"
    return "flagged" if set(flag_codes(row["flags"])) - NO_DOUBT else "passed"


def negatives_text(found: Mapping[str, Any]) -> str:
    """One line for the screen, and what is to be known about it."""
    shares = ", ".join(f"{found[name]} {name}{_interval(found, name)}" for name in ANSWERS)
    failed = f", {found['failed']} failed" if found["failed"] else ""
    learnt = f"; the net has learnt {found['trained_on']} of them" if found["trained_on"] else ""
    return f"negatives, {found['n']} frames that show something else: {shares}{failed}{learnt}"


def _interval(found: Mapping[str, Any], name: str) -> str:
    low, high = found[f"{name}_ci95"]
    return "" if low is None else f" [{low:.0%} to {high:.0%}]"
