"""Picture of a judged plane: the frame, its reconstruction, and a map of their difference."""

from collections.abc import Iterator

import cv2
import numpy as np

from fetal_tf.edge.draw.heatmap import heatmap
from fetal_tf.edge.draw.legend import ALARM, TEXT, Entry, doubt_entries
from fetal_tf.edge.draw.panels import Panel
from fetal_tf.edge.draw.picture import Maps, draw
from fetal_tf.edge.measure.plane import PlaneMeasurement
from fetal_tf.edge.measure.plane_features import FEATURES

GAIN = 4  # differences of gray values seldom exceed a quarter of the range


def draw_plane(image: np.ndarray, measurement: PlaneMeasurement, truth: None = None) -> np.ndarray:
    """Draw the frame, and below it its reconstruction and the map of differences.

    Args:
        image: the original frame, uint8 (H, W).
        measurement: of this frame.
        truth: not drawn, no expert judges planes in numbers.

    Returns:
        RGB uint8 (H', W', 3), see `draw`.
    """
    small, scale = list(_maps(image, measurement)), f"{GAIN} x difference of gray values:"
    return draw(image, (), plane_legend(measurement), Maps("the frame", small, scale))


def _maps(image: np.ndarray, measurement: PlaneMeasurement) -> Iterator[Panel]:
    if measurement.output is None or measurement.letterbox is None:
        return
    reconstruction = measurement.letterbox.restore(measurement.output[..., 0])
    gray = np.rint(255 * np.clip(reconstruction, 0, 1)).astype(np.uint8)
    yield Panel("its reconstruction", cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB))
    # At the network's size: there the two were compared.
    difference = np.abs(measurement.output[..., 1] - measurement.output[..., 0])
    yield Panel("difference", heatmap(image, GAIN * measurement.letterbox.restore(difference)))


def plane_legend(measurement: PlaneMeasurement) -> Iterator[Entry]:
    """Entries of the legend, in reading order."""
    score = measurement.plane_score
    flagged = score is not None and score >= 1
    yield Entry(measurement.headline(), color=ALARM if flagged else TEXT)
    yield Entry(f"SSIM {measurement.ssim:.3f}")
    for name, z in measurement.plane_z.items():
        yield Entry(f"{FEATURES[name]}: z {z:+.1f}")
    yield from doubt_entries(measurement.notes, None, measurement.flags)
