"""Landmark task: the ends of OFD and BPD as coordinates or heatmaps, optionally with a head mask.

A landmark outside the frame (after augmentation) or without annotation is not learnt: its heatmap
is empty, its coordinates have the weight 0.
"""

from collections.abc import Mapping
from typing import Any, Literal

import keras
import numpy as np
import pandas as pd
from pydantic import PositiveFloat

from fetal_tf.data.pipeline.targets import Target, coverage_shares
from fetal_tf.data.sample import Sample
from fetal_tf.edge.errors import ConfigError, DataError
from fetal_tf.edge.geometry.landmarks import LANDMARKS, canonical, to_shares
from fetal_tf.edge.geometry.letterbox import Letterbox
from fetal_tf.edge.measure.landmark_measurement import LandmarkMeasurement, measure_reading
from fetal_tf.edge.measure.landmark_reading import Reading
from fetal_tf.metrics.landmarks import CoordinateError, HeatmapError
from fetal_tf.metrics.masks import Dice
from fetal_tf.scores.columns import Column, ParityLimits, declare, facts, figures, values
from fetal_tf.scores.landmarks import QUANTITIES
from fetal_tf.scores.overlap import overlap_metrics
from fetal_tf.scores.quantities import Quantity
from fetal_tf.scores.rows import Row
from fetal_tf.tasks.landmark_columns import LANDMARK_COLUMNS, landmark_columns, landmark_section
from fetal_tf.tasks.plain import PlainTask, binary_mask, row_of
from fetal_tf.tasks.registry import TASKS
from fetal_tf.tasks.task import Gathered

LEVEL = 0.5  # probability from which a pixel belongs to the raw mask
Output = Literal["heatmaps", "coordinates"]


# How far an exported file may drift from the float model, over paired images.
def _limits(radial_px: float, hc_mm: float) -> dict[str, float]:
    return {"radial_error_abs_delta_mean_px": radial_px, "hc_abs_delta_mean_mm": hc_mm}


PARITY_LIMITS: ParityLimits = dict(
    full=_limits(0.01, 0.01), half=_limits(0.1, 0.05), quantized=_limits(0.5, 0.3)
)


