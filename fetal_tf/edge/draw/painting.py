"""Colours on a terminal; none in a file, in a pipe, or where NO_COLOR is set."""

import os
from collections.abc import Callable
from typing import TextIO

from fetal_tf.edge.draw.legend import TEXT, Color


def painter(stream: TextIO) -> Callable[[str, Color], str]:
    """A function that gives a text in a colour (red, green, blue), where `stream` shows colours.

    Source of the rule for NO_COLOR: no-color.org.
    """
    coloured = (
        stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    )

    def paint(text: str, color: Color) -> str:
        if not coloured or color == TEXT:  # the terminal's own colour of text is right
            return text
        red, green, blue = color
        return f"\x1b[38;2;{red};{green};{blue}m{text}\x1b[0m"

    return paint
