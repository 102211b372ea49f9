"""Reconstruction: a frame against what an autoencoder makes of it, and if it shows the plane."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import keras
import numpy as np

from fetal_tf.data.pipeline.targets import Target, coverage_shares
from fetal_tf.data.sample import Sample
from fetal_tf.edge.bundle.measurers import MEASURERS, Measurement
from fetal_tf.edge.errors import ConfigError
from fetal_tf.edge.geometry.letterbox import Letterbox
from fetal_tf.edge.io.images import read_gray
from fetal_tf.edge.measure.plane import PlaneMeasurement
from fetal_tf.edge.measure.plane_features import FEATURES
from fetal_tf.edge.measure.plane_reference import fit_plane
from fetal_tf.losses.reconstruction import mean_squared_error
from fetal_tf.scores.columns import Column, ParityLimits, declare, figures, values
from fetal_tf.scores.rows import Row
from fetal_tf.tasks.plain import PlainTask
from fetal_tf.tasks.registry import TASKS
from fetal_tf.tasks.task import Gathered, Task

MEASUREMENT = "plane"
FALSE_ALARM_RATE = 0.05  # share of the validation frames that the plane score flags

# How far an exported file may drift from the float model, over paired images. 8-bit output has
# steps of 1/256, which a similarity of smooth dark areas notices.
PARITY_LIMITS: ParityLimits = dict(
    full={"ssim_abs_delta_mean": 1e-3, "plane_score_abs_delta_mean": 0.01},
    half={"ssim_abs_delta_mean": 2e-3, "plane_score_abs_delta_mean": 0.02},
    quantized={"ssim_abs_delta_mean": 0.02, "plane_score_abs_delta_mean": 0.1},
)


class ReconstructionTask(PlainTask):
    """The frame is its own target. `classes` is the name of the plane that the frames show.

    Augmentation moves the target as it moves the frame, and changes the gray values of the frame
    alone: with noise, blur or contrast in the recipe the net learns to take them back, a denoising
    autoencoder (Vincent et al. 2008, ICML); with geometry alone it learns to copy.
    """

    name = "reconstruction"
    measurement = MEASUREMENT
    headline: tuple[str, ...] = ("ssim", "reconstruction_error", "plane_score")
    columns: Mapping[str, Column] = declare(
        figures("ssim", better="higher"),
        figures("reconstruction_error", "plane_score", better="lower"),
        values(*(f"plane_{name}" for name in FEATURES)),
    )
    parity_limits: ParityLimits = PARITY_LIMITS
    head: Literal["sigmoid", "softmax", "linear"] = "sigmoid"
    fits_measurer = True

    def __init__(self, classes: list[str], measurement: str, settings: Mapping[str, Any]):
        if measurement != MEASUREMENT:
            raise ConfigError(
                f"task.measurement: found {measurement!r}; this task is measured by {MEASUREMENT}"
            )
        self.classes = tuple(classes)
        self.measurement_settings = settings
        try:
            self.measurer = MEASURERS[measurement](self.classes, settings)
        except ValueError as error:
            where = "measurement.json" if settings else "task.classes"
            raise ConfigError(f"{where}: {error}") from error
        if "threshold" not in settings:  # nothing to hold a score's drift against
            self.parity_limits = {
                name: {k: v for k, v in limits.items() if not k.startswith("plane_score")}
                for name, limits in PARITY_LIMITS.items()
            }

    def target(self, sample: Sample, letterbox: Letterbox) -> Target:
        """The frame, and 255 where it is no padding, uint8 [h, w, 2]."""
        frame = letterbox.apply(read_gray(sample.image_path))
        inside = np.zeros_like(frame)
        inside[letterbox.content] = 255
        return Target(np.stack([frame, inside], axis=-1))

    def encode(self, target: Target) -> np.ndarray:
        """Gray values 0..1 and the weight of each pixel, float32 [h, w, 2].

        What augmentation brings in from outside the frame weighs nothing, like the padding.
        """
        return coverage_shares(target.maps)

    def training_metrics(self, image_size: tuple[int, int]) -> list[keras.metrics.Metric]:
        """The mean squared error inside the frame, whatever the loss."""
        return [keras.metrics.MeanMetricWrapper(mean_squared_error, name="reconstruction_error")]

    def fit_measurer(
        self,
        training: Iterable[Sample],
        validation: Iterable[tuple[Sample, Measurement]],
    ) -> dict[str, Any]:
        """Features of the validation images, and the distance that 5 % of them reach.

        Training images take no part: the net has seen them and reconstructs them better.
        """
        measured = [m.features for _, m in validation if isinstance(m, PlaneMeasurement)]
        return fit_plane(measured, FALSE_ALARM_RATE)

    def evaluate(
        self,
        probabilities: np.ndarray,
        sample: Sample,
        letterbox: Letterbox,
        gather: Gathered | None = None,
    ) -> Row:
        """Error, similarity, features and score of one frame, its padding left out."""
        measured = self.measurer.measure(probabilities, letterbox, sample.mm_per_pixel)
        return {"id": sample.id, "group": sample.group, **measured.as_record()}

    def draw(
        self,
        image: np.ndarray,
        probabilities: np.ndarray,
        letterbox: Letterbox,
        sample: Sample,
    ) -> np.ndarray:
        """Frame, reconstruction and the map of their differences."""
        if probabilities.shape[-1] == 1:  # the net's own output, as training draws it
            frame = coverage_shares(letterbox.apply(image))[..., None]
            probabilities = np.concatenate([probabilities, frame], axis=-1)
        measured = self.measurer.measure(probabilities, letterbox, sample.mm_per_pixel)
        return self.measurer.draw(image, measured)


@TASKS.register("reconstruction")
def reconstruction(settings: Mapping[str, Any], *, classes: list[str], measurement: str) -> Task:
    """Reconstruct frames of one plane, named by `classes`; the measurement is `plane`."""
    return ReconstructionTask(classes, measurement, settings)
