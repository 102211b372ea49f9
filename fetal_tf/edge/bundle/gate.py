"""A gate in front of a measurement: another net that first asks whether the plane is right."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fetal_tf.edge.bundle.measurers import Measurement, Measurer
from fetal_tf.edge.draw.legend import ALARM, Entry, legend_strip
from fetal_tf.edge.geometry.letterbox import Letterbox
from fetal_tf.edge.inference.predictor import Predictor
from fetal_tf.edge.measure.plane import PlaneMeasurement


@dataclass(frozen=True)
class GatedMeasurement:
    """A measurement, and what the gate says of its frame.

    Attributes:
        measurement: the bundle's own, as it would be without the gate.
        plane: the gate's.
    """

    measurement: Measurement
    plane: PlaneMeasurement

    @property
    def flags(self) -> tuple[str, ...]:
        """The gate's come first: on another plane the numbers mean nothing."""
        return (*self.plane.flags, *self.measurement.flags)

    @property
    def refused(self) -> str | None:
        return self.measurement.refused

    def headline(self) -> str:
        """The measurement's own."""
        return self.measurement.headline()

    def as_record(self) -> dict[str, float | str | None]:
        """The measurement's record with both kinds of flags, and the gate's `plane_score`."""
        record = self.measurement.as_record()
        return {**record, "plane_score": self.plane.plane_score, "flags": "; ".join(self.flags)}


class GatedPredictor:
    """A bundle's net, and what the gate before it says of a frame.

    Attributes:
        gate_name: the gate's, as results state it.
    """

    def __init__(
        self, predictor: Predictor, gate_name: str, judge: Callable[[np.ndarray], PlaneMeasurement]
    ):
        self._predictor, self.gate_name, self._judge = predictor, gate_name, judge

    @property
    def input_shape(self) -> tuple[int, int, int]:
        return self._predictor.input_shape

    def predict(self, images: np.ndarray) -> np.ndarray:
        """The net's own output: the gate judges images, not this."""
        return self._predictor.predict(images)

    def judge(self, image: np.ndarray) -> PlaneMeasurement:
        """Whether an image as read, uint8 (H, W), shows the gate's plane."""
        return self._judge(image)


def gate_name(predictor: Predictor) -> str | None:
    """The name of the gate before a net, None where there is none."""
    return predictor.gate_name if isinstance(predictor, GatedPredictor) else None


class GatedMeasurer:
    """A measurer whose pictures show the gate's flags; it measures as the one that it wraps."""

    def __init__(self, measurer: Measurer):
        self._measurer = measurer

    def prepared(self, predictor: Predictor) -> Predictor:
        """As the wrapped measurer does."""
        return self._measurer.prepared(predictor)

    def measure(
        self,
        probabilities: np.ndarray,
        letterbox: Letterbox,
        mm_per_pixel: float | None,
        ga_weeks: float | None = None,
    ) -> Measurement:
        """The wrapped measurer's measurement: the gate sees frames, not this net's output."""
        return self._measurer.measure(probabilities, letterbox, mm_per_pixel, ga_weeks)

    def draw(self, image: np.ndarray, measurement: Any, truth: Any = None) -> np.ndarray:
        """The wrapped measurer's picture, the gate's flags in red below it."""
        if not isinstance(measurement, GatedMeasurement):
            return self._measurer.draw(image, measurement, truth)
        picture = self._measurer.draw(image, measurement.measurement, truth)
        alarms = [Entry(flag, color=ALARM, own_line=True) for flag in measurement.plane.flags]
        if not alarms:
            return picture
        return np.concatenate([picture, legend_strip(picture.shape[1], alarms)])
