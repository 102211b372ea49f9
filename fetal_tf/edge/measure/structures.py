"""Label map of brain structures from probabilities, and the features of each mask."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from fetal_tf.edge.geometry.letterbox import Letterbox
from fetal_tf.edge.geometry.masks import bounding_box, hull_corners

BACKGROUND, BRAIN = 0, 1  # indices of the first two classes of every label map
STRUCTURES = ("csp", "lv")  # inside the brain: cavum septi pellucidi, lateral ventricle
_MOMENTS = ("00", "10", "01", "20", "11", "02")


@dataclass(frozen=True)
class Features:
    """Place, size and shape of one mask; a pixel is a unit square, its centre at integers.

    Attributes:
        area_px, area_mm2: of all fragments, px² and mm²; mm² is None without a pixel size.
        centroid_x_px, centroid_y_px: mean of the pixel centres.
        bbox_x_px, bbox_y_px: leftmost column and uppermost row.
        bbox_width_px, bbox_height_px: number of columns and rows.
        eccentricity: of the ellipse with the same second moments, 0 (round) to 1 (a line).
        orientation_deg: direction of that ellipse's long axis, from +x towards +y (down), in
            (-90, 90]; 0 where it is round.
        solidity: area over the number of pixels whose centre lies in the convex hull of all pixel
            centres: 1 for every digitised convex shape.
        width_px, width_mm: diameter of the largest circle inside the widest fragment. The border
            runs halfway between neighbouring pixel centres: an upright bar of n pixels has width n;
            slanted and round shapes come out 0 to 0.4 px narrower in the mean, 1.7 px at most.
        fragments: number of 8-connected parts.
    """

    area_px: float
    area_mm2: float | None
    centroid_x_px: float
    centroid_y_px: float
    bbox_x_px: float
    bbox_y_px: float
    bbox_width_px: float
    bbox_height_px: float
    eccentricity: float
    orientation_deg: float
    solidity: float
    width_px: float
    width_mm: float | None
    fragments: int


def label_map(probabilities: np.ndarray, letterbox: Letterbox) -> np.ndarray:
    """The most probable class of every pixel of the original frame.

    Probabilities are enlarged before they are compared, so that borders are smooth.

    Args:
        probabilities: float32 [h, w, K] of the letterboxed frame; padding is ignored.
        letterbox: how the frame was fitted into the map.

    Returns:
        uint8 [H, W]; of equal classes the lower index.

    Raises:
        ValueError: the map is not of the letterbox' target size, or has fewer than two classes.
    """
    if probabilities.ndim != 3 or not 2 <= probabilities.shape[2] <= 256:
        raise ValueError(f"probabilities [h, w, K] are expected, K 2..256; {probabilities.shape}")
    # One class at a time saves memory: a frame has ten times the pixels of the map.
    highest = letterbox.restore(np.asarray(probabilities[..., 0], np.float32))
    labels = np.zeros(highest.shape, np.uint8)
    for index in range(1, probabilities.shape[2]):
        plane = letterbox.restore(np.asarray(probabilities[..., index], np.float32))
        labels[plane > highest] = index
        np.maximum(highest, plane, out=highest)
    return labels


def features(mask: np.ndarray, mm_per_pixel: float | None) -> Features | None:
    """Measure place, size and shape of a mask.

    Args:
        mask: bool [H, W].
        mm_per_pixel: of the frame, or None: then pixels only.

    Returns:
        The features, None for an empty mask.
    """
    box = bounding_box(mask)
    if box is None:
        return None
    cut = mask[box].astype(np.uint8)
    rows, columns = box
    moments = cv2.moments(cut, binaryImage=True)
    area_px, width_px = moments["m00"], _inscribed_diameter(cut)
    eccentricity, orientation_deg = _axes(moments)
    fragments, _ = cv2.connectedComponents(cut)
    return Features(
        area_px=area_px,
        area_mm2=None if mm_per_pixel is None else area_px * mm_per_pixel**2,
        centroid_x_px=columns.start + moments["m10"] / area_px,
        centroid_y_px=rows.start + moments["m01"] / area_px,
        bbox_x_px=float(columns.start),
        bbox_y_px=float(rows.start),
        bbox_width_px=float(cut.shape[1]),
        bbox_height_px=float(cut.shape[0]),
        eccentricity=eccentricity,
        orientation_deg=orientation_deg,
        solidity=area_px / _pixels_in_hull(hull_corners(cut)),
        width_px=width_px,
        width_mm=None if mm_per_pixel is None else width_px * mm_per_pixel,
        fragments=fragments - 1,
    )


def _axes(moments: Mapping[str, float]) -> tuple[float, float]:
    """Eccentricity, and direction of the long axis in degrees, (-90, 90]."""
    # In integers, so that a square is exactly round and an upright bar exactly upright.
    m00, m10, m01, m20, m11, m02 = (round(moments[f"m{i}"]) for i in _MOMENTS)
    # Twelve times the variances. A pixel is a square, not a point: its own variance is 1/12.
    difference = 12 * ((m20 - m02) * m00 - (m10 - m01) * (m10 + m01))
    total = 12 * ((m20 + m02) * m00 - m10**2 - m01**2) + 2 * m00**2
    mixed = 24 * (m11 * m00 - m10 * m01)
    spread = math.hypot(difference, mixed)
    # With a² and b² for the ellipse's axes: 1 - b²/a², a² ~ total + spread, b² ~ total - spread.
    eccentricity = math.sqrt(2 * spread / (total + spread))
    return eccentricity, math.degrees(math.atan2(mixed, difference)) / 2


def _pixels_in_hull(corners: np.ndarray) -> float:
    """Number of grid points on and inside a polygon with corners on the grid (Pick's theorem)."""
    x, y = corners.astype(np.int64).T
    next_x, next_y = np.roll(x, -1), np.roll(y, -1)
    twice_area = abs(int(np.sum(x * next_y - next_x * y)))
    on_border = int(np.gcd(np.abs(next_x - x), np.abs(next_y - y)).sum())
    return twice_area / 2 + on_border / 2 + 1


def _inscribed_diameter(mask: np.ndarray) -> float:
    """Diameter of the largest circle inside a mask uint8 (H, W), px.

    Computed on a grid of half pixels: centres, sides and corners of pixels. A side is inside
    between two pixels inside, a corner among at least three. So the border runs halfway between
    pixels, and straight borders stay straight.
    """
    padded = np.pad(mask, 1)
    pairs = padded[1:] + padded[:-1]
    grid = np.zeros((2 * padded.shape[0] - 1, 2 * padded.shape[1] - 1), np.uint8)
    grid[::2, ::2] = padded
    grid[1::2, ::2] = pairs == 2
    grid[::2, 1::2] = padded[:, 1:] + padded[:, :-1] == 2
    grid[1::2, 1::2] = pairs[:, 1:] + pairs[:, :-1] >= 3
    # One step of this grid is half a pixel of radius, one of diameter. Its square is an integer:
    # rounded, because OpenCV's last digits change from run to run.
    steps = float(cv2.distanceTransform(grid, cv2.DIST_L2, cv2.DIST_MASK_PRECISE).max())
    return math.sqrt(round(steps * steps))
