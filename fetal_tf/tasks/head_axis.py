"""Head axis task: the mask of the head and the direction of its long axis, from one net."""

from collections.abc import Mapping

import keras
import numpy as np

from fetal_tf.data.pipeline.targets import Target, coverage_shares
from fetal_tf.data.sample import Sample
from fetal_tf.edge.errors import ConfigError, DataError
from fetal_tf.edge.geometry.axis import AXIS, UNKNOWN, axis_maps
from fetal_tf.edge.geometry.landmarks import AXES
from fetal_tf.edge.geometry.letterbox import Letterbox
from fetal_tf.metrics.head_axis import AxisError
from fetal_tf.metrics.masks import Dice
from fetal_tf.scores.columns import Column, declare
from fetal_tf.tasks.registry import TASKS
from fetal_tf.tasks.segmentation import COLUMNS, SegmentationTask

CLASSES = ("head", *AXIS)


@TASKS.register("head_axis")
class HeadAxisTask(SegmentationTask):
    """Segmentation of the head; its ellipse is turned to the axis that the net predicts.

    Classes: head, axis_cos, axis_sin.
    """

    name = "head_axis"
    columns: Mapping[str, Column] = declare(
        COLUMNS.values(), [Column("axis_error", "lower")]
    )  # while training

    def _check_classes(self, classes: list[str]) -> None:
        if tuple(classes) != CLASSES:
            raise ConfigError(
                f"task.classes: found {classes}; this task's are {', '.join(CLASSES)}"
            )

    def target(self, sample: Sample, letterbox: Letterbox) -> Target:
        """The head's coverage of each pixel, and the ends of OFD and BPD."""
        if sample.load_landmarks is None:
            raise DataError(f"{sample.image_path}: sample {sample.id} has no landmarks")
        points = letterbox.to_target(sample.load_landmarks())
        return Target(super().target(sample, letterbox).maps, points)

    def encode(self, target: Target) -> np.ndarray:
        """Coverage and both maps of `fetal_tf.edge.geometry.axis`, float32 [h, w, 3], 0..1.

        The axis is the direction of the OFD after augmentation. Where an end of it is NaN, both
        maps are UNKNOWN.
        """
        coverage = coverage_shares(target.maps)
        x, y = np.diff(target.points[AXES["ofd"]], axis=0)[0]
        values = (UNKNOWN, UNKNOWN)
        if np.isfinite([x, y]).all():
            values = axis_maps(np.degrees(np.arctan2(y, x)))
        shape = (*coverage.shape[:2], len(AXIS))
        maps = np.broadcast_to(np.array(values, np.float32), shape)
        return np.concatenate([coverage, maps], axis=-1)

    def known_channels(self, target: np.ndarray) -> np.ndarray:
        """The mask, and both maps if the axis is known."""
        axis_known = bool((target[..., 1:] != UNKNOWN).any())
        return np.array([True, *[axis_known] * len(AXIS)])

    def training_metrics(self, image_size: tuple[int, int]) -> list[keras.metrics.Metric]:
        """Dice of the mask per image, and the angle error of the axis in degrees."""
        return [Dice(name="dice", channel=0), AxisError()]
