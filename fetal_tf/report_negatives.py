"""The report of frames that show something else, which the model card shows as well."""

from collections.abc import Mapping
from typing import Any

from fetal_tf.report_section import Section, Table
from fetal_tf.report_tables import DASH, plural

MEANINGS = {
    "refused": "no number: the right answer",
    "flagged": "a number with a warning",
    "passed": "a number without any warning: wrong, and nobody is told",
}


def negatives_section(found: Mapping[str, Any]) -> Section:
    """How often the net kept silent, asked, or gave a number."""
    return Section(
        "Frames that show something else", "negatives", [sentence(found)], [answer_table(found)]
    )


def sentence(found: Mapping[str, Any]) -> str:
    """How many frames were judged, and whether the net knows them."""
    learnt = found["trained_on"]
    known = "The net has learnt none of them"
    if learnt:
        known = f"The net has learnt {learnt} of them, which flatters it"
    failed = f" {plural(found['failed'], 'frame')} could not be read." if found["failed"] else ""
    return (
        f"{plural(found['n'], 'frame')} in which there is nothing for this net to measure. "
        f"{known}.{failed}"
    )


def answer_table(found: Mapping[str, Any]) -> Table:
    """Refused, flagged and passed frames with Wilson intervals."""
    return Table(
        "Answers",
        ["answer", "frames", "share [95 % CI]", "what the user gets"],
        [
            [name, str(found[name]), _share(found, name), meaning]
            for name, meaning in MEANINGS.items()
        ],
        "The interval takes frames as independent.",
    )


def _share(found: Mapping[str, Any], name: str) -> str:
    low, high = found[f"{name}_ci95"]
    if low is None:
        return DASH
    return f"{found[name] / found['n']:.1%} [{low:.1%} to {high:.1%}]"
