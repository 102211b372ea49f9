"""The fetal head: from a probability map to circumference, diameters, age and doubts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from fetal_tf.edge.geometry.axis import read_axis, turned
from fetal_tf.edge.geometry.contours import EllipseFit, fit_mask_ellipse
from fetal_tf.edge.geometry.ellipse import Ellipse
from fetal_tf.edge.geometry.landmarks import LANDMARKS, ellipse_landmarks
from fetal_tf.edge.geometry.letterbox import Letterbox
from fetal_tf.edge.measure import clinical
from fetal_tf.edge.measure.confidence import ErrorModel, error_features, uncertain_flags
from fetal_tf.edge.measure.convention import Convention
from fetal_tf.edge.measure.fit_doubts import (
    LEVEL,
    FitLimits,
    check_mm_per_pixel,
    fit_flags,
    refusal,
)

QUANTITIES = ("hc", "bpd", "ofd")


@dataclass(frozen=True)
class HeadLimits(FitLimits):
    """When a head is refused or flagged.

    The defaults come from HC18's own masks, the same masks spoilt on purpose, and 236 held-out
    frames seen by a U-Net of Dice 0.966, of which they flag one in seven; those are 7 mm
    off in the mean, the others 2.5 mm.

    Attributes:
        min_area_share: refused below this share of the image. The smallest head in HC18 has 6 %.
        min_iou: refused below this overlap of mask and ellipse. A head cut in two by a shadow
            of a third of its width still has 0.6.
        good_iou: flagged below. HC18's own masks have at least 0.995, the U-Net's median is 0.97;
            below 0.94 its circumferences were 8 mm off in the mean.
        max_residual_percent: flagged above, root mean square distance of the contour to the
            ellipse in per cent of its mean radius. HC18's own masks stay below 0.25, the U-Net's
            median is 1.9; between 3 and 4 its circumferences were no worse than below.
        max_border_fraction: flagged above, share of the ellipse on or beyond the image's edge.
            Half a per cent of HC18's heads reach the edge at all.
        hc_mm: flagged outside. HC18 spans 44 to 346 mm, a term head has about 345.
        cephalic_index: flagged outside, three standard deviations about the mean of Hadlock 1981;
            one in a hundred of HC18's heads. Between these and one standard deviation: a note.
    """

    min_area_share: float = 0.005
    min_iou: float = 0.5
    good_iou: float = 0.94
    max_residual_percent: float = 4.0
    max_border_fraction: float = 0.02
    hc_mm: tuple[float, float] = (40.0, 400.0)
    cephalic_index: tuple[float, float] = (65.0, 92.0)


@dataclass(frozen=True)
class HeadMeasurement:
    """A measured head, or the reason why there is none.

    Attributes:
        ellipse: outer edge of the skull, or what the experts of a stated convention draw, in pixels
            of the original image; None where refused.
        mm_per_pixel: as given; without it nothing is in mm.
        ga_weeks: gestational age from elsewhere, as given; without it no z-score, no centile.
        fit_residual_percent: distance of the contour to the ellipse, in per cent of the radius.
        fit_iou: overlap of the mask and the ellipse, 0..1.
        expected_error_percent: of the circumference, see `edge.confidence`; None where no error
            model was fitted.
        error_features: what that looks at; empty where refused.
        flags: reasons to look again, each "code: sentence".
        notes: what a reader of the numbers should know; no reason to doubt the mask.
        refused: "no_head: sentence", or None.
        probability: the map (h, w) that was measured, for drawing.
        letterbox: its geometry, for drawing.
    """

    ellipse: Ellipse | None
    mm_per_pixel: float | None
    ga_weeks: float | None = None
    fit_residual_percent: float | None = None
    fit_iou: float | None = None
    expected_error_percent: float | None = None
    error_features: Mapping[str, float] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    refused: str | None = None
    probability: np.ndarray | None = field(default=None, repr=False, compare=False)
    letterbox: Letterbox | None = field(default=None, repr=False, compare=False)

    @property
    def points(self) -> np.ndarray | None:
        """The ends of OFD and BPD, float64 [4, 2] in the order of LANDMARKS; None where refused."""
        return None if self.ellipse is None else ellipse_landmarks(self.ellipse)

    @property
    def hc_px(self) -> float | None:
        """Circumference of the ellipse (Ramanujan II), px."""
        return None if self.ellipse is None else self.ellipse.perimeter

    @property
    def bpd_px(self) -> float | None:
        """Short axis of the ellipse, px."""
        return None if self.ellipse is None else 2 * self.ellipse.semi_minor

    @property
    def ofd_px(self) -> float | None:
        """Long axis of the ellipse, px."""
        return None if self.ellipse is None else 2 * self.ellipse.semi_major

    @property
    def hc_mm(self) -> float | None:
        """Head circumference, mm."""
        return self._mm(self.hc_px)

    @property
    def bpd_mm(self) -> float | None:
        """Biparietal diameter, outer to outer, mm."""
        return self._mm(self.bpd_px)

    @property
    def ofd_mm(self) -> float | None:
        """Occipitofrontal diameter, outer to outer, mm."""
        return self._mm(self.ofd_px)

    @property
    def cephalic_index(self) -> float | None:
        """100 · BPD / OFD."""
        if self.bpd_px is None or self.ofd_px is None:
            return None
        return clinical.cephalic_index(self.bpd_px, self.ofd_px)

    @property
    def ga_weeks_hadlock(self) -> float | None:
        """Age by the circumference, weeks; None outside 14 to 42."""
        return None if self.hc_mm is None else clinical.hadlock_ga_weeks_from_hc(self.hc_mm)

    @property
    def ga_weeks_hadlock_bpd(self) -> float | None:
        """Age by the biparietal diameter, weeks; None outside Hadlock's range."""
        return None if self.bpd_mm is None else clinical.hadlock_ga_weeks_from_bpd(self.bpd_mm)

    @property
    def ga_weeks_intergrowth(self) -> float | None:
        """Age by the circumference, weeks; None outside 14 to 40."""
        days = None if self.hc_mm is None else clinical.intergrowth_ga_days_from_hc(self.hc_mm)
        return None if days is None else days / 7

    def z_score(self, quantity: str) -> float | None:
        """INTERGROWTH-21st z-score of hc, bpd or ofd; None without pixel size or `ga_weeks`."""
        value_mm = {"hc": self.hc_mm, "bpd": self.bpd_mm, "ofd": self.ofd_mm}[quantity]
        if value_mm is None or self.ga_weeks is None:
            return None
        return clinical.intergrowth_reference(quantity, self.ga_weeks).z_score(value_mm)

    def centile(self, quantity: str) -> float | None:
        """INTERGROWTH-21st centile (0..100), where there is a z-score."""
        z_score = self.z_score(quantity)
        return None if z_score is None else clinical.centile(z_score)

    def headline(self) -> str:
        """Circumference and diameters for the screen; empty where refused."""
        if self.ellipse is None:
            return ""
        return ", ".join(f"{quantity.upper()} {self.length(quantity)}" for quantity in QUANTITIES)

    def length(self, quantity: str) -> str:
        """hc, bpd or ofd with its unit: mm, or px without a pixel size."""
        mm, px = getattr(self, f"{quantity}_mm"), getattr(self, f"{quantity}_px")
        return f"{px:.0f} px" if mm is None else f"{mm:.1f} mm"

    def as_record(self) -> dict[str, float | str | None]:
        """Flat row for CSV and JSON: always the same keys, units in the names, None = unknown."""
        record: dict[str, float | str | None] = {
            "hc_mm": self.hc_mm,
            "bpd_mm": self.bpd_mm,
            "ofd_mm": self.ofd_mm,
            "cephalic_index": self.cephalic_index,
            "ga_weeks_hadlock": self.ga_weeks_hadlock,
            "ga_weeks_hadlock_bpd": self.ga_weeks_hadlock_bpd,
            "ga_weeks_intergrowth": self.ga_weeks_intergrowth,
        }
        for quantity in QUANTITIES:
            record[f"{quantity}_z"] = self.z_score(quantity)
            record[f"{quantity}_centile"] = self.centile(quantity)
        points = self.points
        for index, name in enumerate(LANDMARKS):
            for axis, letter in enumerate("xy"):
                end = None if points is None else float(points[index, axis])
                record[f"{name}_{letter}_px"] = end
        return record | {
            "mm_per_pixel": self.mm_per_pixel,
            "hc_px": self.hc_px,
            "bpd_px": self.bpd_px,
            "ofd_px": self.ofd_px,
            "ellipse_center_x_px": None if self.ellipse is None else self.ellipse.center_x,
            "ellipse_center_y_px": None if self.ellipse is None else self.ellipse.center_y,
            "ellipse_angle_deg": None if self.ellipse is None else self.ellipse.angle_deg,
            "fit_residual_percent": self.fit_residual_percent,
            "fit_iou": self.fit_iou,
            "hc_expected_error_percent": self.expected_error_percent,
            "flags": "; ".join(self.flags),
            "notes": "; ".join(self.notes),
            "refused": self.refused or "",
        }

    def _mm(self, length_px: float | None) -> float | None:
        if length_px is None or self.mm_per_pixel is None:
            return None
        return length_px * self.mm_per_pixel


