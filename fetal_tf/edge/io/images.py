"""Reads images as 8-bit gray, as a screen shows them; refuses too large ones before decoding."""

import io
import math
import stat
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageOps

from fetal_tf.edge.errors import ImageError
from fetal_tf.edge.flag import Flag
from fetal_tf.edge.io.files import write_bytes_atomic
from fetal_tf.edge.io.foreign_files import what_it_is

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".pgm")
# Named, so that Pillow never hands a file to a format that runs an external program (EPS).
_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "PPM")
MIN_SIDE_PX = 16
_MAX_SIDE_PX = 20_000
_MAX_ASPECT = 20  # a longer strip is no scan, and its picture would be enormous
_MAX_PIXELS = 50_000_000
# Errors that Pillow's decoders raise on damaged or hostile files.
_DECODER_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error, cv2.error,
)  # fmt: skip
# Depths at which scanners and converters digitize; a frame in a wider file has one of them.
_BITS = (8, 10, 12, 14, 15, 16)
_SQUARE = 0.01  # stated resolutions are rounded to whole numbers: less than 1 % is square
_MAX_PIXEL_ASPECT = 2.0
_PHOTOMETRIC, _BITS_PER_SAMPLE = 262, 258  # tags of TIFF


@dataclass(frozen=True)
class Frame:
    """An image as it is measured.

    Attributes:
        gray: uint8 (height, width), upright and with square pixels.
        notes: what had to be done for that, and what the file holds beside it.
    """

    gray: np.ndarray
    notes: tuple[Flag, ...] = ()


def read_frame(path: Path, max_pixels: int = _MAX_PIXELS) -> Frame:
    """Read an image as gray, uint8 (height, width), as a screen shows it.

    - Gray of more than 8 bits is divided by the range in use: the full one of 8, 10, 12, 14 or 16
      bits that holds the brightest pixel. Less than the file's own is noted.
    - Colour becomes ITU-R 601 luminance, transparent parts are composited on black, and gray
      where 0 is white is inverted.
    - An orientation in the file (EXIF) is applied and noted.
    - Pixels that the file states to be wider or narrower than high become square: the height stays
      as it is, the width is resampled, and that is noted. Positions are those of the result.
      Where the file states nothing, pixels are square.
    - Of several frames the first is read, and their number is noted.

    Raises:
        ImageError: missing, not an image, truncated, above `max_pixels`, a side above 20,000 px or
            more than 20 times the other (before anything is decoded), a side below 16 px, a pixel
            type without a defined range (float, 32 bits, negative), or pixels that are stated to be
            more than twice as wide as high, or the other way round.
    """
    with _opened(path, max_pixels) as image:
        notes = _header_notes(image, path)
        size = _upright_square_size(image, path)
        gray, bits_note = _gray(image, path)
        if gray.shape != size:
            gray = cv2.resize(
                gray,
                size[::-1],
                interpolation=cv2.INTER_AREA if size[1] < gray.shape[1] else cv2.INTER_LINEAR,
            )
    return Frame(gray, (*notes, *bits_note))


def read_gray(path: Path, max_pixels: int = _MAX_PIXELS) -> np.ndarray:
    """Only the gray pixels of `read_frame`."""
    return read_frame(path, max_pixels).gray


def read_mask(path: Path, max_pixels: int = _MAX_PIXELS) -> np.ndarray:
    """Read an annotation, uint8 (height, width); 8-bit gray values come back unchanged.

    Colour and palette become luminance, transparent parts are composited on black, an orientation
    is applied.

    Raises:
        ImageError: as `read_frame`, and for 16-bit files, whose labels a rescaling would erase.
    """
    with _opened(path, max_pixels) as image:
        if image.mode.startswith("I"):
            raise ImageError(
                f"{path}: a mask of 8 bits per pixel is expected, this one has mode "
                f"{image.mode!r}. Save it as an 8-bit PNG."
            )
        return _gray(image, path)[0]


def image_size(path: Path, max_pixels: int = _MAX_PIXELS) -> tuple[int, int]:
    """(height, width) of what `read_frame` gives, in pixels, from the header alone.

    Raises:
        ImageError: no image, or a size that `read_frame` refuses.
    """
    with _opened(path, max_pixels) as image:
        return _upright_square_size(image, path)


def frame_notes(path: Path, max_pixels: int = _MAX_PIXELS) -> tuple[Flag, ...]:
    """The notes of `read_frame` that the header alone tells: frames, orientation, pixels' shape.

    Raises:
        ImageError: no image, or one that `read_frame` refuses by its header.
    """
    with _opened(path, max_pixels) as image:
        return _header_notes(image, path)


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
        # Not by its name: Pillow maps an uncompressed TIFF into memory then, and scrambles it where
        # it is to be turned.
        with path.open("rb") as file, _header(file) as image:
            _check_size(path, image.width, image.height, max_pixels)
            if image.format == "PNG" and "exif" not in image.info:
                image.info.update(_late_exif(file))
            yield image
    except Image.DecompressionBombError as error:
        raise ImageError(
            f"{path}: refused before decoding; at most {max_pixels} pixels are read. Scale the "
            "image down first."
        ) from error
    except Image.UnidentifiedImageError as error:
        raise ImageError(f"{path}: {what_it_is(path)}") from error
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


