"""A measured brain as a picture: structures on the frame, maps beside it, the numbers below."""

from collections.abc import Iterator, Mapping

import cv2
import numpy as np

from fetal_tf.edge.draw.heatmap import COLORS, heatmap, mismatch_map
from fetal_tf.edge.draw.legend import ALARM, TEXT, Color, Entry, legend_strip
from fetal_tf.edge.draw.lines import (
    TRUTH,
    caliper_line,
    dashed_outline,
    enlarged,
    polyline,
    whole_zoom,
    zoomed,
)
from fetal_tf.edge.draw.panels import Panel, arranged, scale_strip
from fetal_tf.edge.measure.brain_measurement import BrainMeasurement
from fetal_tf.edge.measure.structures import Features

# The three of Okabe and Ito's colours that mean nothing else in the picture of a head.
STRUCTURE_COLORS: Mapping[str, Color] = {
    "brain": (0, 114, 178),
    "csp": (213, 94, 0),
    "lv": (0, 158, 115),
}
CALIPER: Color = (240, 228, 66)  # as on a scanner's screen
STRUCTURE_NAMES: Mapping[str, str] = {"brain": "brain", "csp": "CSP", "lv": "LV"}

_MIN_WIDTH = 720  # narrower frames are enlarged, so that the small pictures stay readable
_FILL_OPACITY = 0.4
_MISMATCH_SIGMA = 0.006  # share of the frame's diagonal: 6 px of 800x540


def draw_brain(
    image: np.ndarray, measurement: BrainMeasurement, truth: BrainMeasurement | None = None
) -> np.ndarray:
    """Draw the structures on the frame, what the network was sure of, and a legend.

    The large picture: brain, CSP and LV as outlines, the last two filled, and the LV's width where
    its largest inscribed circle lies. The small ones: the probability of each structure, the
    disagreement between views where it was computed, the mismatch where there is a `truth`.

    Args:
        image: the original frame, uint8 (H, W).
        measurement: of this frame.
        truth: the expert's mask, measured the same way; dashed in the large picture.

    Returns:
        RGB uint8 (H', W', 3). Frames narrower than 720 px are enlarged by a whole factor first.

    Raises:
        ValueError: a label map is not of the frame's size, or the two have other classes.
    """
    _check_arguments(image, measurement, truth)
    zoom = whole_zoom(image, _MIN_WIDTH)
    main = Panel(_main_title(measurement, truth), _structures(image, measurement, truth, zoom))
    maps = list(_maps(image, measurement, truth))
    picture = arranged(main, [Panel(title, heatmap(image, values)) for title, values in maps])
    width = picture.shape[1]
    parts = [picture, legend_strip(width, _entries(measurement, truth))]
    if maps:
        parts.insert(1, scale_strip(width, COLORS, "small pictures:"))
    return np.concatenate(parts)


def _check_arguments(
    image: np.ndarray, measurement: BrainMeasurement, truth: BrainMeasurement | None
) -> None:
    for name, each in (("measurement", measurement), ("truth", truth)):
        if each is not None and each.labels.shape != image.shape:
            raise ValueError(
                f"the frame is {image.shape} (height, width), the label map of the {name} "
                f"{each.labels.shape}"
            )
    if truth is not None and tuple(truth.classes) != tuple(measurement.classes):
        raise ValueError(f"classes are {measurement.classes}, those of the truth {truth.classes}")


def _main_title(measurement: BrainMeasurement, truth: BrainMeasurement | None) -> str:
    *first, last = (STRUCTURE_NAMES[name] for name in measurement.classes[1:])
    names = f"{', '.join(first)} and {last}" if first else last
    return names if truth is None else f"{names}, the expert's outlines dashed"


def _structures(
    image: np.ndarray,
    measurement: BrainMeasurement,
    truth: BrainMeasurement | None,
    zoom: int,
) -> np.ndarray:
    """The large picture."""
    canvas = enlarged(image, zoom)
    # By the longer side: a portrait's picture has other pictures beside it.
    thickness = max(1, round(max(canvas.shape[:2]) / 700))
    for index, name in enumerate(measurement.classes[2:], start=2):
        inside = _enlarged_mask(measurement.labels == index, zoom)
        fill = _FILL_OPACITY * np.array(STRUCTURE_COLORS[name])
        canvas[inside] = np.rint((1 - _FILL_OPACITY) * canvas[inside] + fill).astype(np.uint8)
    for name, outline in _outlines(measurement, zoom):
        polyline(canvas, outline, STRUCTURE_COLORS[name], 2 * thickness)
    _draw_width(canvas, measurement, zoom, thickness)
    if truth is not None:
        # Dashed and last, so that where both agree both are seen.
        for _, outline in _outlines(truth, zoom):
            dashed_outline(canvas, outline, TRUTH, 2 * thickness)
    return canvas


def _outlines(measurement: BrainMeasurement, zoom: int) -> Iterator[tuple[str, np.ndarray]]:
    """(structure, its border on the canvas (N, 2)), the brain first and with what lies in it."""
    for index, name in enumerate(measurement.classes[1:], start=1):
        inside = measurement.labels > 0 if name == "brain" else measurement.labels == index
        mask = _enlarged_mask(inside, zoom).astype(np.uint8)
        contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        for contour in contours:
            yield name, contour[:, 0].astype(np.float64)


