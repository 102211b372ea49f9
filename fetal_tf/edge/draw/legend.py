"""The legend below a picture: numbers beside the colour of their line, doubts in red."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from fetal_tf.edge.draw.lettering import draw_text, text_size, text_width, wrapped
from fetal_tf.edge.flag import Flag

Color = tuple[int, int, int]
TEXT: Color = (235, 235, 235)
ALARM: Color = (255, 95, 85)
BACKGROUND: Color = (24, 24, 24)


@dataclass(frozen=True)
class Entry:
    """One text of a legend.

    Attributes:
        text: the text itself.
        swatch: colour of the line that the text explains, if any.
        color: of the text.
        own_line: start on a new line and wrap, for sentences.
        if_drawn: leave it out where no line of the picture has the swatch's colour.
    """

    text: str
    swatch: Color | None = None
    color: Color = TEXT
    own_line: bool = False
    if_drawn: bool = False


def doubt_entries(
    notes: Iterable[Flag], refused: str | None, flags: Iterable[Flag]
) -> Iterator[Entry]:
    """Notes, the refusal and the flags, each on a line of its own; the last two in red."""
    for note in notes:
        yield Entry(f"note: {note.message}", own_line=True)
    if refused:
        yield Entry(refused, color=ALARM, own_line=True)
    for flag in flags:
        yield Entry(flag, color=ALARM, own_line=True)


def as_lines(entries: Iterable[Entry]) -> list[tuple[str, Color]]:
    """The entries as lines of text, each with its colour: short ones together, then the others.

    What explains a line of the picture alone is left out.
    """
    told = [entry for entry in entries if not entry.if_drawn]
    short = ", ".join(entry.text for entry in told if not entry.own_line)
    own = [(entry.text, entry.color) for entry in told if entry.own_line]
    return [(short, TEXT), *own] if short else own


def legend_strip(width: int, entries: Iterable[Entry]) -> np.ndarray:
    """Draw the entries as lines of text, RGB uint8 (height as needed, `width`, 3)."""
    size = text_size(width)
    line_height, margin = round(1.5 * size), size // 2
    placed = list(_placed(entries, width - margin, size, margin))
    rows = 1 + max((row for _, row, _, _ in placed), default=0)
    strip = Image.new("RGB", (width, rows * line_height + margin), BACKGROUND)
    pen = ImageDraw.Draw(strip)
    for x, row, text, entry in placed:
        middle = margin // 2 + row * line_height + line_height // 2
        if entry.swatch:
            pen.line([(x, middle), (x + 1.2 * size, middle)], entry.swatch, max(2, size // 6))
        draw_text(pen, (x + _indent(entry, size), middle), text, entry.color, size)
    return np.asarray(strip)


def _placed(
    entries: Iterable[Entry], right: int, size: int, left: int
) -> Iterator[tuple[float, int, str, Entry]]:
    """(x, row, text, its entry) for every piece of text between `left` and `right`."""
    x, row = float(left), 0
    for entry in entries:
        needed = text_width(entry.text, size) + _indent(entry, size)
        if x > left and (entry.own_line or x + needed > right):
            x, row = float(left), row + 1
        if not entry.own_line:
            yield x, row, entry.text, entry
            x += needed + size
            continue
        for line in wrapped(entry.text, size, right - left):
            yield x, row, line, entry
            row += 1


def _indent(entry: Entry, size: int) -> float:
    return 1.6 * size if entry.swatch else 0.0
