"""Measured landmarks as a picture: both axes between their ends, the ellipse, the numbers below."""

import math
from collections.abc import Iterator

import numpy as np

from fetal_tf.edge.draw.head_overlay import BPD, ELLIPSE, MASK, OFD, age_entries, head_outlines
from fetal_tf.edge.draw.legend import ALARM, Color, Entry, doubt_entries, legend_strip
from fetal_tf.edge.draw.lines import (
    TRUTH,
    caliper_line,
    dashed_outline,
    enlarged,
    line_thickness,
    polyline,
    whole_zoom,
    zoomed,
)
from fetal_tf.edge.geometry.landmarks import AXES
from fetal_tf.edge.measure.landmark_measurement import LandmarkMeasurement

AXIS_COLORS: dict[str, Color] = {"ofd": OFD, "bpd": BPD}

_MIN_WIDTH = 560  # narrower images are enlarged, so that the legend stays readable
_ARM = 9.0  # of a mark, in thicknesses of the canvas' lines


def draw_landmarks(
    image: np.ndarray, measurement: LandmarkMeasurement, truth: LandmarkMeasurement | None = None
) -> np.ndarray:
    """Draw both axes, the ellipse through their ends, the mask's outline, and a legend strip below.

    Args:
        image: the original frame, uint8 (H, W).
        measurement: of this frame. What a refused one was refused for is marked in red.
        truth: the expert's landmarks, measured the same way: their ends and their dashed ellipse.

    Returns:
        RGB uint8 (H', W', 3), the image above the strip, so that no number hides anatomy. Images
        narrower than 560 px are enlarged by a whole factor first, up to 16 million pixels.
    """
    zoom = whole_zoom(image, _MIN_WIDTH)
    canvas = enlarged(image, zoom)
    thickness = line_thickness(canvas)
    outlines = head_outlines(measurement, zoom)
    for outline in outlines:
        polyline(canvas, outline, MASK, thickness)
    if measurement.ellipse is not None:
        polyline(canvas, zoomed(measurement.ellipse.points(), zoom), ELLIPSE, thickness)
    if truth is not None and truth.ellipse is not None:
        dashed_outline(canvas, zoomed(truth.ellipse.points(480), zoom), TRUTH, thickness)
    if measurement.points is not None:
        _draw_axes(canvas, zoomed(measurement.points, zoom), 2 * thickness)
    elif measurement.reading is not None:
        _draw_marks(canvas, zoomed(measurement.reading.points, zoom), ALARM, 2 * thickness)
    if truth is not None and truth.points is not None:
        # Last, so that where both agree both are seen: a slanted cross over an upright one.
        _draw_marks(canvas, zoomed(truth.points, zoom), TRUTH, thickness)
    strip = legend_strip(canvas.shape[1], _entries(measurement, truth, bool(outlines)))
    return np.concatenate([canvas, strip])


def _draw_axes(canvas: np.ndarray, points: np.ndarray, thickness: int) -> None:
    for axis, ends in AXES.items():
        first, last = points[ends]
        caliper_line(canvas, first, last, AXIS_COLORS[axis], thickness)


def _draw_marks(canvas: np.ndarray, points: np.ndarray, color: Color, thickness: int) -> None:
    """Slanted crosses at the known ends [4, 2], turned by 45 degrees against the calipers'."""
    arm_px = _ARM * line_thickness(canvas)
    for axis in AXES.values():
        along = np.diff(points[axis], axis=0)[0]
        angle = math.atan2(along[1], along[0]) if np.isfinite(along).all() else 0.0
        for end in points[axis][np.isfinite(points[axis]).all(axis=1)]:
            for turn in (math.pi / 4, 3 * math.pi / 4):
                arm = arm_px * np.array([math.cos(angle + turn), math.sin(angle + turn)])
                polyline(canvas, np.array([end - arm, end + arm]), color, thickness, closed=False)


def _entries(
    measurement: LandmarkMeasurement, truth: LandmarkMeasurement | None, has_mask: bool
) -> Iterator[Entry]:
    """What the legend says, in reading order."""
    if measurement.ellipse is not None:
        yield Entry(f"OFD {measurement.length('ofd')}", OFD)
        yield Entry(f"BPD {measurement.length('bpd')}", BPD)
        yield Entry(f"HC {measurement.length('hc')}", ELLIPSE)
        yield Entry(f"CI {measurement.cephalic_index:.1f}")
    if has_mask:
        yield Entry("mask", MASK)
    if truth is not None and truth.ellipse is not None:
        lengths = ", ".join(f"{q.upper()} {truth.length(q)}" for q in ("ofd", "bpd", "hc"))
        yield Entry(f"expert {lengths}", TRUTH)
    yield from age_entries(measurement)
    yield from doubt_entries(measurement.notes, measurement.refused, measurement.flags)
