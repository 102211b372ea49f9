"""A measured head as a picture: outline, ellipse, axes, and the numbers below the image."""

from collections.abc import Iterator

import numpy as np

from fetal_tf.edge.draw.legend import Color, Entry, doubt_entries, legend_strip
from fetal_tf.edge.draw.lines import (
    TRUTH,
    caliper_line,
    enlarged,
    line_thickness,
    mask_outlines,
    polyline,
    whole_zoom,
    zoomed,
)
from fetal_tf.edge.geometry.ellipse import Ellipse
from fetal_tf.edge.measure.head import HeadMeasurement

# After Okabe and Ito's palette: told apart with every kind of colour vision, none of them gray.
ELLIPSE: Color = (86, 180, 233)
MASK: Color = (240, 228, 66)
OFD: Color = (230, 159, 0)
BPD: Color = (204, 121, 167)

_MIN_WIDTH = 560  # narrower images are enlarged, so that the legend stays readable


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
    zoom = whole_zoom(image, _MIN_WIDTH)
    canvas = enlarged(image, zoom)
    thickness = line_thickness(canvas)
    outlines = head_outlines(measurement, zoom)
    for outline in outlines:
        polyline(canvas, outline, MASK, thickness)
    if measurement.ellipse is not None:
        _draw_measured(canvas, measurement.ellipse, zoom, thickness)
    if truth is not None and truth.ellipse is not None:
        # Dashed and last, so that where both agree both are seen.
        for arc in np.array_split(zoomed(truth.ellipse.points(480), zoom), 80)[::2]:
            polyline(canvas, arc, TRUTH, thickness, closed=False)
    strip = legend_strip(canvas.shape[1], _entries(measurement, truth, bool(outlines)))
    return np.concatenate([canvas, strip])


def _draw_measured(canvas: np.ndarray, ellipse: Ellipse, zoom: int, thickness: int) -> None:
    polyline(canvas, zoomed(ellipse.points(), zoom), ELLIPSE, thickness)
    for ends, color in ((ellipse.major_endpoints, OFD), (ellipse.minor_endpoints, BPD)):
        first, last = zoomed(ends, zoom)
        caliper_line(canvas, first, last, color, thickness)


def head_outlines(measurement: HeadMeasurement, zoom: int) -> list[np.ndarray]:
    """Borders of the mask on the canvas, each (N, 2)."""
    probability, letterbox = measurement.probability, measurement.letterbox
    if probability is None or letterbox is None:
        return []
    return mask_outlines(probability, letterbox, zoom)


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
    yield from age_entries(measurement)
    centile = measurement.centile("hc")
    if centile is not None and measurement.ga_weeks is not None:
        rank = "below 1" if centile < 1 else "above 99" if centile > 99 else f"{centile:.0f}"
        yield Entry(f"HC centile {rank} at {_weeks(measurement.ga_weeks)}")
    yield from doubt_entries(measurement.notes, measurement.refused, measurement.flags)


def age_entries(measurement: HeadMeasurement) -> Iterator[Entry]:
    """Gestational age by the circumference, as far as it is known."""
    if measurement.ga_weeks_hadlock is not None:
        yield Entry(f"GA by HC {_weeks(measurement.ga_weeks_hadlock)} (Hadlock)")
    if measurement.ga_weeks_intergrowth is not None:
        yield Entry(f"{_weeks(measurement.ga_weeks_intergrowth)} (INTERGROWTH-21st)")


def _weeks(weeks: float) -> str:
    """Completed weeks and days, as obstetricians write them."""
    days = int(weeks * 7 + 1e-6)
    return f"{days // 7}w{days % 7}d"