def _header(file: BinaryIO) -> Image.Image:
    with warnings.catch_warnings():
        # Pillow warns of sizes that `_check_size` refuses, or allows, with a message of its own.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(file, formats=_FORMATS)


def _late_exif(file: BinaryIO) -> dict[str | tuple[int, int], bytes]:
    """The EXIF of a PNG that has it behind its pixels, where Pillow sees it only when decoding."""
    place = file.tell()
    try:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind == b"eXIf":
                return {"exif": b"Exif\x00\x00" + file.read(length)}
            file.seek(length + 4, io.SEEK_CUR)
        return {}
    finally:
        file.seek(place)


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
    if min(width, height) < MIN_SIDE_PX:
        raise ImageError(f"{found}, but at least {MIN_SIDE_PX}x{MIN_SIDE_PX} are needed.")
    if max(width, height) > _MAX_ASPECT * min(width, height):
        raise ImageError(
            f"{found}, refused before decoding; one side may be at most {_MAX_ASPECT} times the "
            "other. Crop the image first."
        )


def _header_notes(image: Image.Image, path: Path) -> tuple[Flag, ...]:
    return (*_frames_note(image), *_orientation_note(image), *_aspect_note(image, path))


def _frames_note(image: Image.Image) -> Iterator[Flag]:
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        yield Flag("first_frame", f"frame 1 of {frames} was read; save another one as a file")


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation, 1 to 8; 1 is upright."""
    if image.format == "PNG" and "exif" not in image.info:
        return 1  # see `_late_exif`; Pillow would decode the picture to look
    stated = image.getexif().get(ExifTags.Base.Orientation, 1)
    return stated if stated in range(1, 9) else 1


def _orientation_note(image: Image.Image) -> Iterator[Flag]:
    if (orientation := _orientation(image)) != 1:
        yield Flag(
            "orientation",
            f"the file says how to turn the picture (EXIF orientation {orientation}): it was "
            "turned, and positions are those of the upright picture",
        )


def _aspect_note(image: Image.Image, path: Path) -> Iterator[Flag]:
    aspect = _pixel_aspect(image, path)
    if aspect != 1:
        percent, shape = 100 * abs(aspect - 1), "wider" if aspect > 1 else "narrower"
        yield Flag(
            "pixels_made_square",
            f"the file states pixels {percent:.1f} % {shape} than high: the picture's width was "
            "corrected. A pixel size is taken for the height of a pixel; positions are those of "
            "the corrected picture",
        )


def _pixel_aspect(image: Image.Image, path: Path) -> float:
    """Width over height of an upright picture's pixel, as the file states it; 1 where it does not.

    Raises:
        ImageError: a ratio that no scanner has.
    """
    info = image.info
    stated = (
        info.get("aspect") or info.get("jfif_density") or info.get("resolution") or info.get("dpi")
    )
    try:
        per_x, per_y = (float(value) for value in stated or (1, 1))
    except (TypeError, ValueError, ZeroDivisionError):
        return 1.0
    if not (math.isfinite(per_x) and math.isfinite(per_y) and per_x > 0 and per_y > 0):
        return 1.0
    aspect = per_y / per_x
    if not 1 / _MAX_PIXEL_ASPECT <= aspect <= _MAX_PIXEL_ASPECT:
        raise ImageError(
            f"{path}: states {per_x:g} pixels per unit of width and {per_y:g} of height; no "
            "scanner has such pixels. Correct the resolution in the file, or remove it."
        )
    if abs(aspect - 1) < _SQUARE:
        return 1.0
    return 1 / aspect if _orientation(image) > 4 else aspect


def _upright_square_size(image: Image.Image, path: Path) -> tuple[int, int]:
    """(height, width) of the upright picture with square pixels."""
    width, height = image.size
    # Pillow gives the upright size of a TIFF.
    if _orientation(image) > 4 and image.format != "TIFF":
        width, height = height, width
    return height, max(1, round(width * _pixel_aspect(image, path)))


def _gray(image: Image.Image, path: Path) -> tuple[np.ndarray, tuple[Flag, ...]]:
    """The upright picture as gray uint8 (height, width), and a note where few bits are in use."""
    inverted = _white_is_zero(image)
    if (wide := _wide(image, path)) is not None:
        gray, notes = scaled_by_use(wide, _BITS if image.format != "PPM" else (16,))
        return (255 - gray if inverted else gray), notes
    return gray_on_black(_upright(image)), ()


def gray_on_black(image: Image.Image) -> np.ndarray:
    """ITU-R 601 luminance of a picture of 8 bits, uint8 (H, W); transparent parts are black."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    elif image.mode in ("P", "CMYK"):
        image = image.convert("RGB")
    return np.array(image.convert("L"))


