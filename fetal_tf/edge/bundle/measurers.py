"""All measurers by name; a new kind of measurement is added here."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from fetal_tf.edge.draw.brain_overlay import brain_legend, draw_brain
from fetal_tf.edge.draw.four_chamber_overlay import draw_four_chamber, four_chamber_legend
from fetal_tf.edge.draw.head_overlay import draw_head, head_legend
from fetal_tf.edge.draw.landmark_overlay import draw_landmarks, landmark_legend
from fetal_tf.edge.draw.legend import Entry
from fetal_tf.edge.draw.plane_overlay import draw_plane, plane_legend
from fetal_tf.edge.flag import Flag
from fetal_tf.edge.geometry.axis import AXIS
from fetal_tf.edge.geometry.letterbox import Letterbox
from fetal_tf.edge.inference.predictor import Predictor
from fetal_tf.edge.inference.views import WithDisagreement
from fetal_tf.edge.measure import nested_probabilities as nested
from fetal_tf.edge.measure.brain import BRAIN_SETTINGS, check_classes, check_settings, measure_brain
from fetal_tf.edge.measure.confidence import ERROR_SETTINGS, ErrorModel
from fetal_tf.edge.measure.convention import chosen_convention
from fetal_tf.edge.measure.fit_doubts import check_mm_per_pixel
from fetal_tf.edge.measure.four_chamber import CTR_FEATURES, measure_four_chamber
from fetal_tf.edge.measure.head import HeadMeasurement, measure_head
from fetal_tf.edge.measure.landmark_measurement import measure_landmarks
from fetal_tf.edge.measure.landmark_reading import check_classes as check_landmarks
from fetal_tf.edge.measure.plane import PlaneMeasurement, WithInput, check_plane, measure_plane
from fetal_tf.edge.measure.plane_reference import PLANE_SETTINGS, PlaneReference


class Measurement(Protocol):
    """What was measured in one frame: numbers with units, and flags that question them."""

    @property
    def flags(self) -> tuple[Flag, ...]:
        """Reasons to look again, with the numbers."""
        ...

    @property
    def notes(self) -> tuple[Flag, ...]:
        """Remarks that are no reason to doubt the measurement."""
        ...

    @property
    def refused(self) -> str | None:
        """Why there is no measurement, "code: sentence", or None."""
        ...

    def headline(self) -> str:
        """The main numbers in one line for the screen; empty where refused."""
        ...

    def as_record(self) -> dict[str, float | str | None]:
        """Flat record for tables: always the same keys, units in the names, None = unknown."""
        ...


class MeasureOutput(Protocol):
    """How a measurer measures one output of a network."""

    def __call__(
        self,
        probabilities: np.ndarray,
        letterbox: Letterbox,
        mm_per_pixel: float | None,
        ga_weeks: float | None = None,
        /,
    ) -> Measurement:
        """Measure probabilities float32 (h, w, K); ValueError for a senseless pixel size or age."""
        ...


class DrawMeasurement(Protocol):
    """How a measurer draws a measurement of its own kind."""

    def __call__(self, image: np.ndarray, measurement: Any, truth: Any = None) -> np.ndarray:
        """Picture over the gray image uint8 (H, W), RGB uint8; `truth` is another measurement."""
        ...


@dataclass(frozen=True)
class Measurer:
    """From a network's output to a measurement, and from that to a picture.

    Attributes:
        measure: an output and its letterbox to a measurement.
        draw: that measurement over its image, to a picture.
        legend: what the picture says below, which is what a screen says too.
        prepared: the net to what `measure` takes the output of: the net itself, or the net with
            further channels.
    """

    measure: MeasureOutput
    draw: DrawMeasurement
    legend: Callable[[Any], Iterable[Entry]]
    prepared: Callable[[Predictor], Predictor] = lambda predictor: predictor


def _head(classes: tuple[str, ...], settings: Mapping[str, Any]) -> Measurer:
    """Head circumference, BPD and OFD from the head's map, with maps of its axis or without.

    With the settings of `fit_error_model` it also says what error to expect. With those of
    `edge.measure.convention` it measures as the experts of a site do.
    """
    if classes not in (("head",), ("head", *AXIS)):
        raise ValueError(
            f"classes {', '.join(classes)}: a head is measured in the map head, alone or with "
            f"{' and '.join(AXIS)} behind it"
        )
    has_axis = classes[1:] == AXIS
    error_model, convention = ErrorModel.of(settings), chosen_convention(settings)

    def measure(
        probabilities: np.ndarray,
        letterbox: Letterbox,
        mm_per_pixel: float | None,
        ga_weeks: float | None = None,
        /,
    ) -> HeadMeasurement:
        return measure_head(
            probabilities[..., 0],
            letterbox,
            mm_per_pixel,
            ga_weeks=ga_weeks,
            axis=probabilities[..., 1:] if has_axis and probabilities.shape[-1] > 1 else None,
            error_model=error_model,
            convention=convention,
        )

    return Measurer(measure, draw_head, head_legend)


def _brain(classes: tuple[str, ...], settings: Mapping[str, Any]) -> Measurer:
    """Brain, cavum septi pellucidi and lateral ventricles from one map of exclusive classes.

    Its net gets the disagreement of several views of the frame as one more channel.
    """
    check_classes(classes)
    check_settings(settings)
    return Measurer(
        lambda maps, box, mm, ga=None: measure_brain(maps, classes, box, mm, settings),
        draw_brain,
        brain_legend,
        WithDisagreement,
    )


def _four_chamber(classes: tuple[str, ...], settings: Mapping[str, Any]) -> Measurer:
    """Heart, thorax and the cardiothoracic ratio, in any of the spellings of `nested`.

    With the settings of `fit_error_model` it also says what error to expect.
    """
    nested.check_classes(classes)
    model = ErrorModel.of(settings, CTR_FEATURES)
    return Measurer(
        lambda maps, box, mm, ga=None: measure_four_chamber(
            maps, classes, box, mm, error_model=model
        ),
        draw_four_chamber,
        four_chamber_legend,
    )


def _landmarks(classes: tuple[str, ...], settings: Mapping[str, Any]) -> Measurer:
    """OFD, BPD and head circumference by the four ends, from maps or coordinates (4, 2)."""
    check_landmarks(classes)
    return Measurer(
        lambda maps, box, mm, ga=None: measure_landmarks(maps, classes, box, mm, ga_weeks=ga),
        draw_landmarks,
        landmark_legend,
    )


def _plane(classes: tuple[str, ...], settings: Mapping[str, Any]) -> Measurer:
    """Whether a frame shows the plane that an autoencoder was trained on.

    Its net gets the frame as one more channel. Without the settings of `fit_plane` there is no
    score.
    """
    plane, reference = check_plane(classes), PlaneReference.of(settings)

    def measure(
        probabilities: np.ndarray,
        letterbox: Letterbox,
        mm_per_pixel: float | None,
        ga_weeks: float | None = None,
        /,
    ) -> PlaneMeasurement:
        check_mm_per_pixel(mm_per_pixel)
        return measure_plane(probabilities, plane, letterbox, reference)

    return Measurer(measure, draw_plane, plane_legend, WithInput)


@dataclass(frozen=True)
class Kind:
    """A kind of measurement: called with classes and settings, it makes its measurer.

    Settings are a JSON tree of what was fitted to data (references, thresholds), empty before
    anything was.

    Attributes:
        build: makes the measurer; ValueError for classes or settings that it cannot use.
        settings: keys that it knows. Another one may change a number in a way unknown here.
    """

    build: Callable[[tuple[str, ...], Mapping[str, Any]], Measurer]
    settings: Sequence[str]

    def __call__(self, classes: tuple[str, ...], settings: Mapping[str, Any]) -> Measurer:
        """Make the measurer; ValueError for classes or settings that it cannot use."""
        unknown = [str(key) for key in settings if key not in self.settings]
        if unknown:
            known = ", ".join(self.settings) or "none"
            raise ValueError(f"settings {', '.join(unknown)}: unknown here; known: {known}")
        return self.build(classes, settings)


MEASURERS: Mapping[str, Kind] = {
    "head": Kind(_head, (*ERROR_SETTINGS, "conventions", "convention")),
    "brain": Kind(_brain, BRAIN_SETTINGS),
    "four_chamber": Kind(_four_chamber, ERROR_SETTINGS),
    "plane": Kind(_plane, PLANE_SETTINGS),
    "landmarks": Kind(_landmarks, ()),
}
