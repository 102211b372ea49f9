"""Picture of measured landmarks: both axes, the ellipse through their ends, and a legend."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fetal_tf.edge.draw.head_overlay import BPD, ELLIPSE, MASK, OFD, age_entries, mask_border
from fetal_tf.edge.draw.layers import TRUTH, Calipers, Outline
from fetal_tf.edge.draw.legend import ALARM, Color, Entry, doubt_entries
from fetal_tf.edge.draw.picture import Canvas, Layer, draw
from fetal_tf.edge.geometry.landmarks import AXES
from fetal_tf.edge.measure.landmark_measurement import LandmarkMeasurement

AXIS_COLORS: dict[str, Color] = {"ofd": OFD, "bpd": BPD}

_ARM = 9.0  # of a mark, in thicknesses of a line of weight 1


def draw_landmarks(
    image: np.ndarray, measurement: LandmarkMeasurement, truth: LandmarkMeasurement | None = None
) -> np.ndarray:
    """Draw both axes, the ellipse through their ends, the mask's outline, and a legend below.

    Args:
        image: the original frame, uint8 (H, W).
        measurement: of this frame. The landmarks of a refused one are marked in red.
        truth: the expert's landmarks, measured the same way: their ends and their dashed ellipse.

    Returns:
        RGB uint8 (H', W', 3), see `draw`.
    """
    layers = mask_border(measurement)
    if measurement.ellipse is not None:
        layers.append(Outline(measurement.ellipse.points(), ELLIPSE))
    if truth is not None and truth.ellipse is not None:
        layers.append(Outline(truth.ellipse.points(480), TRUTH, dashed=True))
    if measurement.points is not None:
        layers += axis_calipers(measurement.points)
    elif measurement.reading is not None:
        layers.append(_Marks(measurement.reading.points, ALARM, 2))
    if truth is not None and truth.points is not None:
        # Last, so that where both agree both are seen: a slanted cross over an upright one.
        layers.append(_Marks(truth.points, TRUTH))
    return draw(image, layers, landmark_legend(measurement, truth))


def axis_calipers(points: np.ndarray) -> list[Layer]:
    """Calipers between the ends of OFD and of BPD; points [4, 2] in the order of LANDMARKS."""
    return [Calipers(points[ends], AXIS_COLORS[axis], 2) for axis, ends in AXES.items()]


@dataclass(frozen=True)
class _Marks:
    """Slanted crosses at the known ends [4, 2], turned by 45 degrees against the calipers'."""

    points: np.ndarray
    color: Color
    weight: int = 1

    def paint(self, canvas: Canvas) -> None:
        points = canvas.place(self.points)
        for axis in AXES.values():
            along = np.diff(points[axis], axis=0)[0]
            angle = math.atan2(along[1], along[0]) if np.isfinite(along).all() else 0.0
            for end in points[axis][np.isfinite(points[axis]).all(axis=1)]:
                for turned in (angle + math.pi / 4, angle + 3 * math.pi / 4):
                    direction = np.array([math.cos(turned), math.sin(turned)])
                    arm = _ARM * canvas.thickness * direction
                    canvas.line(np.array([end - arm, end + arm]), self.color, self.weight)


def landmark_legend(
    measurement: LandmarkMeasurement, truth: LandmarkMeasurement | None = None
) -> Iterator[Entry]:
    """Entries of the legend, in reading order."""
    if measurement.ellipse is not None:
        yield Entry(f"OFD {measurement.length('ofd')}", OFD)
        yield Entry(f"BPD {measurement.length('bpd')}", BPD)
        yield Entry(f"HC {measurement.length('hc')}", ELLIPSE)
        yield Entry(f"CI {measurement.cephalic_index:.1f}")
    yield Entry("mask", MASK, if_drawn=True)
    if truth is not None and truth.ellipse is not None:
        lengths = ", ".join(f"{q.upper()} {truth.length(q)}" for q in ("ofd", "bpd", "hc"))
        yield Entry(f"expert {lengths}", TRUTH)
    yield from age_entries(measurement)
    yield from doubt_entries(measurement.notes, measurement.refused, measurement.flags)
