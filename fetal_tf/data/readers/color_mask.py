"""Decode coloured masks, one colour a class, from a PNG's bytes to class indices."""

import io
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from fetal_tf.data.readers.frames import check_mask_size
from fetal_tf.edge.errors import DataError, ImageError

Color = tuple[int, int, int]  # red, green, blue, 0..255
Palette = Mapping[str, Color]  # class → colour, in the order of the class indices

_SHOWN_COLORS = 3
# What Pillow's decoders raise on damaged files, from truncated to hostile.
_DECODER_ERRORS = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error)


@dataclass(frozen=True)
class ColorLabels:
    """A coloured mask as class indices, and the colours in it that belong to no class.

    Attributes:
        labels: uint8 [H, W], indices into the palette; a foreign pixel has the nearest colour's.
        foreign: pixels of each colour outside the palette, the most frequent first.
    """

    labels: np.ndarray
    foreign: Mapping[Color, int]

    @property
    def foreign_px(self) -> int:
        """How many pixels are of no class's colour."""
        return sum(self.foreign.values())


def decode_labels(
    data: bytes, name: str, size: tuple[int, int], palette: Palette, tolerant: bool = False
) -> ColorLabels:
    """Class indices of a PNG painted in the colours of `palette`.

    Args:
        data: the file's content.
        name: what to call it in a message.
        size: (height, width) of its image; another size is refused before decoding.
        palette: the colour of each class.
        tolerant: give a foreign colour the index of the nearest one instead of refusing it.

    Raises:
        ImageError: no PNG, or damaged.
        DataError: another size, gray, or foreign colours, which are named with their pixel counts.
    """
    found = color_labels(decode_rgb(data, name, size), palette)
    if found.foreign and not tolerant:
        raise DataError(
            f"{name}: {_describe_foreign(found, palette)}. Smoothed borders can be read as the "
            "nearest colour with `data.options.tolerant: true`"
        )
    return found


def decode_rgb(data: bytes, name: str, size: tuple[int, int]) -> np.ndarray:
    """Decode a coloured PNG, uint8 [H, W, 3] in the order red, green, blue.

    A palette PNG gives the colours that its indices stand for. What is transparent is composited
    on black, the background's colour.

    Args:
        data: the file's content.
        name: what to call it in a message.
        size: (height, width) of its image; another size is refused before decoding.

    Raises:
        ImageError: no PNG, or damaged.
        DataError: another size, or gray: gray values name no class.
    """
    try:
        image: Image.Image = Image.open(io.BytesIO(data), formats=("PNG",))
        _check(image, name, size)
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
        return np.array(image.convert("RGB"))
    except Image.UnidentifiedImageError as error:
        raise ImageError(f"{name}: not a PNG ({len(data)} bytes)") from error
    except (Image.DecompressionBombError, *_DECODER_ERRORS) as error:
        raise ImageError(f"{name}: cannot be read as a PNG: {error}") from error


def color_labels(rgb: np.ndarray, palette: Palette) -> ColorLabels:
    """Class indices of a coloured mask.

    Args:
        rgb: uint8 [H, W, 3].
        palette: at most 255 colours; of two equally near ones a foreign pixel takes the first.
    """
    unknown = len(palette)
    labels = np.full(rgb.shape[:2], unknown, np.uint8)
    for index, color in enumerate(palette.values()):
        labels[cv2.inRange(rgb, color, color) > 0] = index
    elsewhere = labels == unknown
    if not elsewhere.any():
        return ColorLabels(labels, {})
    colors, inverse, counts = np.unique(
        rgb[elsewhere], axis=0, return_inverse=True, return_counts=True
    )
    known = np.array(list(palette.values()), np.int64)
    squared = ((colors[:, None].astype(np.int64) - known) ** 2).sum(axis=-1)
    labels[elsewhere] = squared.argmin(axis=1)[inverse.ravel()]
    order = np.argsort(-counts, kind="stable")
    frequent = zip(colors[order].tolist(), counts[order].tolist(), strict=True)
    return ColorLabels(labels, {(r, g, b): count for (r, g, b), count in frequent})


def _describe_foreign(found: ColorLabels, palette: Palette) -> str:
    shown = [f"{c}: {count} px" for c, count in list(found.foreign.items())[:_SHOWN_COLORS]]
    if len(found.foreign) > len(shown):
        shown.append(f"{len(found.foreign) - len(shown)} more")
    expected = ", ".join(f"{color} {name}" for name, color in palette.items())
    return (
        f"{found.foreign_px} of {found.labels.size} pixels have a colour outside the palette "
        f"({'; '.join(shown)}); expected {expected}"
    )


def _check(image: Image.Image, name: str, size: tuple[int, int]) -> None:
    """Check size and mode by the header, before decoding."""
    check_mask_size(name, (image.height, image.width), size)
    if image.mode not in ("RGB", "RGBA", "P"):
        raise DataError(
            f"{name}: a mask in colours is expected, this one is gray (mode {image.mode!r})"
        )
