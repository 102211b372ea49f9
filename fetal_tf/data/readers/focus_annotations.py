"""Read and write FOCUS's text annotations: two ellipses an image, as axes or as boxes.

A line of an ellipse file is ``cx cy a b theta label``: a centre and two **semi**-axes in pixels,
and the direction of `a` in degrees from +x towards +y. `a` may be the shorter one: 36 of the 500
real lines have a < b, and are correct. A line of a rectangle file is
``x1 y1 x2 y2 x3 y3 x4 y4 label 0``: four corners; the first side is 2a long and has a's direction,
the next is 2b long.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from fetal_tf.edge.errors import DataError
from fetal_tf.edge.geometry.ellipse import Ellipse

# Folder of the dataset: the split that it prescribes.
FOLDERS = {"training": "train", "validation": "val", "testing": "test"}
IMAGES, MASKS = "images", "annfiles_mask"
ELLIPSES, RECTANGLES = "annfiles_ellipse", "annfiles_rectangle"
# Word in the files: our structure. The images' masks say thorax, the authors' scorer thoracic.
STRUCTURES = {"cardiac": "heart", "thorax": "thorax", "thoracic": "thorax"}
_WORDS = {"heart": "cardiac", "thorax": "thorax"}
# Of a rectangle's sides, in degrees; of 500 real ones none is further from a right angle than 0.05.
_MAX_SKEW_DEG = 2.0
_MAX_NUMBER = 1e5  # px; no frame is as large, and squares stay far from overflow


def mask_name(stem: str, structure: str) -> str:
    """Name of the mask file of `structure` for the image `stem`."""
    return f"{stem}-{_WORDS[structure]}.png"


def read_ellipses(path: Path) -> dict[str, Ellipse]:
    """The ellipses of one file by structure, `thorax` and `heart`, px of the image.

    Raises:
        DataError: the file cannot be read, a structure is missing, doubled or unknown, or a line
            does not describe an ellipse; names file, line, what was found and what is expected.
    """
    return _read(path, 5, 6, "cx cy a b theta label", _ellipse)


def read_rectangles(path: Path) -> dict[str, Ellipse]:
    """The ellipses that touch the four sides of one file's rectangles, as `read_ellipses`.

    Raises:
        DataError: as `read_ellipses`, or four points that are no rectangle.
    """
    return _read(path, 8, 10, "x1 y1 x2 y2 x3 y3 x4 y4 label 0", _inscribed)


def ellipse_lines(ellipses: Mapping[str, Ellipse]) -> str:
    """Text of an ellipse file, a tenth of a pixel and of a degree fine, as FOCUS writes it."""
    return "\n".join(
        f"{e.center_x:.1f} {e.center_y:.1f} {e.semi_major:.1f} {e.semi_minor:.1f} "
        f"{e.angle_deg:.1f} {_WORDS[structure]}"
        for structure, e in sorted(ellipses.items())
    )


def rectangle_lines(ellipses: Mapping[str, Ellipse]) -> str:
    """Text of a rectangle file: the box around each ellipse, along its axes."""
    lines = []
    for structure, ellipse in sorted(ellipses.items()):
        numbers = " ".join(f"{value:.1f}" for value in _corners(ellipse).ravel())
        lines.append(f"{numbers} {_WORDS[structure]} 0")
    return "\n".join(lines)


def ellipse_from_axes(
    center_x: float, center_y: float, a: float, b: float, theta_deg: float
) -> Ellipse:
    """The ellipse of semi-axes `a` > 0 along `theta_deg` and `b` > 0 across; either is longer."""
    if a >= b:
        return Ellipse(center_x, center_y, a, b, theta_deg)
    return Ellipse(center_x, center_y, b, a, theta_deg + 90.0)


def turned(ellipse: Ellipse) -> Ellipse:
    """The ellipse with its two semi-axes exchanged, as a swap in the file would make it."""
    return ellipse_from_axes(
        ellipse.center_x,
        ellipse.center_y,
        ellipse.semi_minor,
        ellipse.semi_major,
        ellipse.angle_deg,
    )


def _read(
    path: Path, values: int, fields: int, form: str, parse: Callable[[list[float]], Ellipse]
) -> dict[str, Ellipse]:
    """Ellipses by structure; `parse` raises ValueError with what was found and what is expected."""
    found: dict[str, Ellipse] = {}
    for number, line in enumerate(_text(path).splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        place = f"{path}, line {number}"
        if len(words) != fields:
            raise DataError(f"{place}: {len(words)} values, expected {fields} ({form})")
        structure = STRUCTURES.get(words[values].lower())
        if structure is None:
            raise DataError(
                f"{place}: unknown label {words[values]!r}, expected {', '.join(STRUCTURES)}"
            )
        if structure in found:
            raise DataError(f"{place}: a second line for {words[values]!r}, expected one")
        try:
            found[structure] = parse([_number(word) for word in words[:values]])
        except ValueError as error:
            raise DataError(f"{place}: {error}") from error
    missing = [word for structure, word in _WORDS.items() if structure not in found]
    if missing:
        labels = ", ".join(_WORDS[structure] for structure in found) or "no line at all"
        raise DataError(
            f"{path}: no line for {' and '.join(missing)} (found: {labels}), expected one each"
        )
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a text file in UTF-8: {error}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def _number(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{word!r} found, a finite number is expected")
    if abs(value) > _MAX_NUMBER:
        raise ValueError(f"{word!r} found, at most {_MAX_NUMBER:g} px are expected")
    return value


def _ellipse(values: list[float]) -> Ellipse:
    center_x, center_y, a, b, theta_deg = values
    if min(a, b) <= 0:
        raise ValueError(f"semi-axes {a:g} and {b:g}, both are expected above 0 px")
    if not 0.0 <= theta_deg <= 180.0:
        raise ValueError(
            f"theta is {theta_deg:g}, expected 0 to 180 degrees, the direction of the first "
            "semi-axis"
        )
    return ellipse_from_axes(center_x, center_y, a, b, theta_deg)


def _inscribed(values: list[float]) -> Ellipse:
    corners = np.array(values).reshape(4, 2)
    # Means of opposite sides: corners are rounded to a tenth of a pixel.
    along = (corners[1] - corners[0] + corners[2] - corners[3]) / 2
    across = (corners[2] - corners[1] + corners[3] - corners[0]) / 2
    twice_a, twice_b = float(np.linalg.norm(along)), float(np.linalg.norm(across))
    if min(twice_a, twice_b) <= 0:
        raise ValueError(f"a rectangle of {twice_a:g} x {twice_b:g} px, both are expected above 0")
    _check_right_angles(corners)
    # The longer side gives the direction more exactly.
    long_side = along if twice_a >= twice_b else across
    center_x, center_y = map(float, corners.mean(axis=0))
    return Ellipse(
        center_x,
        center_y,
        max(twice_a, twice_b) / 2,
        min(twice_a, twice_b) / 2,
        math.degrees(math.atan2(long_side[1], long_side[0])),
    )


def _check_right_angles(corners: np.ndarray) -> None:
    sides = np.roll(corners, -1, axis=0) - corners
    directions = np.degrees(np.arctan2(sides[:, 1], sides[:, 0]))
    turns = (np.roll(directions, -1) - directions) % 360.0
    # A quarter turn at each corner, all in one sense; a bow tie turns back and forth.
    skew = min(np.abs(turns - 90.0).max(), np.abs(turns - 270.0).max())
    if skew > _MAX_SKEW_DEG:
        raise ValueError(
            f"four points that are no rectangle: an angle is {skew:.0f} degrees from a right one"
        )


def _corners(ellipse: Ellipse) -> np.ndarray:
    """Corners (4, 2) of the box around `ellipse`, in the order of FOCUS."""
    angle = math.radians(ellipse.angle_deg)
    along = ellipse.semi_major * np.array([math.cos(angle), math.sin(angle)])
    across = ellipse.semi_minor * np.array([-math.sin(angle), math.cos(angle)])
    center = np.array([ellipse.center_x, ellipse.center_y])
    return center + np.array([across - along, across + along, along - across, -along - across])
