"""Text in pictures: one font, its size, the signs that it lacks, and lines of words."""

import re
from collections.abc import Iterator
from functools import lru_cache

from PIL import ImageDraw, ImageFont

# What Pillow's built-in font has no sign for: spelled, or a smaller digit set higher.
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
_RAISED_SIZE = 0.62  # of the text
_RAISED_BY = 0.2  # heights of the text, from middle to middle


def text_size(width: int) -> int:
    """Height of the text in a picture of this width, px.

    It grows with the width, from 14 to 120 px, so that it survives the picture being shrunk.
    """
    return min(max(14, round(width / 46)), 120)


def text_width(text: str, size: int) -> float:
    """How wide `draw_text` sets it, px."""
    return sum(_font(height).getlength(run) for run, height, _ in _runs(text, size))


def draw_text(
    pen: ImageDraw.ImageDraw,
    place: tuple[float, float],
    text: str,
    color: tuple[int, int, int],
    size: int,
) -> None:
    """Set one line of text, `place` (x, y) being the middle of its left end."""
    x, middle = place
    for run, height, raised in _runs(text, size):
        pen.text((x, middle - raised), run, color, _font(height), anchor="lm")
        x += _font(height).getlength(run)


def wrapped(text: str, size: int, width: float) -> list[str]:
    """The words in lines no wider than `width` px, if no single word is."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and text_width(longer, size) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _runs(text: str, size: int) -> Iterator[tuple[str, int, int]]:
    """(what the font can set, its height in px, px above the line)."""
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
