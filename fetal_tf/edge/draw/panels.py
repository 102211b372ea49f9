"""One picture of several with titles: a large one, small ones around it, a colour scale."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw

from fetal_tf.edge.draw.legend import BACKGROUND, TEXT
from fetal_tf.edge.draw.lettering import draw_text, text_size, text_width, wrapped

_ROWS_BESIDE = 3  # small pictures under one another beside a portrait
_SMALL_TITLE = 0.85  # of the text elsewhere
_MIN_TEXT = 5  # px; a title that would be smaller still is cut off
_LINE = 1.25  # from one line of a title to the next, in heights of its text


@dataclass(frozen=True)
class Panel:
    """A picture, RGB uint8 (H, W, 3), and what it shows."""

    title: str
    picture: np.ndarray


def arranged(main: Panel, small: Sequence[Panel]) -> np.ndarray:
    """Put small pictures below a large one, or beside it if it is a portrait.

    Titles stand above their pictures, so that none hides anatomy.

    Args:
        main: the large picture, which keeps its size.
        small: any number of pictures of about its aspect; they are resized, their titles get one
            font size.

    Returns:
        RGB uint8. Below a landscape up to four small ones stand in a row, beside a portrait up to
        three in a column.
    """
    height, width = main.picture.shape[:2]
    if not small:
        return _cell(main, width, text_size(width))
    if height <= width:
        text = text_size(width)
        across = 3 if len(small) in (1, 2, 3, 5, 6) else 4
        room = (width - (across - 1) * _gap(text)) // across
        return _stacked([_cell(main, width, text), _grid(small, max(1, room), text, across)])
    across = -(-len(small) // _ROWS_BESIDE)
    text = text_size(round(width * (1 + across / _ROWS_BESIDE)))
    # Three small pictures above each other are as high as the large one.
    high = (height + _title_height(text)) / _ROWS_BESIDE - _gap(text) - _title_height(text, 2)
    room = max(1, round(width * high / height))
    spacer = np.empty((0, _gap(text), 3), np.uint8)
    return _abreast([_cell(main, width, text), spacer, _grid(small, room, text, across)])


def scale_strip(width: int, colors: np.ndarray, text: str) -> np.ndarray:
    """Draw a colour scale in one line: `text`, 0, the bar of `colors` uint8 (256, 3), 1.

    Returns:
        RGB uint8 (height, width, 3).
    """
    size = text_size(width)
    before, bar_width, gap = f"{text}   0", 9 * size, size // 2
    needed = text_width(f"{before} 1", size) + bar_width + 3 * gap
    if needed > width:
        size = max(_MIN_TEXT, int(size * width / needed))
        bar_width, gap = 9 * size, size // 2
    strip = Image.new("RGB", (width, round(1.7 * size)), BACKGROUND)
    pen = ImageDraw.Draw(strip)
    middle, left = strip.height // 2, gap + round(text_width(before, size)) + gap
    draw_text(pen, (gap, middle), before, TEXT, size)
    draw_text(pen, (left + bar_width + gap, middle), "1", TEXT, size)
    bar = cv2.resize(colors[None], (bar_width, size), interpolation=cv2.INTER_LINEAR)
    strip.paste(Image.fromarray(bar), (left, middle - size // 2))
    return np.asarray(strip)


def _grid(panels: Sequence[Panel], width: int, text: int, across: int) -> np.ndarray:
    """Pictures `width` wide in rows of `across`, their titles in one size and number of lines."""
    text_small, lines = _title_setting(panels, width, text)
    cells = [_cell(panel, width, text_small, lines) for panel in panels]
    beside, below = np.empty((0, _gap(text), 3), np.uint8), np.empty((_gap(text), 0, 3), np.uint8)
    rows = []
    for start in range(0, len(cells), across):
        row = [part for cell in cells[start : start + across] for part in (cell, beside)]
        rows += [_abreast(row[:-1]), below]
    return _stacked(rows)


def _title_setting(panels: Sequence[Panel], width: int, text: int) -> tuple[int, int]:
    """Size in px and number of lines with which every title fits, if any size does."""
    lines = 1
    for size in range(round(_SMALL_TITLE * text), _MIN_TEXT - 1, -1):
        titles = [wrapped(panel.title, size, _room(width, size)) for panel in panels]
        lines = max(map(len, titles))
        longest = max(text_width(line, size) for title in titles for line in title)
        if lines <= 2 and longest <= _room(width, size):
            return size, lines
    return _MIN_TEXT, min(lines, 2)


def _cell(panel: Panel, width: int, text: int, lines: int = 1) -> np.ndarray:
    """Title above the picture, `width` wide."""
    picture = panel.picture
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    if picture.shape[:2] != (height, width):
        shrinks = width < picture.shape[1]
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        picture = cv2.resize(picture, (width, height), interpolation=interpolation)
    title = Image.new("RGB", (width, _title_height(text, lines)), BACKGROUND)
    pen = ImageDraw.Draw(title)
    for row, line in enumerate(wrapped(panel.title, text, _room(width, text))[:lines]):
        place = (text // 3, round((0.8 + row * _LINE) * text))
        draw_text(pen, place, line, TEXT, text)
    return np.concatenate([np.asarray(title), picture])


def _room(width: int, text: int) -> int:
    """Width for a title in a picture of this width, px."""
    return max(1, width - 2 * (text // 3))


def _title_height(text: int, lines: int = 1) -> int:
    return round((1.6 + (lines - 1) * _LINE) * text)


def _gap(text: int) -> int:
    """Gap between two small pictures, px."""
    return max(2, text // 3)


def _stacked(pictures: Sequence[np.ndarray]) -> np.ndarray:
    width = max(picture.shape[1] for picture in pictures)
    return np.concatenate([_padded(p, p.shape[0], width) for p in pictures])


def _abreast(pictures: Sequence[np.ndarray]) -> np.ndarray:
    height = max(picture.shape[0] for picture in pictures)
    return np.concatenate([_padded(p, height, p.shape[1]) for p in pictures], axis=1)


def _padded(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    frame = np.empty((height, width, 3), np.uint8)
    frame[:] = BACKGROUND
    frame[: picture.shape[0], : picture.shape[1]] = picture
    return frame
