"""Picture of a measured four-chamber view: ellipses, diameters, and a legend with the ratios."""

from collections.abc import Iterator, Mapping

import numpy as np

from fetal_tf.edge.draw.layers import TRUTH, Calipers, MapBorder, Outline
from fetal_tf.edge.draw.legend import Color, Entry, doubt_entries
from fetal_tf.edge.draw.picture import Layer, draw
from fetal_tf.edge.measure.four_chamber_measurement import FourChamberMeasurement

# From Okabe and Ito's palette: on gray, these three of its colours stay furthest apart with every
# kind of colour vision. The expert's outline is recognised by its dashes.
STRUCTURE_COLORS: Mapping[str, Color] = {"thorax": (86, 180, 233), "heart": (213, 94, 0)}
MASK: Color = (240, 228, 66)


def draw_four_chamber(
    image: np.ndarray,
    measurement: FourChamberMeasurement,
    truth: FourChamberMeasurement | None = None,
) -> np.ndarray:
    """Draw both ellipses with their short axes, the masks' outlines and a legend below.

    Args:
        image: the original frame, uint8 (H, W).
        measurement: of this frame.
        truth: the expert's ellipses; dashed in the picture, named in the legend.

    Returns:
        RGB uint8 (H', W', 3), see `draw`.
    """
    layers: list[Layer] = []
    if measurement.letterbox is not None:
        for values in measurement.probabilities.values():
            layers.append(MapBorder(values, measurement.letterbox, MASK))
    for structure, color in STRUCTURE_COLORS.items():
        ellipse = measurement.ellipse(structure)
        if ellipse is not None:
            layers.append(Outline(ellipse.points(), color, 2))
            layers.append(Calipers(ellipse.minor_endpoints, color, 2))
    for structure in STRUCTURE_COLORS:
        # Dashed and last, so that where both agree both are seen.
        expert = truth.ellipse(structure) if truth is not None else None
        if expert is not None:
            layers.append(Outline(expert.points(), TRUTH, 2, dashed=True))
    return draw(image, layers, four_chamber_legend(measurement, truth))


def four_chamber_legend(
    measurement: FourChamberMeasurement, truth: FourChamberMeasurement | None = None
) -> Iterator[Entry]:
    """Entries of the legend, in reading order."""
    if measurement.ctr_diameter_percent is not None:
        yield Entry(measurement.headline(), own_line=True)
    for structure, color in STRUCTURE_COLORS.items():
        axes = measurement.axes(structure)
        if axes:
            yield Entry(f"{structure} {axes}", color)
    yield Entry("mask", MASK, if_drawn=True)
    if truth is not None:
        yield Entry(f"expert (dashed): {truth.headline() or truth.refused}", TRUTH)
    if measurement.expected_error_percent is not None:
        yield Entry(f"expected error of the CTR {measurement.expected_error_percent:.1f} pp")
    yield from doubt_entries(measurement.notes, measurement.refused, measurement.flags)
