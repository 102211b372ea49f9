"""Measure a fetal head by its four landmarks: diameters, circumference, age, flags."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from fetal_tf.edge.flag import Flag, beyond
from fetal_tf.edge.geometry.contours import EllipseFit, fit_mask_ellipse
from fetal_tf.edge.geometry.landmarks import AXES, landmark_ellipse
from fetal_tf.edge.geometry.letterbox import Letterbox
from fetal_tf.edge.measure import clinical
from fetal_tf.edge.measure.fit_doubts import LEVEL, check_mm_per_pixel, fit_flags, refusal
from fetal_tf.edge.measure.head import (
    HeadMeasurement,
    age_notes,
    head_notes,
    size_flags,
    unit_flags,
)
from fetal_tf.edge.measure.landmark_doubts import (
    LandmarkLimits,
    geometry_flags,
    landmark_refusal,
    mask_difference_percent,
    off_middle_percent,
    skew_deg,
)
from fetal_tf.edge.measure.landmark_reading import Reading, read_landmarks

_LIMITS = LandmarkLimits()


@dataclass(frozen=True, repr=False)
class LandmarkMeasurement(HeadMeasurement):
    """A head measured between its landmarks, or the reason why it was refused.

    OFD and BPD are the distances between their ends; HC is the perimeter of the ellipse through all
    four (see `landmark_ellipse`). There are no caliper conventions here: lengths and ages come from
    the same points. `probability`, `fit_iou` and `fit_residual_percent` belong to the mask, where
    the net has one.

    Attributes:
        ends: (x, y) of LANDMARKS in pixels of the original image, in the net's order: the first end
            need not be the left one. None where refused.
        lowest_peak: height of the lowest peak, 0..1; None for coordinates.
        mask_difference_percent: see `landmark_doubts.mask_difference_percent`; None without a mask.
        reading: the net's landmarks, for drawing and scoring also where refused.
    """

    ends: tuple[tuple[float, float], ...] | None = None
    lowest_peak: float | None = None
    mask_difference_percent: float | None = None
    reading: Reading | None = field(default=None, repr=False, compare=False)

    @property
    def points(self) -> np.ndarray | None:
        """The ends as float64 [4, 2]; None where refused."""
        return None if self.ends is None else np.array(self.ends)

    @property
    def bpd_px(self) -> float | None:
        """Distance of the BPD's ends, px."""
        return self._between("bpd")

    @property
    def ofd_px(self) -> float | None:
        """Distance of the OFD's ends, px."""
        return self._between("ofd")

    def as_record(self) -> dict[str, float | str | None]:
        """The row of `HeadMeasurement`, and figures about the quality of the ends."""
        points = self.points
        return super().as_record() | {
            "lowest_peak": self.lowest_peak,
            "axes_skew_deg": None if points is None else skew_deg(points),
            "axes_off_middle_percent": (
                None if points is None else max(off_middle_percent(points).values())
            ),
            "mask_difference_percent": self.mask_difference_percent,
        }

    def _between(self, axis: str) -> float | None:
        points = self.points
        if points is None:
            return None
        return float(np.hypot(*np.diff(points[AXES[axis]], axis=0)[0]))


def measure_landmarks(
    output: np.ndarray,
    classes: tuple[str, ...],
    letterbox: Letterbox,
    mm_per_pixel: float | None,
    limits: LandmarkLimits = _LIMITS,
    ga_weeks: float | None = None,
) -> LandmarkMeasurement:
    """Measure one head by the landmarks in a network's output.

    Args:
        output: maps float32 [h, w, K] in 0..1 or coordinates [4, 2], see `read_landmarks`.
        classes: the four LANDMARKS, `head` before them where the net has a mask too. The mask is
            only compared with the landmarks.
        letterbox: how the frame was fitted into the net's.
        mm_per_pixel: of the original image, or None: then pixels only, never mm.
        limits: when to refuse and when to flag.
        ga_weeks: gestational age from dates or an early scan, 14 to 40; gives z-scores and
            centiles.

    Raises:
        ValueError: a pixel size that is not a positive number, an age outside 14 to 40 weeks, other
            classes, an output of another shape.
    """
    check_mm_per_pixel(mm_per_pixel)
    if ga_weeks is not None:
        clinical.intergrowth_reference("hc", ga_weeks)
    return measure_reading(
        read_landmarks(output, classes, letterbox), letterbox, mm_per_pixel, limits, ga_weeks
    )


def measure_reading(
    reading: Reading,
    letterbox: Letterbox,
    mm_per_pixel: float | None,
    limits: LandmarkLimits = _LIMITS,
    ga_weeks: float | None = None,
) -> LandmarkMeasurement:
    """Measure landmarks in pixels of the original image, such as an expert's."""
    points, peaks = reading.points, reading.peaks
    measurement = LandmarkMeasurement(
        None,
        mm_per_pixel,
        ga_weeks,
        probability=reading.mask,
        letterbox=letterbox,
        lowest_peak=None if peaks is None else float(peaks.min()),
        reading=reading,
    )
    refused = landmark_refusal(points, peaks, letterbox.region, limits)
    if refused:
        return replace(measurement, refused=refused)
    measurement = replace(
        measurement,
        ellipse=landmark_ellipse(points),
        ends=tuple((float(x), float(y)) for x, y in points),
    )
    doubts = (
        *unit_flags(measurement.mm_per_pixel),
        *size_flags(measurement.hc_mm, measurement.cephalic_index, limits),
        *geometry_flags(points, peaks, letterbox, limits),
    )
    measurement = replace(
        measurement,
        flags=doubts,
        notes=(*head_notes(measurement.cephalic_index), *age_notes(measurement)),
    )
    return measurement if reading.mask is None else _compared(measurement, reading.mask, limits)


def _compared(
    measurement: LandmarkMeasurement, mask: np.ndarray, limits: LandmarkLimits
) -> LandmarkMeasurement:
    """Compare the measurement with the head's mask [h, w] of the letterboxed frame."""
    letterbox, points = measurement.letterbox, measurement.points
    assert letterbox is not None and points is not None
    content = mask[letterbox.content]
    fit = fit_mask_ellipse(content, LEVEL)
    no_mask = refusal("head", content, fit, limits)
    if fit is None or no_mask:
        why = no_mask.message if no_mask else "no outline"
        flag = Flag("mask_disagrees", f"the four ends have no mask beside them: {why}")
        return replace(measurement, flags=(*measurement.flags, flag))
    difference = mask_difference_percent(points, letterbox.content_to_source(fit.ellipse))
    return replace(
        measurement,
        fit_residual_percent=fit.residual_percent,
        fit_iou=fit.iou,
        mask_difference_percent=difference,
        flags=(*measurement.flags, *_mask_flags(fit, difference, limits)),
    )


def _mask_flags(fit: EllipseFit, difference: float, limits: LandmarkLimits) -> Iterator[Flag]:
    yield from fit_flags(fit, limits)
    if difference > limits.max_mask_difference_percent:
        found, limit = beyond(difference, limits.max_mask_difference_percent)
        yield Flag(
            "mask_disagrees",
            f"the ellipse of the mask and the four ends differ by {found} % (limit {limit})",
        )
