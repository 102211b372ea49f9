"""What a bundle can measure, by name; a new task adds its measurer here."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from fetal_tf.edge.ellipse import rasterise
from fetal_tf.edge.head import HeadMeasurement, measure_head
from fetal_tf.edge.overlay import draw_head
from fetal_tf.edge.preprocess import Letterbox


class Measurement(Protocol):
    """Numbers with units, and the doubts about them."""

    @property
    def flags(self) -> tuple[str, ...]:
        """Reasons to look again, each "code: sentence with the numbers"."""
        ...

    @property
    def refused(self) -> str | None:
        """Why there is no measurement, "code: sentence", or None."""
        ...

    def headline(self) -> str:
        """The main numbers in one line for the screen; empty where refused."""
        ...

    def as_record(self) -> dict[str, float | str | None]:
        """Flat row: always the same keys, units in the names, None = unknown."""
        ...


class Measurer(Protocol):
    """From a network's output to a measurement, and from that to a picture."""

    def measure(
        self,
        probabilities: np.ndarray,
        letterbox: Letterbox,
        mm_per_pixel: float | None,
        ga_weeks: float | None = None,
    ) -> Measurement:
        """Measure probabilities float32 (h, w, K); ValueError for a senseless pixel size or age."""
        ...

    def region(self, measurement: Any, shape: tuple[int, int]) -> np.ndarray | None:
        """What the measurement covers in the original image, bool (H, W); None if refused."""
        ...

    def draw(self, image: np.ndarray, measurement: Any, truth: Any = None) -> np.ndarray:
        """Picture over the gray image uint8 (H, W), RGB uint8; `truth` is another measurement."""
        ...


class HeadMeasurer:
    """Head circumference, BPD and OFD from one probability map."""

    def measure(
        self,
        probabilities: np.ndarray,
        letterbox: Letterbox,
        mm_per_pixel: float | None,
        ga_weeks: float | None = None,
    ) -> HeadMeasurement:
        """Measure the first class of probabilities float32 (h, w, K); see `measure_head`."""
        return measure_head(probabilities[..., 0], letterbox, mm_per_pixel, ga_weeks=ga_weeks)

    def region(self, measurement: HeadMeasurement, shape: tuple[int, int]) -> np.ndarray | None:
        """Inside of the fitted ellipse, bool (H, W)."""
        return None if measurement.ellipse is None else rasterise(measurement.ellipse, shape)

    def draw(
        self,
        image: np.ndarray,
        measurement: HeadMeasurement,
        truth: HeadMeasurement | None = None,
    ) -> np.ndarray:
        """Draw contour, ellipse, axes and numbers; see `draw_head`."""
        return draw_head(image, measurement, truth)


MEASURERS: Mapping[str, Measurer] = {"head": HeadMeasurer()}