def measure_head(
    probability: np.ndarray,
    letterbox: Letterbox,
    mm_per_pixel: float | None,
    limits: HeadLimits = HeadLimits(),
    ga_weeks: float | None = None,
    axis: np.ndarray | None = None,
    error_model: ErrorModel | None = None,
    convention: Convention | None = None,
) -> HeadMeasurement:
    """Measure one head in a probability map float32 (h, w) of the letterboxed frame.

    Args:
        probability: the network's output for the head, 0..1; padding is ignored.
        letterbox: how the frame was fitted into the map.
        mm_per_pixel: of the original image, or None: then pixels only, never mm.
        limits: when to refuse and when to flag.
        ga_weeks: gestational age from elsewhere, 14 to 40; gives z-scores and centiles.
        axis: maps float32 (h, w, 2) of the long axis' direction, see
        `fetal_tf.edge.geometry.axis`: they
            turn the fitted ellipse.
        error_model: gives the expected error, and flags a head above its limit.
        convention: where the experts of the site put their calipers; None: on the outline that
            the net draws.

    Raises:
        ValueError: a pixel size that is not a positive number, an age outside 14 to 40 weeks, a
            map that is not of the letterbox' target size.
    """
    _check_arguments(probability, letterbox, mm_per_pixel, ga_weeks)
    content = probability[letterbox.content]
    fit = fit_mask_ellipse(content, LEVEL)
    measurement = HeadMeasurement(
        None, mm_per_pixel, ga_weeks, probability=probability, letterbox=letterbox
    )
    refused = refusal("head", content, fit, limits)
    if fit is None or refused:
        return replace(measurement, refused=refused)
    ellipse = letterbox.content_to_source(fit.ellipse)
    if axis is not None:
        # In source pixels: the two scales differ by a rounding, which turns the axes of a nearly
        # round ellipse far, and the direction that the maps show by next to nothing.
        ellipse = turned(ellipse, read_axis(axis[letterbox.content], content))
    if convention is not None:
        ellipse = convention.as_drawn(ellipse)
    features = error_features(fit, content)
    measurement = replace(
        measurement,
        ellipse=ellipse,
        fit_residual_percent=fit.residual_percent,
        fit_iou=fit.iou,
        expected_error_percent=(
            None if error_model is None else error_model.expected_error_percent(features)
        ),
        error_features=features,
    )
    return replace(
        measurement,
        flags=(
            *_flags(measurement, fit, limits),
            *uncertain_flags(features, error_model, "HC {} %"),
        ),
        notes=(
            *head_notes(measurement.cephalic_index),
            *([] if convention is None else [convention.note()]),
        ),
    )


