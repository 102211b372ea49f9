"""A head's mask, and from the same net which way its long axis points and whose frame it is."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from fetal_tf.axis_losses import AxisError
from fetal_tf.data.sample import Sample
from fetal_tf.data.targets import Target, coverage_shares
from fetal_tf.edge.axis import AXIS, axis_maps
from fetal_tf.edge.convention import conventions_of
from fetal_tf.edge.ellipse import rasterise
from fetal_tf.edge.errors import ConfigError, DataError
from fetal_tf.edge.landmarks import AXES, landmark_ellipse
from fetal_tf.edge.preprocess import Letterbox
from fetal_tf.metrics import Dice
from fetal_tf.tasks import TASKS
from fetal_tf.tasks.segmentation import SegmentationTask
from fetal_tf.tasks.task import Task

CLASSES = ("head", *AXIS)


class HeadAxisTask(SegmentationTask):
    """Segmentation of the head whose ellipse is turned to the axis that the net shows.

    Classes behind the axis are sources of `data.mixed_with` whose experts measure otherwise than
    those of the first dataset: their heads are learnt as outlines, and given as they would.
    """

    name = "head_axis"

    def __init__(
        self,
        classes: list[str],
        measurement: str,
        settings: Mapping[str, Any],
        conventions: Mapping[str, Mapping[str, float]],
    ):
        if conventions:
            settings = {**settings, "conventions": conventions}
        super().__init__(classes, measurement, settings)
        self._centres = self.classes[len(CLASSES) :]
        self._conventions = {c.name: c for c in conventions_of(settings, self._centres)}

    def _check_classes(self, classes: list[str]) -> None:
        if tuple(classes[: len(CLASSES)]) != CLASSES:
            raise ConfigError(
                f"task.classes: found {classes}; this task's are {', '.join(CLASSES)}, and behind "
                "them the sources of task.conventions"
            )

    def target(self, sample: Sample, letterbox: Letterbox) -> Target:
        """The share of each pixel that the head covers, and the ends of OFD and BPD."""
        if sample.load_landmarks is None:
            raise DataError(f"{sample.image_path}: sample {sample.id} has no landmarks")
        landmarks = sample.load_landmarks()
        maps = super().target(sample, letterbox).maps
        convention = self._conventions.get(sample.source)
        if convention is not None:
            outline = convention.outline(landmark_ellipse(landmarks))
            head = rasterise(outline, (letterbox.source_height, letterbox.source_width))
            maps = letterbox.apply_coverage(head)[..., None]
        return Target(maps, letterbox.to_target(landmarks), sample.source)

    def encode(self, target: Target) -> np.ndarray:
        """Coverage, both maps of `fetal_tf.edge.axis`, each centre's map: float32 [h, w, K], 0..1.

        A centre's map is 1 on its own frames and 0 on others. The axis is the OFD's direction
        wherever augmentation has moved its ends; one that it has torn apart (NaN) is unknown: 0.5
        twice.
        """
        coverage = coverage_shares(target.maps)
        x, y = np.diff(target.points[AXES["ofd"]], axis=0)[0]
        values = (0.5, 0.5)
        if np.isfinite([x, y]).all():
            values = axis_maps(np.degrees(np.arctan2(y, x)))
        frame = np.array([*values, *(target.source == name for name in self._centres)], np.float32)
        maps = np.broadcast_to(frame, (*coverage.shape[:2], len(frame)))
        return np.concatenate([coverage, maps], axis=-1)

    def training_metrics(self, image_size: tuple[int, int]) -> list[keras.metrics.Metric]:
        """Dice per image of the mask, and by how many degrees the axis is off."""
        return [Dice(name="dice", channel=0), AxisError()]


@TASKS.register("head_axis")
def head_axis(
    settings: Mapping[str, Any],
    *,
    classes: list[str],
    measurement: str,
    conventions: dict[str, dict[str, float]] = {},  # noqa: B006  (never changed)
) -> Task:
    """The mask of the head and the direction of its long axis: head, axis_cos, axis_sin.

    `conventions` names the further sources and how far the outline of a head exceeds what their
    experts draw, `{NAME: {ofd: 1.03, bpd: 1.02}}`, see `fetal_tf.edge.convention`.
    """
    return HeadAxisTask(classes, measurement, settings, conventions)
