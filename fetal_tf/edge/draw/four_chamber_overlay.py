"""A measured four-chamber view as a picture: both outlines, both diameters, the ratios below."""

from collections.abc import Iterator, Mapping

import numpy as np

from fetal_tf.edge.draw.legend import Color, Entry, doubt_entries, legend_strip
from fetal_tf.edge.draw.lines import (
    TRUTH,
    caliper_line,
    dashed_outline,
    enlarged,
    line_thickness,
    mask_outlines,
    polyline,
    whole_zoom,
    zoomed,
)
from fetal_tf.edge.measure.four_chamber_measurement import FourChamberMeasurement

# After Okabe and Ito's palette: of its colours on gray these three stay furthest apart with every
# kind of colour vision. The expert's outline is told by its dashes.
STRUCTURE_COLORS: Mapping[str, Color] = {"thorax": (86, 180, 233), "heart": (213, 94, 0)}
MASK: Color = (240, 228, 66)

_MIN_WIDTH = 560  # narrower images are enlarged, so that the legend stays readable


def draw_four_chamber(
    image: np.ndarray,
    measurement: FourChamberMeasurement,
    truth: FourChamberMeasurement | None = None,
) -> np.ndarray:
    """Draw both ellipses with their short axes, the masks' outlines and a legend strip below.

    Args:
        image: the original frame, uint8 (H, W).
        measurement: of this frame.
        truth: the expert's ellipses; dashed in the picture, named in the legend.

    Returns:
        RGB uint8 (H', W', 3), the image above the strip, so that no number hides anatomy. Images
        narrower than 560 px are enlarged by a whole factor first, up to 16 million pixels.
    """
    zoom = whole_zoom(image, _MIN_WIDTH)
    canvas = enlarged(image, zoom)
    thickness = line_thickness(canvas)
    outlines = _outlines(measurement, zoom)
    for outline in outlines:
        polyline(canvas, outline, MASK, thickness)
    for structure, color in STRUCTURE_COLORS.items():
        ellipse = measurement.ellipse(structure)
        if ellipse is not None:
            polyline(canvas, zoomed(ellipse.points(), zoom), color, 2 * thickness)
            first, last = zoomed(ellipse.minor_endpoints, zoom)
            caliper_line(canvas, first, last, color, 2 * thickness)
    if truth is not None:
        # Dashed and last, so that where both agree both are seen.
        for structure in STRUCTURE_COLORS:
            ellipse = truth.ellipse(structure)
            if ellipse is not None:
                dashed_outline(canvas, zoomed(ellipse.points(), zoom), TRUTH, 2 * thickness)
    strip = legend_strip(canvas.shape[1], _entries(measurement, truth, bool(outlines)))
    return np.concatenate([canvas, strip])


def _outlines(measurement: FourChamberMeasurement, zoom: int) -> list[np.ndarray]:
    """Borders of both masks on the canvas, each (N, 2)."""
    letterbox = measurement.letterbox
    if letterbox is None:
        return []
    maps = measurement.probabilities.values()
    return [line for values in maps for line in mask_outlines(values, letterbox, zoom)]


def _entries(
    measurement: FourChamberMeasurement, truth: FourChamberMeasurement | None, has_mask: bool
) -> Iterator[Entry]:
    """What the legend says, in reading order."""
    if measurement.ctr_diameter_percent is not None:
        yield Entry(measurement.headline(), own_line=True)
    for structure, color in STRUCTURE_COLORS.items():
        axes = measurement.axes(structure)
        if axes:
            yield Entry(f"{structure} {axes}", color)
    if has_mask:
        yield Entry("mask", MASK)
    if truth is not None:
        yield Entry(f"expert (dashed): {truth.headline() or truth.refused}", TRUTH)
    yield from doubt_entries(measurement.notes, measurement.refused, measurement.flags)
