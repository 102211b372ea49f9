"""Refuse or flag four landmarks: low peaks, axes that no head has, disagreement with the mask."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fetal_tf.edge.flag import Flag, beyond, outside
from fetal_tf.edge.geometry.ellipse import Ellipse
from fetal_tf.edge.geometry.landmarks import AXES, LANDMARKS, landmark_ellipse
from fetal_tf.edge.geometry.letterbox import Letterbox
from fetal_tf.edge.geometry.region import Region
from fetal_tf.edge.measure.head import HeadLimits


@dataclass(frozen=True)
class LandmarkLimits(HeadLimits):
    """When landmarks are refused or flagged; the limits of a head apply to ellipse and mask.

    The limits of the geometry were set on 490 sets of four points placed by hand on HC18's images,
    a third of them wrong. Errors are distances from the annotated ellipse's ends in per cent of the
    OFD. Of the 217 sets within 5 % none is flagged, of the 92 from 5 to 10 % a third. Together with
    `cephalic_index` all 144 beyond 20 % are flagged or refused. Ends with random errors of 3 % (sd
    of each coordinate) are flagged once in 240 heads, of 5 % once in seven.

    Attributes:
        min_peak: refused where a map's peak is lower, 0..1: the landmark is not visible. Not fitted
            to data.
        good_peak: flagged below. Not fitted to data.
        max_skew_deg: flagged above, difference from 90 degrees of the angle between the axes.
        max_off_middle_percent: flagged above, how far from its middle an axis is crossed by the
            other, in per cent of its length.
        possible_cephalic_index: refused outside: with an OFD shorter than the BPD the axes are
            exchanged. HC18 spans 66 to 96, the second centre's landmarks 70 to 94.
        max_mask_difference_percent: flagged above, see `mask_difference_percent`. Frames of one
            examination in HC18 differ by about 3 % of their circumference.
    """

    min_peak: float = 0.1
    good_peak: float = 0.3
    max_skew_deg: float = 12.0
    max_off_middle_percent: float = 12.0
    possible_cephalic_index: tuple[float, float] = (50.0, 110.0)
    max_mask_difference_percent: float = 5.0


def landmark_refusal(
    points: np.ndarray,
    peaks: np.ndarray | None,
    region: Region,
    limits: LandmarkLimits,
) -> Flag | None:
    """Why points are refused, with the code no_landmark or no_head, or None.

    Args:
        points: [4, 2] in pixels of the original image.
        peaks: [4], or None for coordinates.
        region: of the original image that the network has seen.
        limits: when to refuse.
    """
    if peaks is None:
        unseen = [name for name, known in zip(LANDMARKS, _known(points), strict=True) if not known]
        if unseen:
            return Flag("no_landmark", f"no finite coordinates for {', '.join(unseen)}")
    elif not (peaks >= limits.min_peak).all():  # NaN is not
        return Flag("no_landmark", f"an end is not seen: {_low(peaks, limits.min_peak)}")
    try:
        ellipse = landmark_ellipse(points)
    except ValueError as error:
        return Flag("no_head", str(error))
    if not (
        0 <= ellipse.center_x - region.left <= region.width - 1
        and 0 <= ellipse.center_y - region.top <= region.height - 1
    ):
        return Flag("no_head", "the middle of the four points lies outside the image")
    share = ellipse.area / (region.height * region.width)
    if share < limits.min_area_share:
        found, limit = beyond(100 * share, 100 * limits.min_area_share, 2)
        return Flag(
            "no_head",
            f"the four points span only {found} % of the image, at least {limit} % are needed",
        )
    if max(off_middle_percent(points).values()) > 50:
        return Flag("no_head", "OFD and BPD do not cross each other")
    index, (low, high) = _cephalic_index(points), limits.possible_cephalic_index
    if not low <= index <= high:
        return Flag("no_head", f"BPD in per cent of OFD is {outside(index, low, high, 0)}")
    return None


def geometry_flags(
    points: np.ndarray,
    peaks: np.ndarray | None,
    letterbox: Letterbox,
    limits: LandmarkLimits,
) -> Iterator[Flag]:
    """Flags of points [4, 2] that are not refused, in pixels of the original image."""
    if peaks is not None and (peaks < limits.good_peak).any():
        yield Flag("weak_peak", f"an end is hardly seen: {_low(peaks, limits.good_peak)}")
    # An end less than a pixel of the network's frame from the edge may lie beyond it.
    x, y = letterbox.to_target(points).T - [[letterbox.pad_left], [letterbox.pad_top]]
    right, bottom = letterbox.content_width - 1.5, letterbox.content_height - 1.5
    outside = (x < 0.5) | (y < 0.5) | (x > right) | (y > bottom)
    if outside.any():
        names = ", ".join(name for name, out in zip(LANDMARKS, outside, strict=True) if out)
        yield Flag(
            "touches_border",
            f"on or beyond the edge of the image: {names}; take a frame that shows all of the head",
        )
    skew = skew_deg(points)
    if skew > limits.max_skew_deg:
        found, limit = beyond(skew, limits.max_skew_deg, 0)
        yield Flag(
            "skewed_axes", f"OFD and BPD are {found} degrees from perpendicular (limit {limit})"
        )
    for axis, percent in off_middle_percent(points).items():
        if percent > limits.max_off_middle_percent:
            found, limit = beyond(percent, limits.max_off_middle_percent, 0)
            yield Flag(
                "off_middle",
                f"{axis.upper()} is crossed {found} % of its length from its middle (limit "
                f"{limit})",
            )


def skew_deg(points: np.ndarray) -> float:
    """Difference from 90 degrees of the angle between OFD and BPD, 0..90."""
    ofd, bpd = _axes(points)
    return float(np.degrees(np.arctan2(abs(ofd @ bpd), abs(_cross(ofd, bpd)))))


def off_middle_percent(points: np.ndarray) -> dict[str, float]:
    """How far from its middle each axis is crossed by the other's line, per cent of its length.

    Above 50 the line does not meet the axis. The axes must not be parallel.
    """
    ofd, bpd = _axes(points)
    between = points[AXES["bpd"]].mean(0) - points[AXES["ofd"]].mean(0)
    span = _cross(ofd, bpd)
    return {
        "ofd": 100 * abs(_cross(between, bpd) / span),
        "bpd": 100 * abs(_cross(between, ofd) / span),
    }


def mask_difference_percent(points: np.ndarray, mask: Ellipse) -> float:
    """The largest difference between four points and a mask's ellipse, per cent.

    Compared are HC, BPD and OFD, relative to those of the mask, and the centres, relative to the
    mask's OFD.
    """
    ofd, bpd = (float(np.hypot(*axis)) for axis in _axes(points))
    pairs = (
        (landmark_ellipse(points).perimeter, mask.perimeter),
        (bpd, 2 * mask.semi_minor),
        (ofd, 2 * mask.semi_major),
    )
    center = points.mean(0) - [mask.center_x, mask.center_y]
    apart = float(np.hypot(*center)) / (2 * mask.semi_major)
    return 100 * max(apart, *(abs(found / expected - 1) for found, expected in pairs))


def _low(peaks: np.ndarray, limit: float) -> str:
    named = zip(LANDMARKS, peaks, strict=True)
    low = [(name, *_peak(peak, limit)) for name, peak in named if not peak >= limit]
    return ", ".join(f"{name} peaks at {found} (limit {stated})" for name, found, stated in low)


def _peak(peak: float, limit: float) -> tuple[str, str]:
    return beyond(peak, limit, 2) if np.isfinite(peak) else (f"{peak}", f"{limit:g}")


def _known(points: np.ndarray) -> np.ndarray:
    return np.isfinite(points).all(axis=1)


def _cephalic_index(points: np.ndarray) -> float:
    ofd, bpd = _axes(points)
    return float(100 * np.hypot(*bpd) / np.hypot(*ofd))


def _axes(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """OFD and BPD as vectors from the first end to the second."""
    ofd, bpd = (np.diff(points[ends], axis=0)[0] for ends in AXES.values())
    return ofd, bpd


def _cross(first: np.ndarray, second: np.ndarray) -> float:
    return float(first[0] * second[1] - first[1] * second[0])
