"""Judge whether OFD and BPD ends can be the axes of a head, and repair swapped names and ends.

Only the four points are used, so that labels without any other annotation can be judged. The limits
come from 490 rows of a published table for HC18's images, 152 of which are wrong by HC18's own
ellipses (`judge_against`), and from the range of HC18's ellipses.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from fetal_tf.edge.geometry.ellipse import Ellipse
from fetal_tf.edge.geometry.landmarks import LANDMARKS, canonical, ellipse_landmarks

Verdict = Literal["good", "repairable", "wrong"]

# Ends that are farther off do not belong to the annotated head: most of the 490 rows stay below
# 0.1, the others spread from 0.2 to 2.
FAR_SHARE = 0.2

# Limits for the axes of a head. Of the 152 rows that are wrong by HC18's ellipses, 147 break one of
# them; so do 19 of the other 338, whose ends are 0.11 to 0.19 of the head's size off.
# Degrees from perpendicular: the other rows' median is 4, three in a hundred have more.
_MAX_TILT_DEG = 25.0
# Distance of the axes' middles, in mean lengths of the axes: the other rows' median is 0.045.
_MAX_GAP_SHARE = 0.2
# Short over long axis: HC18's ellipses have 0.66 to 0.96.
_MIN_RATIO, _MAX_RATIO = 0.6, 0.97
# The long axis in diagonals of the image: HC18's smallest head has 0.18.
_MIN_LENGTH_SHARE = 0.15
# An end outside the image, in sides of the image: experts do mark a skull that the frame cuts off.
_MAX_OUTSIDE_SHARE = 0.05


@dataclass(frozen=True)
class LabelVerdict:
    """The verdict on one row.

    Attributes:
        verdict: `good`: the axes of a head, named and ordered as they should be; `repairable`:
            axes of a head under each other's names, or ends in another order; `wrong`: no axes of
            a head.
        reasons: (code, sentence) each; none where good.
        repaired: float64 [4, 2], the longer axis as OFD, canonical; None where wrong.
    """

    verdict: Verdict
    reasons: tuple[tuple[str, str], ...]
    repaired: np.ndarray | None

    def has(self, code: str) -> bool:
        """Whether `code` is among the reasons."""
        return any(found == code for found, _ in self.reasons)


def judge(points: np.ndarray, image_size: tuple[int, int]) -> LabelVerdict:
    """Judge four ends by geometry alone.

    Codes of a wrong row: `unknown` (not four finite points), `no_axis` (an axis without length),
    `outside`, `size`, `ratio`, `not_perpendicular`, `not_bisecting`. Codes of a repairable row:
    `axes_swapped` (what is called BPD is longer), `ends_swapped`.

    Args:
        points: [4, 2], (x, y) px, in the order of LANDMARKS as the row has it.
        image_size: (height, width) of the image, px.

    Raises:
        ValueError: `points` of another shape.
    """
    points = np.asarray(points, np.float64)
    if points.shape != (len(LANDMARKS), 2):
        raise ValueError(f"points [4, 2] in the order {LANDMARKS} expected, not {points.shape}")
    if faults := _faults(points, image_size):
        return LabelVerdict("wrong", tuple(faults), None)
    ofd, bpd = points[:2], points[2:]
    ofd_px, bpd_px = _length(ofd), _length(bpd)
    reasons = []
    if bpd_px > ofd_px:
        reasons.append(
            ("axes_swapped", f"BPD is {bpd_px:.0f} px long, OFD only {ofd_px:.0f}: names exchanged")
        )
        ofd, bpd = bpd, ofd
    named = np.concatenate([ofd, bpd])
    repaired = canonical(named)
    if not np.array_equal(repaired, named):
        swapped = [
            axis
            for axis, ends in (("OFD", slice(0, 2)), ("BPD", slice(2, 4)))
            if not np.array_equal(repaired[ends], named[ends])
        ]
        reasons.append(("ends_swapped", f"ends 1 and 2 of {' and '.join(swapped)} exchanged"))
    return LabelVerdict("repairable" if reasons else "good", tuple(reasons), repaired)


def judge_against(points: np.ndarray, ellipse: Ellipse) -> float:
    """Mean distance of four ends from those of an annotated ellipse, in mean lengths of its axes.

    Names and order of the ends are chosen so that they fit best, for both can be repaired. From
    FAR_SHARE on, a row is wrong.

    Args:
        points: finite [4, 2], (x, y) px of the image that the ellipse lies in.
        ellipse: the annotation's.
    """
    points = np.asarray(points, np.float64)
    truth = ellipse_landmarks(ellipse)
    namings = (points, points[[2, 3, 0, 1]])
    distance_px = min(
        _pair_distance(named[:2], truth[:2]) + _pair_distance(named[2:], truth[2:])
        for named in namings
    )
    return distance_px / 2 / (ellipse.semi_major + ellipse.semi_minor)


def _faults(points: np.ndarray, image_size: tuple[int, int]) -> list[tuple[str, str]]:
    """Why four points cannot be the axes of a head; none where they can."""
    if not np.isfinite(points).all():
        return [("unknown", "four finite points are expected")]
    short_px, long_px = sorted((_length(points[:2]), _length(points[2:])))
    if short_px == 0:
        return [("no_axis", "both ends of an axis are one point")]
    height, width = image_size
    beyond_px = np.maximum(-points, points - [width - 1, height - 1])
    least_px = _MIN_LENGTH_SHARE * float(np.hypot(height, width))
    ratio, tilt_deg = short_px / long_px, _tilt_deg(points)
    gap_px = float(np.linalg.norm(points[:2].mean(0) - points[2:].mean(0)))
    gap_share = gap_px / ((short_px + long_px) / 2)
    checks = [
        (
            bool((beyond_px > np.array([width, height]) * _MAX_OUTSIDE_SHARE).any()),
            "outside",
            f"an end lies {beyond_px.max():.0f} px outside the {width}x{height} image",
        ),
        (
            long_px < least_px,
            "size",
            f"the long axis is {long_px:.0f} px, a head's at least {least_px:.0f} px",
        ),
        (
            not _MIN_RATIO <= ratio <= _MAX_RATIO,
            "ratio",
            f"short over long axis is {ratio:.2f}, plausible is {_MIN_RATIO} to {_MAX_RATIO}",
        ),
        (
            tilt_deg > _MAX_TILT_DEG,
            "not_perpendicular",
            f"the axes are {tilt_deg:.0f} degrees from perpendicular",
        ),
        (
            gap_share > _MAX_GAP_SHARE,
            "not_bisecting",
            f"the axes' middles lie {gap_px:.0f} px apart, {gap_share:.2f} of their mean length",
        ),
    ]
    return [(code, sentence) for broken, code, sentence in checks if broken]


def _length(ends: np.ndarray) -> float:
    return float(np.linalg.norm(ends[1] - ends[0]))


def _tilt_deg(points: np.ndarray) -> float:
    """How far from perpendicular the axes are, 0 to 90."""
    cosine = (points[1] - points[0]) @ (points[3] - points[2])
    cosine /= _length(points[:2]) * _length(points[2:])
    return float(np.degrees(np.arcsin(min(1.0, abs(cosine)))))


def _pair_distance(ends: np.ndarray, truth: np.ndarray) -> float:
    """Mean distance of two ends to the true ones, in the order that fits better, px."""
    return min(
        float(np.linalg.norm(ordered - truth, axis=1).mean()) for ordered in (ends, ends[::-1])
    )
