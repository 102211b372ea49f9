"""A measured head as a picture: outline, ellipse, axes, and the numbers below the image."""

import math
from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np

from fetal_tf.edge.ellipse import Ellipse
from fetal_tf.edge.head import LEVEL, HeadMeasurement
from fetal_tf.edge.legend import ALARM, Color, Entry, legend_strip

# After Okabe and Ito's palette: told apart with every kind of colour vision, none of them gray.
ELLIPSE: Color = (86, 180, 233)
MASK: Color = (240, 228, 66)
OFD: Color = (230, 159, 0)
BPD: Color = (204, 121, 167)
TRUTH: Color = (90, 225, 60)

_MIN_WIDTH = 560  # narrower images are enlarged, so that the legend stays readable
_MAX_ENLARGED_PIXELS = 16_000_000  # unless the image itself has more
_SHIFT = 4  # fractional bits of OpenCV's drawing coordinates


def draw_head(
    image: np.ndarray, measurement: HeadMeasurement, truth: HeadMeasurement | None = None
) -> np.ndarray:
    """Draw the mask's outline, the ellipse, its axes and a legend strip below the image.

    Args:
        image: the original frame, uint8 (H, W).
        measurement: of this frame.
        truth: the expert's annotation, measured the same way; drawn and named beside it.

    Returns:
        RGB uint8 (H', W, 3), the image above the strip, so that no number hides anatomy. Images
        narrower than 560 px are enlarged by a whole factor first, up to 16 million pixels.
    """
    zoom = _zoom(*image.shape)
    canvas = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    if zoom > 1:
        size = (image.shape[1] * zoom, image.shape[0] * zoom)
        canvas = cv2.resize(canvas, size, interpolation=cv2.INTER_LINEAR)
    thickness = max(1, round(canvas.shape[1] / 900))
    outlines = _outlines(measurement, zoom)
    for outline in outlines:
        _polyline(canvas, outline, MASK, thickness)
    if measurement.ellipse is not None:
        _draw_measured(canvas, measurement.ellipse, zoom, thickness)
    if truth is not None and truth.ellipse is not None:
        # Dashed and last, so that where both agree both are seen.
        for arc in np.array_split(_zoomed(truth.ellipse.points(480), zoom), 80)[::2]:
            _polyline(canvas, arc, TRUTH, thickness, closed=False)
    strip = legend_strip(canvas.shape[1], _entries(measurement, truth, bool(outlines)))
    return np.concatenate([canvas, strip])


def _zoom(height: int, width: int) -> int:
    wanted = -(-_MIN_WIDTH // width)
    return max(1, min(wanted, math.isqrt(_MAX_ENLARGED_PIXELS // (height * width))))


def _draw_measured(canvas: np.ndarray, ellipse: Ellipse, zoom: int, thickness: int) -> None:
    _polyline(canvas, _zoomed(ellipse.points(), zoom), ELLIPSE, thickness)
    for ends, color in ((ellipse.major_endpoints, OFD), (ellipse.minor_endpoints, BPD)):
        first, last = _zoomed(ends, zoom)
        _caliper_line(canvas, first, last, color, thickness)


def _outlines(measurement: HeadMeasurement, zoom: int) -> list[np.ndarray]:
    """Borders of the mask on the canvas, each (N, 2)."""
    probability, letterbox = measurement.probability, measurement.letterbox
    if probability is None or letterbox is None:
        return []
    on_canvas = replace(
        letterbox,
        source_height=letterbox.source_height * zoom,
        source_width=letterbox.source_width * zoom,
    )
    inside = on_canvas.restore(probability) >= LEVEL
    contours, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    return [contour[:, 0].astype(np.float64) for contour in contours]


def _zoomed(points: np.ndarray, zoom: int) -> np.ndarray:
    return (points + 0.5) * zoom - 0.5


def _polyline(
    canvas: np.ndarray, points: np.ndarray, color: Color, thickness: int, closed: bool = True
) -> None:
    fixed = np.rint(points * (1 << _SHIFT)).astype(np.int32)
    cv2.polylines(canvas, [fixed], closed, color, thickness, cv2.LINE_AA, _SHIFT)


def _caliper_line(
    canvas: np.ndarray, first: np.ndarray, last: np.ndarray, color: Color, thickness: int
) -> None:
    """A dashed line, which hides little, between two crosses as on a scanner's screen."""
    length = float(np.linalg.norm(last - first))
    along = (last - first) / length
    dash, step = 3.0 * thickness, 9.0 * thickness
    for start in np.arange(step, length - step, step):
        ends = np.array([first + start * along, first + (start + dash) * along])
        _polyline(canvas, ends, color, thickness, closed=False)
    arms = 6.0 * thickness * np.array([along, [-along[1], along[0]]])
    for end in (first, last):
        for arm in arms:
            _polyline(canvas, np.array([end - arm, end + arm]), color, thickness, closed=False)


def _entries(
    measurement: HeadMeasurement, truth: HeadMeasurement | None, has_mask: bool
) -> Iterator[Entry]:
    """What the legend says, in reading order."""
    if measurement.ellipse is not None:
        yield Entry(f"HC {measurement.length('hc')}", ELLIPSE)
        yield Entry(f"OFD {measurement.length('ofd')}", OFD)
        yield Entry(f"BPD {measurement.length('bpd')}", BPD)
        yield Entry(f"CI {measurement.cephalic_index:.1f}")
    if has_mask:
        yield Entry("mask", MASK)
    if truth is not None and truth.ellipse is not None:
        yield Entry(f"expert HC {truth.length('hc')}", TRUTH)
    if measurement.ga_weeks_hadlock is not None:
        yield Entry(f"GA by HC {_weeks(measurement.ga_weeks_hadlock)} (Hadlock)")
    if measurement.ga_weeks_intergrowth is not None:
        yield Entry(f"{_weeks(measurement.ga_weeks_intergrowth)} (INTERGROWTH-21st)")
    centile = measurement.centile("hc")
    if centile is not None and measurement.ga_weeks is not None:
        rank = "below 1" if centile < 1 else "above 99" if centile > 99 else f"{centile:.0f}"
        yield Entry(f"HC centile {rank} at {_weeks(measurement.ga_weeks)}")
    for note in measurement.notes:
        yield Entry(f"note: {note}", own_line=True)
    if measurement.refused:
        yield Entry(measurement.refused, color=ALARM, own_line=True)
    for flag in measurement.flags:
        yield Entry(flag, color=ALARM, own_line=True)


def _weeks(weeks: float) -> str:
    """Completed weeks and days, as obstetricians write them."""
    days = int(weeks * 7 + 1e-6)
    return f"{days // 7}w{days % 7}d"
