"""Measure a fetal head in a probability map: circumference, diameters, age, flags."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from fetal_tf.edge.flag import Flag, beyond, in_words, outside
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

    The defaults were set on HC18's masks, on copies of them with added defects, and on the
    predictions of a U-Net (Dice 0.966) for 236 held-out frames. They flag one in seven of those
    frames. Flagged ones have a mean error of 7 mm, the others of 2.5 mm.

    Attributes:
        min_area_share: refused below this share of the image. The smallest head in HC18 has 6 %.
        min_iou: refused below this IoU of mask and ellipse. A head that a shadow of a third of its
            width cuts in two still has 0.6.
        good_iou: flagged below. HC18's masks have at least 0.995, the U-Net's median is 0.97; below
            0.94 the mean error of HC was 8 mm.
        max_residual_percent: flagged above, root mean square distance of the contour to the
            ellipse in per cent of its mean radius. HC18's masks stay below 0.25, the U-Net's
            median is 1.9; between 3 and 4 the error of HC was no larger than below 3.
        max_border_fraction: flagged above, share of the ellipse on or beyond the image's edge.
            0.5 % of HC18's heads reach the edge.
        small_area_share: flagged below this share of the picture. As this package's net measures
            them, one of 787 heads in HC18 and none of 110 of a second centre have less. In a screen
            that is not seen to be one, a head of three times smaller sides measured up to 17 % too
            large.
        hc_mm: flagged outside. HC18 spans 44 to 346 mm, a term head has about 345.
        cephalic_index: flagged outside: three standard deviations about the mean of Hadlock 1981,
            1 % of HC18's heads. Beyond one standard deviation the head gets a note.
    """

    min_area_share: float = 0.005
    min_iou: float = 0.5
    good_iou: float = 0.94
    max_residual_percent: float = 4.0
    max_border_fraction: float = 0.02
    small_area_share: float = 0.045
    hc_mm: tuple[float, float] = (40.0, 400.0)
    cephalic_index: tuple[float, float] = (65.0, 92.0)


