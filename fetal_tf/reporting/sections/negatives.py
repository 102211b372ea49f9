"""Report section on negatives: frames without the anatomy. The model card uses it as well."""

from collections.abc import Mapping
from typing import Any

from fetal_tf.reporting.section import Section, Table
from fetal_tf.scores.wording import DASH, plural

MEANINGS = {
    "refused": "no number: the right answer",
    "flagged": "a number with a warning, or of one structure where another was refused",
    "passed": "a number without any warning: wrong, and nobody is told",
}


def negatives_section(found: Mapping[str, Any]) -> Section:
    """How often the net refused, flagged, or gave a number without a warning."""
    return Section(
        "Frames that show something else", "negatives", [sentence(found)], [answer_table(found)]
    )


def sentence(found: Mapping[str, Any]) -> str:
    """Say how many frames were judged, and how many of them the net has learnt."""
    learnt = found["trained_on"]
    known = "Whether the net has learnt some of them is not known here"
    if learnt is not None:
        known = f"The net has learnt {learnt or 'none'} of them" + ", which flatters it" * bool(
            learnt
        )
    failed = f" {plural(found['failed'], 'frame')} could not be read." if found["failed"] else ""
    return (
        f"{plural(found['n'], 'frame')} in which there is nothing for this net to measure. "
        f"{known}.{failed}"
    )


def answer_table(found: Mapping[str, Any]) -> Table:
    """Table: refused, flagged and passed frames with Wilson intervals."""
    return Table(
        "Answers",
        ["answer", "frames", "share [95 % CI]", "what the user gets"],
        [
            [name, str(found[name]), _share(found, name), meaning]
            for name, meaning in MEANINGS.items()
        ],
        "The interval takes frames as independent.",
    )


def format_table(answers: Mapping[str, Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a table by format: each answer as count and share."""
    return ["frames", *(f"{name} [95 % CI]" for name in MEANINGS)], [
        [form, str(found["n"]), *(f"{found[name]}: {_share(found, name)}" for name in MEANINGS)]
        for form, found in answers.items()
    ]


def _share(found: Mapping[str, Any], name: str) -> str:
    low, high = found[f"{name}_ci95"]
    if low is None:
        return DASH
    return f"{found[name] / found['n']:.1%} [{low:.1%} to {high:.1%}]"
