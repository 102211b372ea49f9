"""Picture of a measured head: mask, ellipse, axes, and a legend with the numbers."""

from collections.abc import Iterator

import numpy as np

from fetal_tf.edge.draw.layers import TRUTH, Calipers, MapBorder, Outline
from fetal_tf.edge.draw.legend import Color, Entry, doubt_entries
from fetal_tf.edge.draw.picture import Layer, draw
from fetal_tf.edge.measure.head import HeadMeasurement

# From Okabe and Ito's palette: distinct with every kind of colour vision, none of them gray.
ELLIPSE: Color = (86, 180, 233)
MASK: Color = (240, 228, 66)
OFD: Color = (230, 159, 0)
BPD: Color = (204, 121, 167)


def draw_head(
    image: np.ndarray, measurement: HeadMeasurement, truth: HeadMeasurement | None = None
) -> np.ndarray:
    """Draw the mask's outline, the ellipse, its axes and a legend below the image.

    Args:
        image: the original frame, uint8 (H, W).
        measurement: of this frame.
        truth: the expert's annotation, measured the same way; drawn and named beside it.

    Returns:
        RGB uint8 (H', W', 3), see `draw`.
    """
    layers = mask_border(measurement)
    if measurement.ellipse is not None:
        ellipse = measurement.ellipse
        layers += [
            Outline(ellipse.points(), ELLIPSE),
            Calipers(ellipse.major_endpoints, OFD),
            Calipers(ellipse.minor_endpoints, BPD),
        ]
    if truth is not None and truth.ellipse is not None:
        # Dashed and last, so that where both agree both are seen.
        arcs = np.array_split(truth.ellipse.points(480), 80)[::2]
        layers += [Outline(arc, TRUTH, closed=False) for arc in arcs]
    return draw(image, layers, head_legend(measurement, truth))


def mask_border(measurement: HeadMeasurement) -> list[Layer]:
    """The border of the head's mask; no layer where there is no mask."""
    probability, letterbox = measurement.probability, measurement.letterbox
    if probability is None or letterbox is None:
        return []
    return [MapBorder(probability, letterbox, MASK)]


def head_legend(
    measurement: HeadMeasurement, truth: HeadMeasurement | None = None
) -> Iterator[Entry]:
    """Entries of the legend, in reading order."""
    if measurement.ellipse is not None:
        yield Entry(f"HC {measurement.length('hc')}", ELLIPSE)
        yield Entry(f"OFD {measurement.length('ofd')}", OFD)
        yield Entry(f"BPD {measurement.length('bpd')}", BPD)
        yield Entry(f"CI {measurement.cephalic_index:.1f}")
    yield Entry("mask", MASK, if_drawn=True)
    if truth is not None and truth.ellipse is not None:
        yield Entry(f"expert HC {truth.length('hc')}", TRUTH)
    yield from age_entries(measurement)
    centile = measurement.centile("hc")
    if centile is not None and measurement.ga_weeks is not None:
        rank = "below 1" if centile < 1 else "above 99" if centile > 99 else f"{centile:.0f}"
        yield Entry(f"HC centile {rank} at {_weeks(measurement.ga_weeks)}")
    if measurement.expected_error_percent is not None:
        yield Entry(f"expected error of HC {measurement.expected_error_percent:.1f} %")
    yield from doubt_entries(measurement.notes, measurement.refused, measurement.flags)


def age_entries(measurement: HeadMeasurement) -> Iterator[Entry]:
    """Gestational age by the circumference, where it is known."""
    if measurement.ga_weeks_hadlock is not None:
        yield Entry(f"GA by HC {_weeks(measurement.ga_weeks_hadlock)} (Hadlock)")
    if measurement.ga_weeks_intergrowth is not None:
        yield Entry(f"{_weeks(measurement.ga_weeks_intergrowth)} (INTERGROWTH-21st)")


def _weeks(weeks: float) -> str:
    """Completed weeks and days as obstetricians write them, such as 20w3d."""
    days = int(weeks * 7 + 1e-6)
    return f"{days // 7}w{days % 7}d"
