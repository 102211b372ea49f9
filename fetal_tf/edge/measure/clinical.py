"""Published formulas: age from head size, head size for an age, grades of ventriculomegaly."""

import math
from collections.abc import Callable
from dataclasses import dataclass

HADLOCK_WEEKS = (14.0, 42.0)  # ages in Hadlock 1984
INTERGROWTH_WEEKS = (14.0, 40.0)  # ages in the INTERGROWTH-21st fetal growth study
# Mean 78.3 and one standard deviation about it: Hadlock 1981, AJR 137:83.
CEPHALIC_INDEX_RANGE = (74.0, 83.0)
# Width of the ventricle's atrium from which it has a grade, mm; for moderate: above which.
VENTRICULOMEGALY_MM = {"mild": 10.0, "moderate": 12.0, "severe": 15.0}


def hadlock_ga_weeks_from_hc(hc_mm: float) -> float | None:
    """Gestational age in weeks from the head circumference in mm.

    Returns:
        The age, or None where it lies outside the 14 to 42 weeks of the study.

    Raises:
        ValueError: `hc_mm` is not a positive number.

    Source: Hadlock et al. 1984, Radiology 152:497, HC in cm.
    """
    hc_cm = _positive("hc_mm", hc_mm) / 10.0
    return _within(8.96 + 0.540 * hc_cm + 0.0003 * hc_cm * hc_cm * hc_cm, HADLOCK_WEEKS)


def hadlock_ga_weeks_from_bpd(bpd_outer_outer_mm: float) -> float | None:
    """Gestational age in weeks from the biparietal diameter, outer to outer, in mm.

    Hadlock measured outer to inner, so the diameter is converted by `bpd_outer_inner_mm` first.

    Returns:
        The age, or None where it lies outside the 14 to 42 weeks of the study.

    Raises:
        ValueError: `bpd_outer_outer_mm` is not a positive number.

    Source: Hadlock et al. 1984, Radiology 152:497, BPD in cm.
    """
    bpd_cm = bpd_outer_inner_mm(bpd_outer_outer_mm) / 10.0
    return _within(9.54 + 1.482 * bpd_cm + 0.1676 * bpd_cm * bpd_cm, HADLOCK_WEEKS)


def bpd_outer_inner_mm(bpd_outer_outer_mm: float) -> float:
    """Outer-to-inner biparietal diameter from the outer-to-outer one, both mm.

    Raises:
        ValueError: not a positive number.

    Source: Wong et al. 2018, AJUM 21:161, regression on 543 fetuses of 14 to 40 weeks.
    """
    return -0.403458 + 0.9714153 * _positive("bpd_outer_outer_mm", bpd_outer_outer_mm)


def intergrowth_ga_days_from_hc(hc_mm: float) -> float | None:
    """Gestational age in days from the head circumference in mm.

    Returns:
        The age, or None where it lies outside 14 to 40 weeks.

    Raises:
        ValueError: `hc_mm` is not a positive number.

    Source: Papageorghiou et al. 2016, Ultrasound Obstet Gynecol 48:719.
    """
    hc = _positive("hc_mm", hc_mm)
    log_days = 0.05970 * math.log(hc) ** 2 + 6.409e-9 * hc * hc * hc + 3.3258
    first, last = INTERGROWTH_WEEKS
    # Both logarithms: a head of 5 m would have more days than a float can hold.
    inside = math.log(7 * first) <= log_days <= math.log(7 * last)
    return math.exp(log_days) if inside else None


def cephalic_index(bpd: float, ofd: float) -> float:
    """100 · BPD / OFD, from both in one unit; ValueError where one is not a positive number."""
    return 100.0 * _positive("bpd", bpd) / _positive("ofd", ofd)


