"""A judged plane as a picture: the frame, its reconstruction, and where the two differ."""

from collections.abc import Iterator

import cv2
import numpy as np

from fetal_tf.edge.draw.heatmap import COLORS, heatmap
from fetal_tf.edge.draw.legend import ALARM, TEXT, Entry, legend_strip
from fetal_tf.edge.draw.lines import enlarged, whole_zoom
from fetal_tf.edge.draw.panels import Panel, arranged, scale_strip
from fetal_tf.edge.measure.plane import PlaneMeasurement
from fetal_tf.edge.measure.plane_features import FEATURES

GAIN = 4  # differences of gray values seldom exceed a quarter of the range
_MIN_WIDTH = 720  # narrower frames are enlarged, so that the small pictures stay readable


def draw_plane(image: np.ndarray, measurement: PlaneMeasurement) -> np.ndarray:
    """Draw the frame, and below it its reconstruction and the map of differences.

    Args:
        image: the original frame, uint8 (H, W).
        measurement: of this frame.

    Returns:
        RGB uint8 (H', W', 3). Frames narrower than 720 px are enlarged by a whole factor first.
    """
    main = Panel("the frame", enlarged(image, whole_zoom(image, _MIN_WIDTH)))
    maps = list(_maps(image, measurement))
    picture = arranged(main, maps)
    width = picture.shape[1]
    parts = [picture, legend_strip(width, _entries(measurement))]
    if maps:
        parts.insert(1, scale_strip(width, COLORS, f"{GAIN} x difference of gray values:"))
    return np.concatenate(parts)


def _maps(image: np.ndarray, measurement: PlaneMeasurement) -> Iterator[Panel]:
    if measurement.output is None or measurement.letterbox is None:
        return
    reconstruction = measurement.letterbox.restore(measurement.output[..., 0])
    gray = np.rint(255 * np.clip(reconstruction, 0, 1)).astype(np.uint8)
    yield Panel("its reconstruction", cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB))
    # At the network's size: there the two were compared.
    difference = np.abs(measurement.output[..., 1] - measurement.output[..., 0])
    yield Panel("difference", heatmap(image, GAIN * measurement.letterbox.restore(difference)))


def _entries(measurement: PlaneMeasurement) -> Iterator[Entry]:
    """What the legend says, in reading order."""
    score = measurement.plane_score
    flagged = score is not None and score >= 1
    yield Entry(measurement.headline(), color=ALARM if flagged else TEXT)
    yield Entry(f"SSIM {measurement.ssim:.3f}")
    for name, z in measurement.plane_z.items():
        yield Entry(f"{FEATURES[name]}: z {z:+.1f}")
    for flag in measurement.flags:
        yield Entry(flag, color=ALARM, own_line=True)
