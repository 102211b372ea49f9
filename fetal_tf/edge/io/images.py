"""Reads images as 8-bit gray; refuses too large ones before decoding. Writes PNG."""

import io
import stat
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from fetal_tf.edge.errors import ImageError
from fetal_tf.edge.io.files import write_bytes_atomic

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".pgm")
# Named, so that Pillow never hands a file to a format that runs an external program (EPS).
_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "PPM")
_MIN_SIDE_PX = 16
_MAX_SIDE_PX = 20_000
_MAX_ASPECT = 20  # a longer strip is no scan, and its picture would be enormous
_MAX_PIXELS = 50_000_000
# Errors that Pillow's decoders raise on damaged or hostile files.
_DECODER_ERRORS = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error)


def read_gray(path: Path, max_pixels: int = _MAX_PIXELS) -> np.ndarray:
    """Read an image as gray, uint8 (height, width), in the orientation of the stored pixels.

    16-bit gray is divided by 257 (its full range), colour becomes ITU-R 601 luminance, transparent
    parts are composited on black. An EXIF rotation is ignored: masks, landmarks and pixel sizes
    belong to the pixels as stored. Of several frames the first is read.

    Raises:
        ImageError: missing, not an image, truncated, above `max_pixels`, a side above 20,000 px or
            more than 20 times the other (before anything is decoded), a side below 16 px, or a
            pixel type without a defined range (float).
    """
    with _opened(path, max_pixels) as image:
        return _gray(image, path)


def read_mask(path: Path, max_pixels: int = _MAX_PIXELS) -> np.ndarray:
    """Read an annotation, uint8 (height, width); 8-bit gray values come back unchanged.

    Colour and palette become luminance, transparent parts are composited on black.

    Raises:
        ImageError: as `read_gray`, and for 16-bit files, whose labels a rescaling would erase.
    """
    with _opened(path, max_pixels) as image:
        if image.mode.startswith("I"):
            raise ImageError(
                f"{path}: a mask of 8 bits per pixel is expected, this one has mode "
                f"{image.mode!r}. Save it as an 8-bit PNG."
            )
        return _gray(image, path)


def image_size(path: Path, max_pixels: int = _MAX_PIXELS) -> tuple[int, int]:
    """(height, width) in pixels, from the header alone.

    Raises:
        ImageError: no image, or a size that `read_gray` refuses.
    """
    with _opened(path, max_pixels) as image:
        return image.height, image.width


def write_png(path: Path, image: np.ndarray) -> None:
    """Write uint8 (height, width) gray or (height, width, 3) RGB as PNG, whole or not at all.

    Raises:
        FetalTFError: the file cannot be written.
    """
    write_bytes_atomic(path, png_bytes(image))


def png_bytes(image: np.ndarray) -> bytes:
    """The PNG file of uint8 (height, width) gray or (height, width, 3) RGB."""
    buffer = io.BytesIO()
    # Level 3 is a third of the time of the default 6, for files a few per cent larger.
    Image.fromarray(image).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


@contextmanager
def _opened(path: Path, max_pixels: int) -> Iterator[Image.Image]:
    path = Path(path)
    _check_is_file(path)
    try:
        with _header(path) as image:
            _check_size(path, image.width, image.height, max_pixels)
            yield image
    except Image.DecompressionBombError as error:
        raise ImageError(f"{path}: refused before decoding. {error}") from error
    except Image.UnidentifiedImageError as error:
        raise ImageError(
            f"{path}: not an image ({path.stat().st_size} bytes); expected {', '.join(_FORMATS)}."
        ) from error
    except _DECODER_ERRORS as error:
        raise ImageError(f"{path}: cannot be read as an image: {error}") from error


def _check_is_file(path: Path) -> None:
    expected = f"{path}: an image file is expected, this"
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ImageError(f"{expected} is missing.") from error
    except OSError as error:  # a name too long, a folder without permission, a loop of links
        raise ImageError(f"{expected} cannot be opened: {error.strerror or error}.") from error
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "no regular file"
        raise ImageError(f"{expected} is {what}.")


def _header(path: Path) -> Image.Image:
    with warnings.catch_warnings():
        # Pillow warns of sizes that `_check_size` refuses, or allows, with a message of its own.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(path, formats=_FORMATS)


def _check_size(path: Path, width: int, height: int, max_pixels: int) -> None:
    found = f"{path}: {width}x{height} px"
    if width * height > max_pixels:
        raise ImageError(
            f"{found}, refused before decoding; at most {max_pixels} pixels "
            "are read. Scale the image down first."
        )
    if max(width, height) > _MAX_SIDE_PX:
        raise ImageError(
            f"{found}, refused before decoding; sides of at most {_MAX_SIDE_PX} px are read. "
            "Crop the image or scale it down first."
        )
    if min(width, height) < _MIN_SIDE_PX:
        raise ImageError(f"{found}, but at least {_MIN_SIDE_PX}x{_MIN_SIDE_PX} are needed.")
    if max(width, height) > _MAX_ASPECT * min(width, height):
        raise ImageError(
            f"{found}, refused before decoding; one side may be at most {_MAX_ASPECT} times the "
            "other. Crop the image first."
        )


def _gray(image: Image.Image, path: Path) -> np.ndarray:
    # Pillow gives a PGM of more than 8 bits 32-bit pixels, scaled to 0..65535 whatever its maximum.
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        wide = np.asarray(image).astype(np.uint32)
        return ((wide + 128) // 257).astype(np.uint8)
    if image.mode in ("I", "F"):
        raise ImageError(
            f"{path}: 32-bit pixels (mode {image.mode!r}) have no defined range; "
            "save the image with 8 or 16 bits."
        )
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    elif image.mode in ("P", "CMYK"):
        image = image.convert("RGB")
    return np.array(image.convert("L"))
