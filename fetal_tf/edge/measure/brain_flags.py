"""Flags of a measured brain: reasons to look again, with the numbers."""

from collections.abc import Iterator, Mapping

import cv2
import numpy as np

from fetal_tf.edge.flag import Flag, beyond, outside
from fetal_tf.edge.geometry.ellipse import ramanujan_perimeter
from fetal_tf.edge.measure import anomaly, clinical
from fetal_tf.edge.measure.brain_measurement import BrainMeasurement
from fetal_tf.edge.measure.fit_doubts import border_flag
from fetal_tf.edge.measure.head import HeadLimits, unit_flags
from fetal_tf.edge.measure.structures import BACKGROUND

_MAX_BORDER_SHARE = 0.02  # of the brain's circumference, as for a head
_SIGNIFICANT_SHARE = 0.05  # of the brain's area; smaller separate parts are ignored
_USUAL_FRAGMENTS = {"csp": 1, "lv": 2}  # one cavum; one ventricle in each hemisphere
# The cavum lies on the midline; beyond a third of the half width it is something else. A nearly
# round brain has no certain direction and is not judged.
_MAX_CSP_ACROSS = 0.35
_MIN_ECCENTRICITY = 0.4


def brain_flags(measurement: BrainMeasurement) -> Iterator[Flag]:
    """Flags for a doubtful mask and for a wide ventricle; the brain must not be refused."""
    inside = measurement.labels != BACKGROUND
    circumference_px = float(ramanujan_perimeter(*anomaly.brain_semi_axes(measurement.structures)))
    yield from unit_flags(measurement.mm_per_pixel)
    border = _on_border(inside) / circumference_px
    if border > _MAX_BORDER_SHARE:
        yield border_flag("brain's outline", min(1, border), _MAX_BORDER_SHARE)
    yield from _fragments(measurement)
    if measurement.mm_per_pixel is not None:
        around_mm, (low, high) = circumference_px * measurement.mm_per_pixel, HeadLimits().hc_mm
        if not low <= around_mm <= high:
            yield Flag(
                "implausible_size",
                f"around the brain it is {outside(around_mm, low, high)} mm; is the pixel size "
                "right?",
            )
    yield from _misplaced_cavum(measurement)
    ventricle, grade = measurement.structures.get("lv"), measurement.ventriculomegaly
    if ventricle is not None and grade not in ("", "none"):
        yield Flag(
            "ventriculomegaly",
            f"lateral ventricle {ventricle.width_mm:.1f} mm wide ({grade}; from "
            f"{clinical.VENTRICULOMEGALY_MM['mild']:.1f} mm)",
        )


def anomaly_flags(measurement: BrainMeasurement, thresholds: Mapping[str, float]) -> Iterator[Flag]:
    """Flags for scores that reach their threshold; `unusual_shape` names the worst descriptor."""
    score, limit = measurement.shape_score, thresholds.get("shape_score")
    if score is not None and limit is not None and score >= limit:
        worst = max(measurement.shape_z, key=lambda name: abs(measurement.shape_z[name]))
        side = "above" if measurement.shape_z[worst] > 0 else "below"
        found, stated = beyond(score, limit)
        yield Flag(
            "unusual_shape",
            f"{anomaly.in_words(worst)} {found} robust sd {side} the training images (limit "
            f"{stated})",
        )
    score, limit = measurement.disagreement_score, thresholds.get("disagreement_score")
    if score is not None and limit is not None and score >= limit:
        found, stated = beyond(score, limit, 2)
        yield Flag(
            "unstable",
            f"a disagreement of {found} between mirrored, brighter and darker views of the frame "
            f"(limit {stated})",
        )


def _fragments(measurement: BrainMeasurement) -> Iterator[Flag]:
    """Flags for separate parts: of the brain before cleaning, of its structures after it."""
    parts = _significant_parts(measurement.raw_labels != BACKGROUND)
    if parts > 1:
        yield Flag("fragmented", f"the brain has {parts} separate parts")
    for name, usual in _USUAL_FRAGMENTS.items():
        structure = measurement.structures.get(name)
        if structure is not None and structure.fragments > usual:
            parts = structure.fragments
            yield Flag("fragmented", f"{name} has {parts} separate parts, expected {usual}")


def _misplaced_cavum(measurement: BrainMeasurement) -> Iterator[Flag]:
    brain, cavum = measurement.structures["brain"], measurement.structures.get("csp")
    if brain is None or cavum is None or brain.eccentricity < _MIN_ECCENTRICITY:
        return
    _, across = anomaly.brain_coordinates(measurement.structures, "csp")
    if across > _MAX_CSP_ACROSS:
        found, limit = beyond(100 * across, 100 * _MAX_CSP_ACROSS, 0)
        yield Flag(
            "off_midline",
            f"csp lies {found} % of the brain's half width from the midline, expected up to "
            f"{limit} %",
        )


def _on_border(inside: np.ndarray) -> int:
    """Number of mask pixels on the outermost rows and columns."""
    inner = inside[1:-1, 1:-1]
    return int(np.count_nonzero(inside)) - int(np.count_nonzero(inner))


def _significant_parts(inside: np.ndarray) -> int:
    """Number of 8-connected parts with at least 5 % of the largest one's area."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(inside.astype(np.uint8))
    areas = stats[1:, cv2.CC_STAT_AREA]
    return int(np.count_nonzero(areas >= _SIGNIFICANT_SHARE * areas.max(initial=0)))