def _enlarged_mask(mask: np.ndarray, zoom: int) -> np.ndarray:
    """Bool (H, W) to bool (zoom·H, zoom·W) with smooth borders."""
    if zoom == 1:
        return mask
    size = (mask.shape[1] * zoom, mask.shape[0] * zoom)
    return cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_LINEAR) >= 0.5


def _draw_width(
    canvas: np.ndarray, measurement: BrainMeasurement, zoom: int, thickness: int
) -> None:
    ventricle = measurement.structures.get("lv")
    if ventricle is None:
        return
    mask = measurement.labels == measurement.classes.index("lv")
    center, across = inscribed_circle(mask)
    half = ventricle.width_px / 2 * across
    first, last = zoomed(np.array([center - half, center + half]), zoom)
    caliper_line(canvas, first, last, CALIPER, thickness)


def inscribed_circle(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the largest circle in a mask bool (H, W) lies, and how a caliper lies in it.

    Returns:
        The centre (x, y) in px, and the unit vector from it to the nearest pixel outside, float64
        (2,) each. Beyond the frame everything is outside.

    Raises:
        ValueError: the mask is empty.
    """
    if not mask.any():
        raise ValueError("no circle fits into an empty mask")
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # A bar holds many circles: the middle one.
    widest = np.argwhere(distance >= distance.max() - 1e-3)
    y, x = (int(i) for i in widest[len(widest) // 2])
    reach = int(distance[y, x]) + 1
    top, left = max(0, y - reach), max(0, x - reach)
    outside = np.argwhere(padded[top : y + reach + 1, left : x + reach + 1] == 0)
    ways = (outside - np.array([y - top, x - left]))[:, ::-1].astype(np.float64)
    lengths = np.hypot(*ways.T)
    nearest = int(lengths.argmin())
    return np.array([x - 1.0, y - 1.0]), ways[nearest] / lengths[nearest]


def _maps(
    image: np.ndarray, measurement: BrainMeasurement, truth: BrainMeasurement | None
) -> Iterator[tuple[str, np.ndarray]]:
    """(title, values 0..1 float (H, W)) of every small picture."""
    letterbox = measurement.letterbox
    if letterbox is not None and measurement.probability is not None:
        for index, name in enumerate(measurement.classes[1:], start=1):
            values = letterbox.restore(measurement.probability[..., index])
            yield f"probability of {STRUCTURE_NAMES[name]}", values
    if letterbox is not None and measurement.disagreement is not None:
        yield "disagreement between views", letterbox.restore(measurement.disagreement)
    if truth is not None:
        sigma_px = _MISMATCH_SIGMA * float(np.hypot(*image.shape))
        values = mismatch_map(measurement.labels, truth.labels, sigma_px)
        yield "mismatch with the expert's mask", values


def _entries(measurement: BrainMeasurement, truth: BrainMeasurement | None) -> Iterator[Entry]:
    """What the legend says, in reading order."""
    for index, name in enumerate(measurement.classes[1:], start=1):
        features = measurement.structures[name]
        label = STRUCTURE_NAMES[name]
        if features is not None:
            yield Entry(f"{label} {_area(features)}", STRUCTURE_COLORS[name])
        elif (measurement.labels == index).any():  # refused, for example a brain too small
            yield Entry(f"{label} not measured", STRUCTURE_COLORS[name])
        else:
            yield Entry(f"{label} not seen")
    ventricle = measurement.structures.get("lv")
    if ventricle is not None:
        yield Entry(_width_text(ventricle, measurement.ventriculomegaly), CALIPER)
    if truth is not None:
        yield Entry(f"expert (dashed): {truth.headline() or truth.refused}", TRUTH)
    yield from _anomaly_entries(measurement)
    if measurement.refused:
        yield Entry(measurement.refused, color=ALARM, own_line=True)
    for flag in measurement.flags:
        yield Entry(flag, color=ALARM, own_line=True)


def _area(features: Features) -> str:
    """In square millimetres, or pixels without a pixel size."""
    area_mm2 = features.area_mm2
    if area_mm2 is None:
        return f"{features.area_px:.0f} px²"
    return f"{area_mm2:.1f} mm²" if area_mm2 < 10 else f"{area_mm2:.0f} mm²"


def _width_text(ventricle: Features, grade: str) -> str:
    """The width between the crosses, with its grade where it is known in millimetres."""
    if ventricle.width_mm is None:
        return f"LV width {ventricle.width_px:.0f} px"
    return f"LV width {ventricle.width_mm:.1f} mm, {grade.replace('none', 'no')} ventriculomegaly"


def _anomaly_entries(measurement: BrainMeasurement) -> Iterator[Entry]:
    parts = []
    if measurement.shape_score is not None:
        parts.append(f"shape z {measurement.shape_score:.1f}")
    if measurement.disagreement_score is not None:
        parts.append(f"disagreement {measurement.disagreement_score:.3f}")
    known = ", ".join(parts)
    score = measurement.anomaly_score
    if score is None:
        if known:
            yield Entry(f"anomaly score not calibrated ({known})")
        return
    color = ALARM if score >= 1 else TEXT
    yield Entry(f"anomaly score {score:.2f}, flagged from 1 ({known})", color=color)