@dataclass(frozen=True, repr=False)
class HeadMeasurement:
    """A measured head, or the reason why it was refused.

    Lengths, cephalic index, `points`, flags and notes belong to `ellipse`, which follows the site's
    caliper convention. Ages, z-scores and centiles belong to the skull's outer outline in every
    convention, because the growth curves were made on outlines.

    Attributes:
        ellipse: outer outline of the skull, or what the experts of a stated convention draw, in
            pixels of the original image; None where refused.
        outline: the outer outline, where `ellipse` follows another convention; None where `ellipse`
            is the outline.
        mm_per_pixel: as given; without it nothing is in mm.
        ga_weeks: gestational age from dates or an early scan, as given; without it there are no
            z-scores and centiles.
        fit_residual_percent: distance of the contour to the ellipse, in per cent of the radius.
        fit_iou: IoU of the mask and the ellipse, 0..1.
        expected_error_percent: of HC, see `fetal_tf.edge.measure.confidence`; None without an error
            model.
        error_features: input of the error model; empty where refused.
        flags: reasons to look again.
        notes: remarks that are no reason to doubt the mask.
        refused: why there is no measurement, with the code no_head, or None.
        probability: the map (h, w) that was measured, for drawing.
        letterbox: its geometry, for drawing.
    """

    ellipse: Ellipse | None
    mm_per_pixel: float | None
    ga_weeks: float | None = None
    outline: Ellipse | None = None
    fit_residual_percent: float | None = None
    fit_iou: float | None = None
    expected_error_percent: float | None = None
    error_features: Mapping[str, float] = field(default_factory=dict)
    flags: tuple[Flag, ...] = ()
    notes: tuple[Flag, ...] = ()
    refused: Flag | None = None
    probability: np.ndarray | None = field(default=None, repr=False, compare=False)
    letterbox: Letterbox | None = field(default=None, repr=False, compare=False)

    @property
    def points(self) -> np.ndarray | None:
        """The ends of OFD and BPD, float64 [4, 2] in the order of LANDMARKS; None where refused."""
        return None if self.ellipse is None else ellipse_landmarks(self.ellipse)

    @property
    def hc_px(self) -> float | None:
        """Perimeter of the ellipse (Ramanujan's second approximation), px."""
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
        """Biparietal diameter, mm."""
        return self._mm(self.bpd_px)

    @property
    def ofd_mm(self) -> float | None:
        """Occipitofrontal diameter, mm."""
        return self._mm(self.ofd_px)

    @property
    def cephalic_index(self) -> float | None:
        """100 · BPD / OFD."""
        if self.bpd_px is None or self.ofd_px is None:
            return None
        return clinical.cephalic_index(self.bpd_px, self.ofd_px)

    def outline_mm(self, quantity: str) -> float | None:
        """hc, bpd or ofd from outer to outer edge, mm, whatever the convention of `ellipse`."""
        outer = self if self.outline is None else replace(self, ellipse=self.outline, outline=None)
        return getattr(outer, f"{quantity}_mm")

    @property
    def ga_weeks_hadlock(self) -> float | None:
        """Age by the outline's HC, weeks; None outside 14 to 42."""
        hc_mm = self.outline_mm("hc")
        return None if hc_mm is None else clinical.hadlock_ga_weeks_from_hc(hc_mm)

    @property
    def ga_weeks_hadlock_bpd(self) -> float | None:
        """Age by the outline's BPD, weeks; None outside 14 to 42."""
        bpd_mm = self.outline_mm("bpd")
        return None if bpd_mm is None else clinical.hadlock_ga_weeks_from_bpd(bpd_mm)

    @property
    def ga_weeks_intergrowth(self) -> float | None:
        """Age by the outline's HC, weeks; None outside 14 to 40."""
        hc_mm = self.outline_mm("hc")
        days = None if hc_mm is None else clinical.intergrowth_ga_days_from_hc(hc_mm)
        return None if days is None else days / 7

    def z_score(self, quantity: str) -> float | None:
        """INTERGROWTH-21st z-score of the outline's hc, bpd or ofd.

        None without a pixel size or `ga_weeks`.
        """
        value_mm = self.outline_mm(quantity)
        if value_mm is None or self.ga_weeks is None:
            return None
        return clinical.intergrowth_reference(quantity, self.ga_weeks).z_score(value_mm)

    def centile(self, quantity: str) -> float | None:
        """INTERGROWTH-21st centile (0..100); None where there is no z-score."""
        z_score = self.z_score(quantity)
        return None if z_score is None else clinical.centile(z_score)

    def __repr__(self) -> str:
        return in_words(self, self.headline())

    def headline(self) -> str:
        """HC, BPD and OFD in one line; empty where refused."""
        if self.ellipse is None:
            return ""
        return ", ".join(f"{quantity.upper()} {self.length(quantity)}" for quantity in QUANTITIES)

    def length(self, quantity: str) -> str:
        """hc, bpd or ofd with its unit: mm, or px without a pixel size."""
        mm, px = getattr(self, f"{quantity}_mm"), getattr(self, f"{quantity}_px")
        return f"{px:.0f} px" if mm is None else f"{mm:.1f} mm"

    def as_record(self) -> dict[str, float | str | None]:
        """Flat row for CSV and JSON: fixed keys, units in the names, None = unknown."""
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
        columns = [f"{name}_{axis}_px" for name in LANDMARKS for axis in "xy"]
        points = self.points
        ends = [None] * len(columns) if points is None else points.ravel().tolist()
        record |= dict(zip(columns, ends, strict=True))
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
    """Measure one head in a probability map of the letterboxed frame.

    Example:
        frame, letterbox = letterboxed(image, (192, 288, 1))
        head = measure_head(net.predict(frame[None])[0, ..., 0], letterbox, mm_per_pixel=0.12)
        head.hc_mm, head.ga_weeks_hadlock, head.flags

    Args:
        probability: the network's output for the head, float32 (h, w), 0..1; padding is ignored.
        letterbox: how the frame was fitted into the map.
        mm_per_pixel: of the original image, or None: then pixels only, never mm.
        limits: when to refuse and when to flag.
        ga_weeks: gestational age from dates or an early scan, 14 to 40; gives z-scores and
            centiles.
        axis: maps float32 (h, w, 2) of the long axis' direction, see `fetal_tf.edge.geometry.axis`.
            The fitted ellipse is turned to it.
        error_model: gives the expected error, and flags a head above its limit.
        convention: where the experts of the site put their calipers; None: on the outline.

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
        # Turned in source pixels: the letterbox' two scales differ by rounding, and that would turn
        # the axes of a nearly round ellipse a lot.
        ellipse = turned(ellipse, read_axis(axis[letterbox.content], content))
    features = error_features(fit, content)
    measurement = replace(
        measurement,
        ellipse=ellipse if convention is None else convention.as_drawn(ellipse),
        outline=None if convention is None else ellipse,
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
            *age_notes(measurement),
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


def _flags(measurement: HeadMeasurement, fit: EllipseFit, limits: HeadLimits) -> Iterator[Flag]:
    yield from unit_flags(measurement.mm_per_pixel)
    yield from fit_flags(fit, limits)
    yield from _small_flags(measurement, limits)
    yield from size_flags(measurement.hc_mm, measurement.cephalic_index, limits)


def _small_flags(measurement: HeadMeasurement, limits: HeadLimits) -> Iterator[Flag]:
    """The flag of a head that has few of the network's pixels."""
    if measurement.ellipse is None or measurement.letterbox is None:
        return
    region = measurement.letterbox.region
    share = measurement.ellipse.area / (region.height * region.width)
    if share < limits.small_area_share:
        found, limit = beyond(100 * share, 100 * limits.small_area_share)
        yield Flag(
            "small_in_frame",
            f"the head covers {found} % of the picture (limit {limit}) and may measure too large; "
            "crop the file to the picture, or take a frame with a larger head",
        )