def _check_arguments(
    probability: np.ndarray,
    letterbox: Letterbox,
    mm_per_pixel: float | None,
    ga_weeks: float | None,
) -> None:
    check_mm_per_pixel(mm_per_pixel)
    expected = (letterbox.target_height, letterbox.target_width)
    if probability.shape != expected:
        raise ValueError(f"a map {expected} (height, width) is expected, not {probability.shape}")
    if ga_weeks is not None:
        clinical.intergrowth_reference("hc", ga_weeks)


def _flags(measurement: HeadMeasurement, fit: EllipseFit, limits: HeadLimits) -> Iterator[str]:
    yield from unit_flags(measurement.hc_mm)
    yield from fit_flags(fit, limits)
    yield from size_flags(measurement.hc_mm, measurement.cephalic_index, limits)


def unit_flags(hc_mm: float | None) -> Iterator[str]:
    """The doubt about a length without a pixel size."""
    if hc_mm is None:
        yield "no_pixel_size: measured in pixels only, millimetres need mm_per_pixel"


def size_flags(
    hc_mm: float | None, cephalic_index: float | None, limits: HeadLimits
) -> Iterator[str]:
    """Doubts about a head's size and shape."""
    if hc_mm is not None and not limits.hc_mm[0] <= hc_mm <= limits.hc_mm[1]:
        yield (
            f"implausible_size: HC {hc_mm:.1f} mm, expected {limits.hc_mm[0]:g} to "
            f"{limits.hc_mm[1]:g}; is the pixel size right?"
        )
    low, high = limits.cephalic_index
    if cephalic_index is not None and not low <= cephalic_index <= high:
        yield f"unusual_shape: cephalic index {cephalic_index:.1f}, expected {low:g} to {high:g}"


def head_notes(cephalic_index: float | None) -> Iterator[str]:
    """What a reader of a head's numbers should know; no reason to doubt them."""
    low, high = clinical.CEPHALIC_INDEX_RANGE
    if cephalic_index is not None and not low <= cephalic_index <= high:
        yield (
            f"cephalic index {cephalic_index:.1f} is outside {low:g} to {high:g} (one standard "
            "deviation): BPD unreliable for dating"
        )
