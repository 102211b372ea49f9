"""Text of others, such as file names, so that neither a terminal nor a spreadsheet obeys it."""

import re

# Control characters (with them ESC and line ends), what turns the direction of writing, line
# separators, and the bytes of a file name that are no text.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_FORMULA = re.compile("'*[=+\\-@\t\r]")
_NUMBER = re.compile(r"[+-]?\d*\.?\d+([eE][+-]?\d+)?")


def printable(text: str) -> str:
    r"""One line of text in which control characters are seen: ESC becomes `\x1b`.

    A byte 0xff of a file name becomes `\udcff`, so that all can be written as UTF-8.
    """
    return _UNSEEN.sub(lambda found: ascii(found.group())[1:-1], text)


def printable_lines(text: str) -> str:
    """Text of several lines, each made `printable`."""
    return "\n".join(map(printable, text.split("\n")))


def as_cell(text: str) -> str:
    """Text for a cell of a CSV: what a spreadsheet would take for a formula gets an apostrophe.

    That is text which begins with = + - @, tab or return, but is no number. `of_cell` undoes it.

    Source: OWASP, CSV injection.
    """
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def of_cell(cell: str) -> str:
    """The text that `as_cell` has written."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def plain_float(text: str) -> float:
    """A number from text that people write; ValueError for others, also for `0.1_4`."""
    if "_" in text:
        raise ValueError(f"{text!r} is no number")
    return float(text)