def unit_flags(mm_per_pixel: float | None) -> Iterator[Flag]:
    """The flag of a measurement without a pixel size."""
    if mm_per_pixel is None:
        yield Flag("no_pixel_size", "measured in pixels only, millimetres need mm_per_pixel")


def size_flags(
    hc_mm: float | None, cephalic_index: float | None, limits: HeadLimits
) -> Iterator[Flag]:
    """Flags for a head of implausible size or unusual shape."""
    if hc_mm is not None and not limits.hc_mm[0] <= hc_mm <= limits.hc_mm[1]:
        yield Flag(
            "implausible_size",
            f"HC is {outside(hc_mm, *limits.hc_mm)} mm; is the pixel size right?",
        )
    low, high = limits.cephalic_index
    if cephalic_index is not None and not low <= cephalic_index <= high:
        yield Flag(
            "unusual_shape",
            f"cephalic index {outside(cephalic_index, low, high)}; is this the plane for BPD?",
        )


def age_notes(measurement: HeadMeasurement) -> Iterator[Flag]:
    """A note for each formula that gives no age for a head of known size."""
    if measurement.hc_mm is None:
        return
    for formula, quantity, age, (first, last) in (
        ("Hadlock", "hc", measurement.ga_weeks_hadlock, clinical.HADLOCK_WEEKS),
        ("Hadlock", "bpd", measurement.ga_weeks_hadlock_bpd, clinical.HADLOCK_WEEKS),
        ("INTERGROWTH-21st", "hc", measurement.ga_weeks_intergrowth, clinical.INTERGROWTH_WEEKS),
    ):
        if age is None:
            yield Flag(
                "no_age",
                f"no age by {formula}: {quantity.upper()} {measurement.outline_mm(quantity):.1f} "
                f"mm is outside the {first:g} to {last:g} weeks of that study",
            )


def head_notes(cephalic_index: float | None) -> Iterator[Flag]:
    """A note where the cephalic index makes the BPD unreliable for dating."""
    low, high = clinical.CEPHALIC_INDEX_RANGE
    if cephalic_index is not None and not low <= cephalic_index <= high:
        yield Flag(
            "bpd_unreliable_for_dating",
            f"cephalic index {outside(cephalic_index, low, high)} (one standard deviation): BPD "
            "unreliable for dating",
        )
