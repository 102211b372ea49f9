"""Lines on a frame: the whole-factor zoom, sub-pixel polylines, dashes, calipers."""

import math
from dataclasses import replace

import cv2
import numpy as np

from fetal_tf.edge.draw.legend import Color
from fetal_tf.edge.geometry.letterbox import Letterbox
from fetal_tf.edge.measure.fit_doubts import LEVEL

# What the expert drew, in every picture: dashed, in this colour.
TRUTH: Color = (90, 225, 60)

_MAX_ENLARGED_PIXELS = 16_000_000  # unless the image itself has more
_SHIFT = 4  # fractional bits of OpenCV's drawing coordinates


def whole_zoom(image: np.ndarray, min_width: int) -> int:
    """Factor that makes a frame (H, W) at least `min_width` px wide, up to 16 million pixels."""
    height, width = image.shape
    wanted = -(-min_width // width)
    return max(1, min(wanted, math.isqrt(_MAX_ENLARGED_PIXELS // (height * width))))


def enlarged(image: np.ndarray, zoom: int) -> np.ndarray:
    """Gray frame uint8 (H, W) to a canvas of its own, RGB uint8 (zoom·H, zoom·W, 3)."""
    canvas = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    if zoom > 1:
        size = (image.shape[1] * zoom, image.shape[0] * zoom)
        canvas = cv2.resize(canvas, size, interpolation=cv2.INTER_LINEAR)
    return canvas


def line_thickness(canvas: np.ndarray) -> int:
    """Lines that survive the canvas being shrunk, px."""
    return max(1, round(canvas.shape[1] / 900))


def zoomed(points: np.ndarray, zoom: int) -> np.ndarray:
    """Points (N, 2), (x, y) with pixel centres at integers, from the frame to its canvas."""
    return (points + 0.5) * zoom - 0.5


def polyline(
    canvas: np.ndarray, points: np.ndarray, color: Color, thickness: int, closed: bool = True
) -> None:
    """Draw a line through points float (N, 2), (x, y), to a sixteenth of a pixel."""
    fixed = np.rint(points * (1 << _SHIFT)).astype(np.int32)
    cv2.polylines(canvas, [fixed], closed, color, thickness, cv2.LINE_AA, _SHIFT)


def dashed_outline(canvas: np.ndarray, points: np.ndarray, color: Color, thickness: int) -> None:
    """Draw a closed outline float (N, 2) as at least four dashes, about as long as their gaps."""
    closed = np.concatenate([points, points[:1]])
    along = np.concatenate([[0.0], np.hypot(*np.diff(closed, axis=0).T).cumsum()])
    dashes = max(4, round(along[-1] / (10 * thickness)))
    # Six pieces of a dash, so that it follows the curve, and ten of a gap: round ends fill four.
    at = np.linspace(0, along[-1], 16 * dashes + 1)
    x, y = (np.interp(at, along, closed[:, axis]) for axis in (0, 1))
    for start in range(0, 16 * dashes, 16):
        dash = np.column_stack([x, y])[start : start + 7]
        polyline(canvas, dash, color, thickness, closed=False)


def mask_outlines(probability: np.ndarray, letterbox: Letterbox, zoom: int) -> list[np.ndarray]:
    """Borders on the canvas, each (N, 2), of what a map (h, w) of the letterboxed frame holds."""
    on_canvas = replace(
        letterbox,
        source_height=letterbox.source_height * zoom,
        source_width=letterbox.source_width * zoom,
    )
    inside = on_canvas.restore(probability) >= LEVEL
    contours, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    return [contour[:, 0].astype(np.float64) for contour in contours]


def caliper_line(
    canvas: np.ndarray, first: np.ndarray, last: np.ndarray, color: Color, thickness: int
) -> None:
    """A dashed line, which hides little, between two crosses as on a scanner's screen."""
    length = float(np.linalg.norm(last - first))
    along = (last - first) / length
    dash, step = 3.0 * thickness, 9.0 * thickness
    for start in np.arange(step, length - step, step):
        ends = np.array([first + start * along, first + (start + dash) * along])
        polyline(canvas, ends, color, thickness, closed=False)
    arms = 6.0 * thickness * np.array([along, [-along[1], along[0]]])
    for end in (first, last):
        for arm in arms:
            polyline(canvas, np.array([end - arm, end + arm]), color, thickness, closed=False)