def ventriculomegaly_grade(width_mm: float) -> str:
    """Grade of a lateral ventricle by the width of its atrium in mm, at any gestational age.

    The width is rounded to 0.1 mm, as the bands are defined and widths are printed, so that number
    and grade agree.

    Returns:
        none below 10 mm, mild from 10 to 12, moderate above 12, severe from 15.

    Raises:
        ValueError: `width_mm` is not a positive number.

    Source: Gaglioti et al. 2005, Ultrasound Obstet Gynecol 25:372 (10-12, 12.1-14.9, from 15 mm).
    """
    width = round(_positive("width_mm", width_mm), 1)
    if width >= VENTRICULOMEGALY_MM["severe"]:
        return "severe"
    if width > VENTRICULOMEGALY_MM["moderate"]:
        return "moderate"
    return "mild" if width >= VENTRICULOMEGALY_MM["mild"] else "none"


@dataclass(frozen=True)
class GrowthReference:
    """Mean and standard deviation of a measurement at one gestational age, mm."""

    mean_mm: float
    sd_mm: float

    def z_score(self, value_mm: float) -> float:
        """Standard deviations above the mean."""
        return (value_mm - self.mean_mm) / self.sd_mm


def centile(z_score: float) -> float:
    """Per cent of fetuses below a z-score, by the normal distribution."""
    return 50.0 * (1.0 + math.erf(z_score / math.sqrt(2.0)))


def intergrowth_reference(quantity: str, ga_weeks: float) -> GrowthReference:
    """INTERGROWTH-21st size of `quantity` (hc, bpd or ofd; outer to outer) at `ga_weeks`.

    The gestational age must come from dates or an early scan. An age computed from the same head
    would always give about the 50th centile.

    Raises:
        ValueError: an unknown quantity, or an age outside 14 to 40 weeks.

    Source: Papageorghiou et al. 2014, Lancet 384:869; GA in exact weeks, natural logarithms.
    """
    if quantity not in _INTERGROWTH:
        raise ValueError(
            f"no INTERGROWTH-21st reference for {quantity!r}; there are {', '.join(_INTERGROWTH)}"
        )
    first, last = INTERGROWTH_WEEKS
    if not first <= ga_weeks <= last:
        raise ValueError(
            f"ga_weeks is {ga_weeks}; the INTERGROWTH-21st references cover {first:g} to {last:g}"
        )
    mean_mm, sd_mm = _INTERGROWTH[quantity](ga_weeks, math.log(ga_weeks))
    return GrowthReference(mean_mm, sd_mm)


def _hc(ga: float, log_ga: float) -> tuple[float, float]:
    mean = -28.2849 + 1.69267 * ga**2 - 0.397485 * ga**2 * log_ga
    sd = 1.98735 + 0.0136772 * ga**3 - 0.00726264 * ga**3 * log_ga + 0.000976253 * ga**3 * log_ga**2
    return mean, sd


def _bpd(ga: float, log_ga: float) -> tuple[float, float]:
    mean = 5.60878 + 0.158369 * ga**2 - 0.00256379 * ga**3
    log_sd = (
        0.101242
        + 0.00150557 * ga**3
        - 0.000771535 * ga**3 * log_ga
        + 0.0000999638 * ga**3 * log_ga**2
    )
    return mean, math.exp(log_sd)


def _ofd(ga: float, log_ga: float) -> tuple[float, float]:
    mean = -12.4097 + 0.626342 * ga**2 - 0.148075 * ga**2 * log_ga
    log_sd = (
        -0.880034 + 0.0631165 * ga**2 - 0.0317136 * ga**2 * log_ga + 0.00408302 * ga**2 * log_ga**2
    )
    return mean, math.exp(log_sd)


_INTERGROWTH: dict[str, Callable[[float, float], tuple[float, float]]] = {
    "hc": _hc,
    "bpd": _bpd,
    "ofd": _ofd,
}


def _positive(name: str, value: float) -> float:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be a positive number, found {value}")
    return value


def _within(value: float, bounds: tuple[float, float]) -> float | None:
    return value if bounds[0] <= value <= bounds[1] else None
