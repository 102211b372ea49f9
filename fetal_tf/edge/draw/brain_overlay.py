"""Picture of a measured brain: structures on the frame, heatmaps around it, a legend below."""

from collections.abc import Iterator, Mapping

import cv2
import numpy as np

from fetal_tf.edge.draw.heatmap import heatmap, mismatch_map
from fetal_tf.edge.draw.layers import TRUTH, Calipers, Fill, MaskBorder
from fetal_tf.edge.draw.legend import ALARM, TEXT, Color, Entry, doubt_entries
from fetal_tf.edge.draw.panels import Panel
from fetal_tf.edge.draw.picture import Layer, Maps, draw
from fetal_tf.edge.measure.brain_measurement import BrainMeasurement
from fetal_tf.edge.measure.structures import Features

# Those three of Okabe and Ito's colours that the picture of a head does not use.
STRUCTURE_COLORS: Mapping[str, Color] = {
    "brain": (0, 114, 178),
    "csp": (213, 94, 0),
    "lv": (0, 158, 115),
}
CALIPER: Color = (240, 228, 66)  # as on a scanner's screen
STRUCTURE_NAMES: Mapping[str, str] = {"brain": "brain", "csp": "CSP", "lv": "LV"}

_MISMATCH_SIGMA = 0.006  # share of the frame's diagonal: 6 px of 800x540


def draw_brain(
    image: np.ndarray, measurement: BrainMeasurement, truth: BrainMeasurement | None = None
) -> np.ndarray:
    """Draw the structures on the frame, heatmaps of the network's output, and a legend.

    The large picture shows brain, CSP and LV as outlines, the last two filled, and the LV's width
    across its largest inscribed circle. The small ones show the probability of each structure, the
    disagreement between views where it was computed, and the mismatch with a `truth`.

    Args:
        image: the original frame, uint8 (H, W).
        measurement: of this frame.
        truth: the expert's mask, measured the same way; dashed in the large picture.

    Returns:
        RGB uint8 (H', W', 3), see `draw`.

    Raises:
        ValueError: a label map is not of the frame's size, or the two have other classes.
    """
    _check_arguments(image, measurement, truth)
    layers: list[Layer] = [
        Fill(measurement.labels == index, STRUCTURE_COLORS[name])
        for index, name in enumerate(measurement.classes[2:], start=2)
    ]
    layers += [
        MaskBorder(mask, STRUCTURE_COLORS[name], 2) for name, mask in _structures(measurement)
    ]
    layers += _width_calipers(measurement)
    if truth is not None:
        # Dashed and last, so that where both agree both are seen.
        layers += [MaskBorder(mask, TRUTH, 2, dashed=True) for _, mask in _structures(truth)]
    small = [Panel(t, heatmap(image, values)) for t, values in _maps(image, measurement, truth)]
    maps = Maps(_main_title(measurement, truth), small, "small pictures:")
    return draw(image, layers, brain_legend(measurement, truth), maps)


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


def _structures(measurement: BrainMeasurement) -> Iterator[tuple[str, np.ndarray]]:
    """(structure, its mask bool (H, W)), the brain first and with what lies in it."""
    for index, name in enumerate(measurement.classes[1:], start=1):
        labels = measurement.labels
        yield name, labels > 0 if name == "brain" else labels == index


def _width_calipers(measurement: BrainMeasurement) -> list[Layer]:
    """The ventricle's width, where it was measured, across its largest inscribed circle."""
    ventricle = measurement.structures.get("lv")
    if ventricle is None:
        return []
    center, across = inscribed_circle(measurement.labels == measurement.classes.index("lv"))
    half = ventricle.width_px / 2 * across
    return [Calipers(np.array([center - half, center + half]), CALIPER)]


def inscribed_circle(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The largest circle in a mask bool (H, W), and the direction of a caliper across it.

    Returns:
        The centre (x, y) in px and the unit vector from it to the nearest pixel outside the mask,
        float64 (2,) each. Everything beyond the frame is outside.

    Raises:
        ValueError: the mask is empty.
    """
    if not mask.any():
        raise ValueError("no circle fits into an empty mask")
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # In a bar many circles are the largest: take the middle one.
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
    """Title and values (float (H, W), 0..1) of every small picture."""
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


def brain_legend(
    measurement: BrainMeasurement, truth: BrainMeasurement | None = None
) -> Iterator[Entry]:
    """Entries of the legend, in reading order."""
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
    yield from doubt_entries(measurement.notes, measurement.refused, measurement.flags)


def _area(features: Features) -> str:
    """The area in mm², or in px² without a pixel size."""
    area_mm2 = features.area_mm2
    if area_mm2 is None:
        return f"{features.area_px:.0f} px²"
    return f"{area_mm2:.1f} mm²" if area_mm2 < 10 else f"{area_mm2:.0f} mm²"


def _width_text(ventricle: Features, grade: str) -> str:
    """The ventricle's width, with its grade where the width is known in mm."""
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
