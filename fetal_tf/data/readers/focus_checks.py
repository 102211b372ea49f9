"""Check that the annotations of one FOCUS frame agree with each other and with the image."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from fetal_tf.data.readers.focus_annotations import RECTANGLES, turned
from fetal_tf.edge.errors import DataError
from fetal_tf.edge.geometry.ellipse import Ellipse

# Of ellipse and rectangle: of 500 real pairs none is further apart than 0.14 px.
MAX_GAP_PX = 3.0
# Of the heart's outline; real hearts lie wholly inside, the closest 1.3 px from the border.
MAX_SHARE_OUTSIDE = 0.05
# Of the image's area; real hearts cover 2 to 18 %, real thoraxes 9 to 56 %, cut or not.
MIN_AREA_SHARE = 0.002
MAX_AREA_SHARE = 4.0
MAX_EXTENT = 1.2  # of the image's sides; real thoraxes stay below 1
_OUTLINE_POINTS = 360
_UPRIGHT_DEG = 0.5  # ellipses that were drawn in upright boxes have no angle, in any unit
_ANGLES_NEEDED = 8  # by chance 1 in 10^11 in degrees


def check_agreement(path: Path, structure: str, ellipse: Ellipse, boxed: Ellipse) -> None:
    """Compare the ellipse of the file `path` with `boxed`, the one of its rectangle file.

    Raises:
        DataError: their outlines are more than 3 px apart; says where the semi-axes look swapped.
    """
    gap = gap_px(boxed, ellipse)
    if gap <= MAX_GAP_PX:
        return
    swapped = gap_px(boxed, turned(ellipse)) <= MAX_GAP_PX
    raise DataError(
        f"{path}: the {structure}'s ellipse lies up to {gap:.1f} px from its rectangle in "
        f"{RECTANGLES}/{path.name}, at most {MAX_GAP_PX:g} px are expected"
        + (" (its semi-axes look swapped)" if swapped else "")
    )


def check_places(image: Path, ellipses: Mapping[str, Ellipse], shape: tuple[int, int]) -> None:
    """Check that both structures lie in the image, and the heart in the thorax.

    Args:
        image: the frame, for the message.
        ellipses: `thorax` and `heart`, px.
        shape: (height, width) of the image.

    Raises:
        DataError: a centre lies outside the image, an area is next to nothing or several images
            large, it is longer than the image, or more than 5 % of the heart's outline lie outside
            the thorax.
    """
    height, width = shape
    for structure, ellipse in ellipses.items():
        x, y = ellipse.center_x, ellipse.center_y
        if not (0 <= x < width and 0 <= y < height):
            raise DataError(
                f"{image}: the {structure}'s centre ({x:.1f}, {y:.1f}) lies outside the image, "
                f"{width}x{height} (width x height)"
            )
        share = ellipse.area / (height * width)
        if not MIN_AREA_SHARE <= share <= MAX_AREA_SHARE:
            raise DataError(
                f"{image}: the {structure} covers {100 * share:.3g} % of the image's area, "
                f"{100 * MIN_AREA_SHARE:g} to {100 * MAX_AREA_SHARE:g} are expected; are its "
                "numbers pixels of this image?"
            )
        wide, high = (2 * reach for reach in ellipse.reach)
        if wide > MAX_EXTENT * width or high > MAX_EXTENT * height:
            raise DataError(
                f"{image}: the {structure} is {wide:.0f}x{high:.0f} px, larger "
                f"than its image of {width}x{height}; are its axes whole ones? Semi-axes are "
                "expected"
            )
    outside = heart_share_outside(ellipses)
    if outside > MAX_SHARE_OUTSIDE:
        raise DataError(
            f"{image}: {100 * outside:.0f} % of the heart's outline lie outside the thorax, "
            f"at most {100 * MAX_SHARE_OUTSIDE:.0f} % are expected"
        )


def check_angles(folder: Path | str, ellipses: Iterable[Ellipse]) -> None:
    """Refuse angles of a whole dataset that look like radians.

    Args:
        folder: the dataset, for the message.
        ellipses: all of it; of fewer than 8 nothing can be told.

    Raises:
        DataError: no axis is turned by more than 3.14 degrees from the image's sides, and not all
            lie along them.
    """
    angles = [ellipse.angle_deg % 90 for ellipse in ellipses]
    if len(angles) >= _ANGLES_NEEDED and _UPRIGHT_DEG < max(angles) <= math.pi:
        raise DataError(
            f"{folder}: all {len(angles)} ellipses have angles up to {max(angles):.2f} (beside "
            "right angles): they look like radians, degrees are expected"
        )


def heart_share_outside(ellipses: Mapping[str, Ellipse]) -> float:
    """Share of the heart's outline that lies outside the thorax, 0..1."""
    inside = ellipses["thorax"].contains(ellipses["heart"].points(_OUTLINE_POINTS))
    return 1.0 - float(inside.mean())


def gap_px(one: Ellipse, other: Ellipse) -> float:
    """Largest distance of the first ellipse's outline to the second's, px."""
    return float(np.abs(other.distances(one.points(_OUTLINE_POINTS))).max())
