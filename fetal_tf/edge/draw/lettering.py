"""Text in pictures: font, size, line breaks, and replacements for signs the font lacks."""

import re
from collections.abc import Iterator
from functools import lru_cache

from PIL import ImageDraw, ImageFont

# Signs that Pillow's built-in font lacks: spelled, or drawn as a smaller digit set higher.
_SPELLED = str.maketrans(
    {
        "≥": ">=",
        "≤": "<=",
        "\N{EN DASH}": "-",
        "\N{MINUS SIGN}": "-",
        "\N{MULTIPLICATION SIGN}": "x",
        "Δ": "delta ",
    }
)
_RAISED = {"²": "2", "³": "3"}
_RAISED_SIZE = 0.62  # share of the text's height
_RAISED_BY = 0.2  # the digit's middle above the text's, share of the text's height


def text_size(width: int) -> int:
    """Height of the text in a picture of this width, px.

    It grows with the width, from 14 to 120 px, so that it survives the picture being shrunk.
    """
    return min(max(14, round(width / 46)), 120)


def text_width(text: str, size: int) -> float:
    """Width of a line of text as `draw_text` draws it, px."""
    return sum(_font(height).getlength(run) for run, height, _ in _runs(text, size))


def draw_text(
    pen: ImageDraw.ImageDraw,
    place: tuple[float, float],
    text: str,
    color: tuple[int, int, int],
    size: int,
) -> None:
    """Draw one line of text; `place` (x, y) is the middle of its left edge."""
    x, middle = place
    for run, height, raised in _runs(text, size):
        pen.text((x, middle - raised), run, color, _font(height), anchor="lm")
        x += _font(height).getlength(run)


def wrapped(text: str, size: int, width: float) -> list[str]:
    """Break a text into lines at most `width` px wide; a single word may be wider."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and text_width(longer, size) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _runs(text: str, size: int) -> Iterator[tuple[str, int, int]]:
    """Parts of a text that the font can draw: (part, its height in px, px above the line)."""
    for part in re.split(f"([{''.join(_RAISED)}])", text):
        if part in _RAISED:
            yield _RAISED[part], round(_RAISED_SIZE * size), round(_RAISED_BY * size)
        elif part:
            yield part.translate(_SPELLED), size, 0


@lru_cache(maxsize=16)
def _font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's built-in font, the same on every machine."""
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return font