def _upright(image: Image.Image) -> Image.Image:
    """The decoded picture, turned as its EXIF says; Pillow turns a TIFF when it decodes it."""
    if image.format == "TIFF" or _orientation(image) == 1:
        image.load()
        return image
    return ImageOps.exif_transpose(image)


def _white_is_zero(image: Image.Image) -> bool:
    """Whether a TIFF's zero is white. Pillow inverts it where a pixel has 8 bits, only there."""
    return image.format == "TIFF" and image.tag_v2.get(_PHOTOMETRIC) == 0  # type: ignore[attr-defined]


def _wide(image: Image.Image, path: Path) -> np.ndarray | None:
    """Upright gray of more than 8 bits, int64 (height, width) from 0; None where 8 bits hold it.

    Raises:
        ImageError: 32-bit, float or negative pixels.
    """
    if image.mode == "F":
        raise ImageError(
            f"{path}: pixels are floating-point numbers, which have no defined range; save the "
            "image with 8 or 16 bits."
        )
    if image.mode.startswith("I;16") or (image.mode == "I" and _bits_per_sample(image, path) == 16):
        wide = np.asarray(_upright(image)).astype(np.int64)
        if wide.min() < 0:
            raise ImageError(
                f"{path}: signed 16-bit pixels down to {wide.min()}; a gray picture has none below "
                "0. Save it with unsigned pixels, 0 for black."
            )
        return wide
    if image.mode == "I":
        raise ImageError(
            f"{path}: 32-bit pixels (mode {image.mode!r}) have no defined range; "
            "save the image with 8 or 16 bits."
        )
    if image.mode in ("RGB", "RGBA", "LA") and _bits_per_sample(image, path) == 16:
        return _wide_colour(image, path)
    return None


def _bits_per_sample(image: Image.Image, path: Path) -> int:
    """16 where the file holds 16 bits, of which Pillow gives only 8 in colour; else 8."""
    if image.format == "PNG":
        with path.open("rb") as file:
            return file.read(25)[24]  # the header's bit depth
    if image.format == "TIFF":
        return int(max(image.tag_v2.get(_BITS_PER_SAMPLE, (8,))))  # type: ignore[attr-defined]
    # Pillow scales a PGM of more than 8 bits to 0..65535 by the maximum that the file states.
    return 16 if image.format == "PPM" and image.mode == "I" else 8


def _wide_colour(image: Image.Image, path: Path) -> np.ndarray:
    """Luminance of 16-bit colour on black, int64 (height, width); Pillow would cut it to 8 bits."""
    pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16 or pixels.ndim != 3:
        raise ImageError(f"{path}: 16-bit colour that cannot be read; save it with 8 bits.")
    gray = luminance(pixels[..., [2, 1, 0, *range(3, pixels.shape[2])]])  # OpenCV gives BGR
    return _turned(np.rint(gray).astype(np.int64), _orientation(image))


def luminance(pixels: np.ndarray) -> np.ndarray:
    """ITU-R 601 luminance of uint16 RGB or RGBA (H, W, 3 or 4) on black, float64 (H, W)."""
    gray = pixels[..., :3] @ np.array([0.299, 0.587, 0.114])
    return gray * (pixels[..., 3] / 65535) if pixels.shape[2] == 4 else gray


def _turned(array: np.ndarray, orientation: int) -> np.ndarray:
    """Stored pixels to upright ones."""
    if orientation > 4:
        array = array.T
    # Of the transposed picture: 6 needs its columns reversed, 8 its rows, 7 both.
    flip_x = orientation in (2, 3, 6, 7)
    flip_y = orientation in (3, 4, 7, 8)
    return array[:: -1 if flip_y else 1, :: -1 if flip_x else 1]


def scaled_by_use(
    wide: np.ndarray, depths: tuple[int, ...] = _BITS
) -> tuple[np.ndarray, tuple[Flag, ...]]:
    """Gray from 0 to uint8 by the bits in use, one of `depths`; a note where they are not 16."""
    highest = int(wide.max())
    bits = next(bits for bits in depths if highest < 2**bits)
    gray = np.rint(wide * (255 / (2**bits - 1))).astype(np.uint8)
    if bits == 16:
        return gray, ()
    note = f"the brightest pixel has {highest}: the 16 bits were read as {bits}"
    return gray, (Flag("few_bits", note),)
