"""Landmarks: the ends of OFD and BPD, as coordinates or as maps, with the head's mask or without.

A landmark that the frame does not show, because augmentation has moved it out or because nobody
knows where it is, is no target: its map is empty, its coordinates weigh nothing.
"""

from collections.abc import Mapping
from typing import Any, Literal

import keras
import numpy as np
import pandas as pd
from pydantic import PositiveFloat

from fetal_tf.data.pipeline.targets import Target, coverage_shares
from fetal_tf.data.sample import Sample
from fetal_tf.edge.bundle.measurers import MEASURERS
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
from fetal_tf.tasks.plain import PlainTask
from fetal_tf.tasks.registry import TASKS
from fetal_tf.tasks.task import Gathered, Task

MEASUREMENT = "landmarks"
LEVEL = 0.5  # probability from which a pixel belongs to the raw mask
Output = Literal["heatmaps", "coordinates"]


# How far an exported file may drift from the float model, over paired images.
def _limits(radial_px: float, hc_mm: float) -> dict[str, float]:
    return {"radial_error_abs_delta_mean_px": radial_px, "hc_abs_delta_mean_mm": hc_mm}


PARITY_LIMITS: ParityLimits = dict(
    full=_limits(0.01, 0.01), half=_limits(0.1, 0.05), quantized=_limits(0.5, 0.3)
)


class LandmarkTask(PlainTask):
    """The four ends of OFD and BPD; with `head` among the classes also the mask around them."""

    name = "landmarks"
    measurement = MEASUREMENT
    headline: tuple[str, ...] = ("success_10px", "ofd_nme", "bpd_nme", "radial_error_px")
    quantities: tuple[Quantity, ...] = tuple(Quantity(name, "mm") for name in QUANTITIES)
    parity_limits: ParityLimits = PARITY_LIMITS

    def __init__(
        self,
        classes: list[str],
        measurement: str,
        settings: Mapping[str, Any],
        output: Output,
        sigma_px: float,
        sort_ends: bool,
    ):
        if measurement != MEASUREMENT:
            raise ConfigError(
                f"task.measurement: found {measurement!r}; this task is measured by {MEASUREMENT}"
            )
        if output == "coordinates" and tuple(classes) != LANDMARKS:
            raise ConfigError(
                f"task.classes: found {classes}; coordinates are {', '.join(LANDMARKS)}"
            )
        self.classes = tuple(classes)
        self.measurement_settings = settings
        try:
            self.measurer = MEASURERS[measurement](self.classes, settings)
        except ValueError as error:
            raise ConfigError(f"task.classes: {error}") from error
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
        """The landmarks, and with a `head` class the share of each pixel that it covers."""
        points = letterbox.to_target(_truth(sample))
        if self._masked:
            return Target(letterbox.apply_coverage(_mask(sample))[..., None], points)
        size = (letterbox.target_height, letterbox.target_width)
        return Target(np.zeros((*size, 0), np.uint8), points)

    def encode(self, target: Target) -> np.ndarray:
        """Maps float32 [h, w, K] or coordinates float32 [4, 3]: x and y share, and the weight.

        The ends of an axis are put in order after augmentation: a mirrored head has another left.
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
        """The mask, and the maps of landmarks that the frame shows."""
        known = np.asarray(target.reshape(-1, target.shape[-1]).any(axis=0))
        known[: int(self._masked)] = True
        return known

    def _heatmap(self, point: np.ndarray, shown: bool, height: int, width: int) -> np.ndarray:
        """A gaussian of height 1 about a landmark, float32 [h, w]; empty where it is not shown."""
        if not shown:
            return np.zeros((height, width), np.float32)
        along_x, along_y = (
            np.exp(-((np.arange(length) - center) ** 2) / (2 * self._sigma_px**2))
            for length, center in ((width, point[0]), (height, point[1]))
        )
        return np.outer(along_y, along_x).astype(np.float32)

    def training_metrics(self, image_size: tuple[int, int]) -> list[keras.metrics.Metric]:
        """Mean radial error in pixels of the network's frame; with a mask its Dice."""
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
        """Radial errors in the original image, and every measurement's error.

        What the network said has its radial errors also where the measurement refuses to give
        millimetres.
        """
        measurement = self.measurer.measure(probabilities, letterbox, sample.mm_per_pixel)
        assert isinstance(measurement, LandmarkMeasurement) and measurement.reading is not None
        points = measurement.reading.points
        shape = (letterbox.source_height, letterbox.source_width)
        row: Row = {"id": sample.id, "group": sample.group, "mm_per_pixel": sample.mm_per_pixel}
        if self._masked:
            raw = overlap_metrics(letterbox.restore(probabilities[..., 0]) >= LEVEL, _mask(sample))
            row |= {"mask_dice": raw["dice"], "mask_iou": raw["iou"]}
        mm_per_pixel = None if measurement.refused else sample.mm_per_pixel
        row |= landmark_columns(points, _truth(sample), shape, mm_per_pixel)
        row["lowest_peak"] = measurement.lowest_peak
        row["flags"] = "; ".join(measurement.flags)
        row["refused"] = measurement.refused or ""
        return row

    def summarise(self, rows: pd.DataFrame, seed: int) -> dict[str, Any]:
        """Errors over all landmarks, success rates, and how much the predictions span."""
        return landmark_section(rows)

    def draw(
        self,
        image: np.ndarray,
        probabilities: np.ndarray,
        letterbox: Letterbox,
        sample: Sample,
    ) -> np.ndarray:
        """Prediction and the expert's axes."""
        measurement = self.measurer.measure(probabilities, letterbox, sample.mm_per_pixel)
        truth = measure_reading(Reading(_truth(sample)), letterbox, sample.mm_per_pixel)
        return self.measurer.draw(image, measurement, truth=truth)


def _truth(sample: Sample) -> np.ndarray:
    if sample.load_landmarks is None:
        raise DataError(f"{sample.image_path}: sample {sample.id} has no landmarks")
    return sample.load_landmarks()


def _mask(sample: Sample) -> np.ndarray:
    """The head, bool [H, W]."""
    if sample.load_mask is None or sample.labels is not None:
        raise DataError(f"{sample.image_path}: sample {sample.id} has no mask of the head")
    return sample.load_mask() == 1


@TASKS.register("landmarks")
def landmarks(
    settings: Mapping[str, Any],
    *,
    classes: list[str],
    measurement: str,
    output: Output = "heatmaps",
    sigma_px: PositiveFloat = 2.0,
    sort_ends: bool = True,
) -> Task:
    """The ends of OFD and BPD.

    Args:
        settings: of the measurer; empty.
        classes: ofd_1, ofd_2, bpd_1, bpd_2; before them `head` for a mask from the same net.
        measurement: landmarks.
        output: of the model: heatmaps [h, w, K], or coordinates [4, 2].
        sigma_px: width of a heatmap's gaussian, pixels of the network's frame.
        sort_ends: call the left end of an axis its first; false takes the labels at their word.
    """
    return LandmarkTask(classes, measurement, settings, output, sigma_px, sort_ends)
