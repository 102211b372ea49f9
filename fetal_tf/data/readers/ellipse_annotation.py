"""Fit the ellipse of a drawn annotation, an outline or filled; and draw one."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from fetal_tf.edge.errors import DataError
from fetal_tf.edge.geometry.contours import sub_pixel_contour
from fetal_tf.edge.geometry.ellipse import Ellipse, rasterise
from fetal_tf.edge.geometry.ellipse_fit import fit_ellipse
from fetal_tf.edge.geometry.landmarks import ellipse_landmarks
from fetal_tf.edge.io.images import read_mask

# Measured on HC18: the border of a filled annotation lies 1.40 px (sd 0.06, whatever the head's
# size) outside the ellipse whose perimeter is the CSV's HC. That is half the drawn line.
ANNOTATION_LINE_PX = 2.8
_MIN_IOU = 0.9
_MAX_VALUE_SHARE = 0.05  # of the drawing; a soft edge spreads over many values


@dataclass(frozen=True)
class DrawnEllipse:
    """An ellipse as it was drawn, px of the original image.

    An outline shows how wide its line is by having an inner border too; a filled one does not.

    Attributes:
        outer: the outer border of the drawing.
        own_line_px: width of an outline's line; None where the drawing is filled.
    """

    outer: Ellipse
    own_line_px: float | None

    @property
    def filled(self) -> bool:
        return self.own_line_px is None

    def caliper(self, line_px: float = ANNOTATION_LINE_PX) -> Ellipse:
        """The ellipse that was drawn along: half a line inside the outer border.

        `line_px` is the width of the line that a filled drawing was filled from.
        """
        return self.outer.shrunk((line_px if self.own_line_px is None else self.own_line_px) / 2)


def load_ellipse_mask(path: Path, line_px: float = ANNOTATION_LINE_PX) -> np.ndarray:
    """Mask of the caliper ellipse of an annotation file, uint8 (height, width), 1 inside.

    Raises:
        ImageError, DataError: as `load_ellipse`.
    """
    ellipse, shape = load_ellipse(path, line_px)
    return rasterise(ellipse, shape).astype(np.uint8)


def load_ellipse_landmarks(path: Path, line_px: float = ANNOTATION_LINE_PX) -> np.ndarray:
    """Ends of the caliper ellipse's axes, float64 [4, 2], canonical: the long axis is the OFD.

    Raises:
        ImageError, DataError: as `load_ellipse`.
    """
    return ellipse_landmarks(load_ellipse(path, line_px)[0])


def load_ellipse(
    path: Path, line_px: float = ANNOTATION_LINE_PX
) -> tuple[Ellipse, tuple[int, int]]:
    """The caliper ellipse of an annotation file, px, and the (height, width) of its frame.

    Raises:
        ImageError: the file is missing or cannot be decoded.
        DataError: nothing is drawn there, or what is drawn is not one ellipse.
    """
    drawn, shape = load_drawn_ellipse(path)
    return drawn.caliper(line_px), shape


def load_drawn_ellipse(path: Path) -> tuple[DrawnEllipse, tuple[int, int]]:
    """What is drawn in an annotation file, and the (height, width) of its frame.

    Raises:
        ImageError, DataError: as `load_ellipse`.
    """
    annotation = read_mask(path)
    height, width = annotation.shape
    try:
        return drawn_ellipse(annotation), (height, width)
    except ValueError as error:
        raise DataError(
            f"{path}: {error}. Correct the annotation, or leave the frame out with "
            f"`data.exclude: [{path.stem.removesuffix('_Annotation')}]`."
        ) from error


def caliper_ellipse(annotation: np.ndarray, line_px: float = ANNOTATION_LINE_PX) -> Ellipse:
    """The ellipse that an annotation was drawn along, px of the original image.

    Args:
        annotation: as of `drawn_ellipse`.
        line_px: as of `DrawnEllipse.caliper`.

    Raises:
        ValueError: as `drawn_ellipse`.
    """
    return drawn_ellipse(annotation).caliper(line_px)


def drawn_ellipse(annotation: np.ndarray) -> DrawnEllipse:
    """Fit the outer border of a drawing, and find the line of an outline.

    Args:
        annotation: uint8 (height, width), 0 outside; any one value is the drawing. Its edges may
            be soft.

    Raises:
        ValueError: nothing is drawn, what is drawn has several values, or it differs from every
            ellipse (IoU < 0.9).
    """
    if not annotation.any():
        raise ValueError("the mask is empty")
    _check_one_value(annotation)
    level = annotation.astype(np.float32) / annotation.max()
    drawn = level >= 0.5
    points = sub_pixel_contour(level)
    outer, line_px = fit_ellipse(points), None
    if drawn.sum() < 0.5 * rasterise(outer, drawn.shape).sum():
        # That fit ran along the middle of the line.
        distances = outer.distances(points)
        line_px = 2.0 * float(np.abs(distances).mean())
        outer = fit_ellipse(points[distances > 0])
        drawn = _convex_hull(drawn)
    iou = _iou(drawn, rasterise(outer, drawn.shape))
    if iou < _MIN_IOU:
        raise ValueError(
            f"not an ellipse: the best one has IoU {iou:.2f} with the drawing, "
            f"at least {_MIN_IOU} is expected"
        )
    return DrawnEllipse(outer, line_px)


def draw_annotation(
    ellipse: Ellipse, shape: tuple[int, int], filled: bool, line_px: float = ANNOTATION_LINE_PX
) -> np.ndarray:
    """The annotation of `ellipse` as HC18 draws it, uint8 (height, width) = `shape`, 0 or 255."""
    drawn = rasterise(ellipse.shrunk(-line_px / 2), shape)
    if not filled:
        drawn &= ~rasterise(ellipse.shrunk(line_px / 2), shape)
    return drawn.astype(np.uint8) * 255


def _check_one_value(annotation: np.ndarray) -> None:
    """Raise a ValueError where another value than the brightest fills a part of the drawing."""
    counts, brightest = np.bincount(annotation.ravel(), minlength=256), int(annotation.max())
    drawn = int(counts[1:].sum())
    between = np.arange(256) / brightest
    filled = (counts > _MAX_VALUE_SHARE * drawn) & (between > 0.1) & (between < 0.9)
    if filled.any():
        found = ", ".join(f"{v} ({counts[v]} px)" for v in (*np.flatnonzero(filled), brightest))
        raise ValueError(
            f"the mask holds several values beside 0: {found}; one structure in one value is "
            "expected"
        )


def _convex_hull(drawn: np.ndarray) -> np.ndarray:
    """The hull closes an outline, also one that the frame cuts open."""
    hull = cv2.convexHull(cv2.findNonZero(drawn.astype(np.uint8)))
    return cv2.fillConvexPoly(np.zeros(drawn.shape, np.uint8), hull, 1).astype(bool)


def _iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / max(1, (one | other).sum()))
