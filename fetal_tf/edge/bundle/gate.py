"""The gate of a bundle: a second net that judges whether a frame shows the right plane."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fetal_tf.edge.bundle.measurers import Measurement, Measurer
from fetal_tf.edge.draw.legend import Entry, doubt_entries, legend_strip
from fetal_tf.edge.flag import Flag, in_words
from fetal_tf.edge.inference.predictor import Predictor
from fetal_tf.edge.measure.plane import PlaneMeasurement


@dataclass(frozen=True, repr=False)
class GatedMeasurement:
    """A measurement, and the gate's judgement of its frame.

    Attributes:
        measurement: the bundle's own, the same as without the gate.
        plane: the gate's judgement.
    """

    measurement: Measurement
    plane: PlaneMeasurement

    def __repr__(self) -> str:
        return in_words(self, self.headline())

    @property
    def flags(self) -> tuple[Flag, ...]:
        """The gate's flags come first: on a wrong plane the numbers mean nothing."""
        return (*self.plane.flags, *self.measurement.flags)

    @property
    def notes(self) -> tuple[Flag, ...]:
        return self.measurement.notes

    @property
    def refused(self) -> str | None:
        return self.measurement.refused

    def headline(self) -> str:
        """The measurement's own headline."""
        return self.measurement.headline()

    def as_record(self) -> dict[str, float | str | None]:
        """The measurement's record with both kinds of flags, and the gate's `plane_score`."""
        record = self.measurement.as_record()
        return {**record, "plane_score": self.plane.plane_score, "flags": "; ".join(self.flags)}


def with_doubts(measurement: Any, notes: tuple[Flag, ...], flags: tuple[Flag, ...]) -> Any:
    """The measurement with notes and flags of its frame before its own."""
    return replace(
        measurement,
        notes=(*notes, *measurement.notes),
        flags=(*flags, *measurement.flags),
    )


class GatedPredictor:
    """A bundle's net together with its gate.

    Attributes:
        gate_name: name of the gate, as results state it.
    """

    def __init__(
        self, predictor: Predictor, gate_name: str, judge: Callable[[np.ndarray], PlaneMeasurement]
    ):
        self._predictor, self.gate_name, self._judge = predictor, gate_name, judge
        self.input_shape = predictor.input_shape

    def predict(self, images: np.ndarray) -> np.ndarray:
        """The output of the bundle's own net; the gate plays no part."""
        return self._predictor.predict(images)

    def judge(self, image: np.ndarray) -> PlaneMeasurement:
        """Judge whether an original image, uint8 (H, W), shows the gate's plane."""
        return self._judge(image)


def gate_name(predictor: Predictor) -> str | None:
    """Name of a predictor's gate, None where there is none."""
    return predictor.gate_name if isinstance(predictor, GatedPredictor) else None


def gated(measurer: Measurer) -> Measurer:
    """The same measurer, but its pictures show the gate's flags in red."""

    def draw(image: np.ndarray, measurement: Any, truth: Any = None) -> np.ndarray:
        if not isinstance(measurement, GatedMeasurement):
            return measurer.draw(image, measurement, truth)
        picture = measurer.draw(image, measurement.measurement, truth)
        alarms = list(doubt_entries((), None, measurement.plane.flags))
        if not alarms:
            return picture
        return np.concatenate([picture, legend_strip(picture.shape[1], alarms)])

    def legend(measurement: Any) -> Iterator[Entry]:
        if isinstance(measurement, GatedMeasurement):
            yield from doubt_entries((), None, measurement.plane.flags)
            measurement = measurement.measurement
        yield from measurer.legend(measurement)

    return replace(measurer, draw=draw, legend=legend)
