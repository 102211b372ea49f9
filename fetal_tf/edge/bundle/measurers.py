"""What a bundle can measure, by name; a new task adds its measurer here."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from fetal_tf.edge.draw.brain_overlay import draw_brain
from fetal_tf.edge.draw.four_chamber_overlay import draw_four_chamber
from fetal_tf.edge.draw.head_overlay import draw_head
from fetal_tf.edge.draw.landmark_overlay import draw_landmarks
from fetal_tf.edge.draw.plane_overlay import draw_plane
from fetal_tf.edge.geometry.axis import AXIS
from fetal_tf.edge.geometry.letterbox import Letterbox
from fetal_tf.edge.inference.predictor import Predictor
from fetal_tf.edge.inference.views import WithDisagreement
from fetal_tf.edge.measure import nested_probabilities as nested
from fetal_tf.edge.measure.brain import check_classes, check_settings, measure_brain
from fetal_tf.edge.measure.brain_measurement import BrainMeasurement
from fetal_tf.edge.measure.confidence import ErrorModel
from fetal_tf.edge.measure.convention import chosen_convention
from fetal_tf.edge.measure.fit_doubts import check_mm_per_pixel
from fetal_tf.edge.measure.four_chamber import CTR_FEATURES, measure_four_chamber
from fetal_tf.edge.measure.four_chamber_measurement import FourChamberMeasurement
from fetal_tf.edge.measure.head import HeadMeasurement, measure_head
from fetal_tf.edge.measure.landmark_measurement import LandmarkMeasurement, measure_landmarks
from fetal_tf.edge.measure.landmark_reading import check_classes as check_landmarks
from fetal_tf.edge.measure.plane import PlaneMeasurement, WithInput, check_plane, measure_plane
from fetal_tf.edge.measure.plane_reference import PlaneReference


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

    def prepared(self, predictor: Predictor) -> Predictor:
        """What `measure` takes the output of: the net itself, or several views through it."""
        ...

    def measure(
        self,
        probabilities: np.ndarray,
        letterbox: Letterbox,
        mm_per_pixel: float | None,
        ga_weeks: float | None = None,
    ) -> Measurement:
        """Measure probabilities float32 (h, w, K); ValueError for a senseless pixel size or age."""
        ...

    def draw(self, image: np.ndarray, measurement: Any, truth: Any = None) -> np.ndarray:
        """Picture over the gray image uint8 (H, W), RGB uint8; `truth` is another measurement."""
        ...


class HeadMeasurer:
    """Head circumference, BPD and OFD from a probability map, with maps of the axis or without."""

    def __init__(self, classes: tuple[str, ...], settings: Mapping[str, Any]):
        """Measure the first of `classes`, turned to the axis where AXIS comes behind it.

        With the settings of `fit_error_model` it also says what error to expect, with those of
        `edge.convention` it measures as the experts of a site do.

        Raises:
            ValueError: settings that it cannot use.
        """
        self._has_axis = classes[1:] == AXIS
        self._error_model = ErrorModel.of(settings)
        self._convention = chosen_convention(settings)

    def prepared(self, predictor: Predictor) -> Predictor:
        """The net itself."""
        return predictor

    def measure(
        self,
        probabilities: np.ndarray,
        letterbox: Letterbox,
        mm_per_pixel: float | None,
        ga_weeks: float | None = None,
    ) -> HeadMeasurement:
        """Measure maps float32 (h, w, K), or the mask (h, w, 1) alone; see `measure_head`."""
        axis = probabilities[..., 1:] if self._has_axis and probabilities.shape[-1] > 1 else None
        return measure_head(
            probabilities[..., 0],
            letterbox,
            mm_per_pixel,
            ga_weeks=ga_weeks,
            axis=axis,
            error_model=self._error_model,
            convention=self._convention,
        )

    def draw(
        self,
        image: np.ndarray,
        measurement: HeadMeasurement,
        truth: HeadMeasurement | None = None,
    ) -> np.ndarray:
        """Draw contour, ellipse, axes and numbers; see `draw_head`."""
        return draw_head(image, measurement, truth)


class BrainMeasurer:
    """Brain, cavum septi pellucidi and lateral ventricles from one map of exclusive classes."""

    def __init__(self, classes: tuple[str, ...], settings: Mapping[str, Any]):
        """Measure `classes` with the settings of `measure_brain`.

        Raises:
            ValueError: classes that it does not measure, settings that it cannot use.
        """
        check_classes(classes)
        check_settings(settings)
        self._classes, self._settings = classes, settings

    def prepared(self, predictor: Predictor) -> Predictor:
        """The net with the disagreement of its views as one more channel."""
        return WithDisagreement(predictor)

    def measure(
        self,
        probabilities: np.ndarray,
        letterbox: Letterbox,
        mm_per_pixel: float | None,
        ga_weeks: float | None = None,
    ) -> BrainMeasurement:
        """Measure probabilities float32 (h, w, K) or with disagreement; see `measure_brain`."""
        return measure_brain(probabilities, self._classes, letterbox, mm_per_pixel, self._settings)

    def draw(
        self,
        image: np.ndarray,
        measurement: BrainMeasurement,
        truth: BrainMeasurement | None = None,
    ) -> np.ndarray:
        """Draw structures, maps and numbers; see `draw_brain`."""
        return draw_brain(image, measurement, truth)


class FourChamberMeasurer:
    """Heart, thorax and the cardiothoracic ratio from one map, however its classes are spelt."""

    def __init__(self, classes: tuple[str, ...], settings: Mapping[str, Any]):
        """Measure `classes`; with the settings of `fit_error_model` say what error to expect.

        Raises:
            ValueError: classes that are no spelling of a four-chamber view, see `nested`; settings
                that it cannot use.
        """
        nested.check_classes(classes)
        self._classes = classes
        self._error_model = ErrorModel.of(settings, CTR_FEATURES)

    def prepared(self, predictor: Predictor) -> Predictor:
        """The net itself."""
        return predictor

    def measure(
        self,
        probabilities: np.ndarray,
        letterbox: Letterbox,
        mm_per_pixel: float | None,
        ga_weeks: float | None = None,
    ) -> FourChamberMeasurement:
        """Measure probabilities float32 (h, w, K); see `measure_four_chamber`."""
        return measure_four_chamber(
            probabilities,
            self._classes,
            letterbox,
            mm_per_pixel,
            error_model=self._error_model,
        )

    def draw(
        self,
        image: np.ndarray,
        measurement: FourChamberMeasurement,
        truth: FourChamberMeasurement | None = None,
    ) -> np.ndarray:
        """Draw both ellipses, their diameters and the ratios; see `draw_four_chamber`."""
        return draw_four_chamber(image, measurement, truth)


class LandmarkMeasurer:
    """OFD, BPD and head circumference by the four ends, from maps or from coordinates."""

    def __init__(self, classes: tuple[str, ...]):
        """Measure `classes`: the four landmarks, `head` before them where there is a mask.

        Raises:
            ValueError: they are not.
        """
        check_landmarks(classes)
        self._classes = classes

    def prepared(self, predictor: Predictor) -> Predictor:
        """The net itself."""
        return predictor

    def measure(
        self,
        probabilities: np.ndarray,
        letterbox: Letterbox,
        mm_per_pixel: float | None,
        ga_weeks: float | None = None,
    ) -> LandmarkMeasurement:
        """Measure maps float32 (h, w, K) or coordinates (4, 2); see `measure_landmarks`."""
        return measure_landmarks(
            probabilities, self._classes, letterbox, mm_per_pixel, ga_weeks=ga_weeks
        )

    def draw(
        self,
        image: np.ndarray,
        measurement: LandmarkMeasurement,
        truth: LandmarkMeasurement | None = None,
    ) -> np.ndarray:
        """Draw both axes with their ends, the ellipse and numbers; see `draw_landmarks`."""
        return draw_landmarks(image, measurement, truth)


class PlaneMeasurer:
    """Whether a frame shows the plane that an autoencoder was trained on."""

    def __init__(self, classes: tuple[str, ...], settings: Mapping[str, Any]):
        """Judge by the settings of `fit_plane`; without any there is no score.

        Raises:
            ValueError: more than the plane's name in `classes`, settings that it cannot use.
        """
        self._plane = check_plane(classes)
        self._reference = PlaneReference.of(settings)

    def prepared(self, predictor: Predictor) -> Predictor:
        """The net with the frame as one more channel."""
        return WithInput(predictor)

    def measure(
        self,
        probabilities: np.ndarray,
        letterbox: Letterbox,
        mm_per_pixel: float | None,
        ga_weeks: float | None = None,
    ) -> PlaneMeasurement:
        """Judge reconstruction and frame, float32 (h, w, 2); see `measure_plane`."""
        check_mm_per_pixel(mm_per_pixel)
        return measure_plane(probabilities, self._plane, letterbox, self._reference)

    def draw(
        self, image: np.ndarray, measurement: PlaneMeasurement, truth: Any = None
    ) -> np.ndarray:
        """Draw frame, reconstruction and difference; see `draw_plane`. There is no other truth."""
        return draw_plane(image, measurement)


# Measurement → its measurer, made from the bundle's classes and from its measurement settings: a
# JSON tree of what was fitted to data (references, thresholds), empty before anything was.
MeasurerFactory = Callable[[tuple[str, ...], Mapping[str, Any]], Measurer]
MEASURERS: Mapping[str, MeasurerFactory] = {
    "head": HeadMeasurer,
    "brain": BrainMeasurer,
    "four_chamber": FourChamberMeasurer,
    "plane": PlaneMeasurer,
    "landmarks": lambda classes, settings: LandmarkMeasurer(classes),
}