@TASKS.register("landmarks")
class LandmarkTask(PlainTask):
    """The four ends of OFD and BPD, and the mask of the head if `head` is the first class."""

    name = "landmarks"
    measurement = "landmarks"
    headline: tuple[str, ...] = ("success_10px", "ofd_nme", "bpd_nme", "radial_error_px")
    quantities: tuple[Quantity, ...] = tuple(Quantity(name, "mm") for name in QUANTITIES)
    parity_limits: ParityLimits = PARITY_LIMITS

    def __init__(
        self,
        settings: Mapping[str, Any],
        *,
        classes: list[str],
        measurement: str,
        output: Output = "heatmaps",
        sigma_px: PositiveFloat = 2.0,
        sort_ends: bool = True,
    ):
        """Check the classes against the output.

        Args:
            settings: of the measurer; empty.
            classes: ofd_1, ofd_2, bpd_1, bpd_2; before them `head` for a mask from the same net.
            measurement: landmarks.
            output: of the model: heatmaps [h, w, K], or coordinates [4, 2].
            sigma_px: standard deviation of a heatmap's Gaussian, pixels of the network's frame.
            sort_ends: make the left end of an axis its first; false keeps the annotation's order.
        """
        self._measure_by(measurement, classes, settings)
        if output == "coordinates" and tuple(classes) != LANDMARKS:
            raise ConfigError(
                f"task.classes: found {classes}; coordinates are {', '.join(LANDMARKS)}"
            )
        self.head: Literal["sigmoid", "softmax", "linear"] = (
            "linear" if output == "coordinates" else "sigmoid"
        )
        self._output, self._sigma_px, self._sort_ends = output, sigma_px, sort_ends
        self._masked = "head" in self.classes
        self.columns = declare(
            figures("mask_dice", "mask_iou", better="higher") if self._masked else (),
            LANDMARK_COLUMNS,
            *(quantity.columns() for quantity in self.quantities),
            values("lowest_peak"),
            facts("mm_per_pixel"),
            [Column("radial_error", "lower")],  # while training
        )

    def target(self, sample: Sample, letterbox: Letterbox) -> Target:
        """The landmarks; with a `head` class also its coverage of each pixel."""
        points = letterbox.to_target(_truth(sample))
        if self._masked:
            return Target(letterbox.apply_coverage(binary_mask(sample, "head"))[..., None], points)
        size = (letterbox.target_height, letterbox.target_width)
        return Target(np.zeros((*size, 0), np.uint8), points)

    def encode(self, target: Target) -> np.ndarray:
        """Heatmaps float32 [h, w, K], or coordinates float32 [4, 3]: x and y as shares, weight.

        The ends of an axis are sorted here, after augmentation: mirroring swaps left and right.
        """
        height, width = target.maps.shape[:2]
        points = canonical(target.points) if self._sort_ends else target.points
        x, y = points.T
        shown = (x >= -0.5) & (x < width - 0.5) & (y >= -0.5) & (y < height - 0.5)
        if self._output == "coordinates":
            shares = np.where(shown[:, None], to_shares(points, height, width), 0)
            return np.column_stack([shares, shown]).astype(np.float32)
        maps = [self._heatmap(p, s, height, width) for p, s in zip(points, shown, strict=True)]
        return np.concatenate([coverage_shares(target.maps), np.stack(maps, axis=-1)], axis=-1)

    def known_channels(self, target: np.ndarray) -> np.ndarray:
        """The mask, and the heatmaps of landmarks inside the frame."""
        known = np.asarray(target.reshape(-1, target.shape[-1]).any(axis=0))
        known[: int(self._masked)] = True
        return known

    def _heatmap(self, point: np.ndarray, shown: bool, height: int, width: int) -> np.ndarray:
        """A Gaussian of height 1 at a landmark, float32 [h, w]; zeros if it is not in the frame."""
        if not shown:
            return np.zeros((height, width), np.float32)
        along_x, along_y = (
            np.exp(-((np.arange(length) - center) ** 2) / (2 * self._sigma_px**2))
            for length, center in ((width, point[0]), (height, point[1]))
        )
        return np.outer(along_y, along_x).astype(np.float32)

    def training_metrics(self, image_size: tuple[int, int]) -> list[keras.metrics.Metric]:
        """Mean radial error in pixels of the network's frame; with a mask also its Dice."""
        if self._output == "coordinates":
            return [CoordinateError(image_size)]
        error = HeatmapError(first_channel=int(self._masked))
        return [error, Dice(name="mask_dice", channel=0)] if self._masked else [error]

    def evaluate(
        self,
        probabilities: np.ndarray,
        sample: Sample,
        letterbox: Letterbox,
        gather: Gathered | None = None,
    ) -> Row:
        """Radial errors in the original image, and the errors of OFD, BPD and HC.

        A refused measurement has no lengths in mm, but its radial errors count.
        """
        measurement = self.measurer.measure(probabilities, letterbox, sample.mm_per_pixel)
        assert isinstance(measurement, LandmarkMeasurement) and measurement.reading is not None
        points = measurement.reading.points
        shape = (letterbox.source_height, letterbox.source_width)
        row: Row = {}
        if self._masked:
            raw = overlap_metrics(
                letterbox.restore(probabilities[..., 0]) >= LEVEL, binary_mask(sample, "head")
            )
            row |= {"mask_dice": raw["dice"], "mask_iou": raw["iou"]}
        mm_per_pixel = None if measurement.refused else sample.mm_per_pixel
        row |= landmark_columns(points, _truth(sample), shape, mm_per_pixel)
        row["lowest_peak"] = measurement.lowest_peak
        return row_of(sample, measurement, row)

    def summarise(self, rows: pd.DataFrame, seed: int) -> dict[str, Any]:
        """Radial errors over all landmarks, success rates, span of the predictions."""
        return landmark_section(rows)

    def draw(
        self,
        image: np.ndarray,
        probabilities: np.ndarray,
        letterbox: Letterbox,
        sample: Sample,
    ) -> np.ndarray:
        """The predicted axes and the expert's."""
        measurement = self.measurer.measure(probabilities, letterbox, sample.mm_per_pixel)
        truth = measure_reading(Reading(_truth(sample)), letterbox, sample.mm_per_pixel)
        return self.measurer.draw(image, measurement, truth=truth)


def _truth(sample: Sample) -> np.ndarray:
    if sample.load_landmarks is None:
        raise DataError(f"{sample.image_path}: sample {sample.id} has no landmarks")
    return sample.load_landmarks()
