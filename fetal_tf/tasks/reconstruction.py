"""Reconstruction task: an autoencoder's error on a frame, and whether it shows the plane."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import keras
import numpy as np

from fetal_tf.data.pipeline.targets import Target, coverage_shares
from fetal_tf.data.sample import Sample
from fetal_tf.edge.bundle.measurers import Measurement
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
from fetal_tf.tasks.task import Gathered

FALSE_ALARM_RATE = 0.05  # share of the validation frames that the plane score flags

# How far an exported file may drift from the float model, over paired images. 8-bit output has
# steps of 1/256, which change the SSIM of smooth dark areas.
PARITY_LIMITS: ParityLimits = dict(
    full={"ssim_abs_delta_mean": 1e-3, "plane_score_abs_delta_mean": 0.01},
    half={"ssim_abs_delta_mean": 2e-3, "plane_score_abs_delta_mean": 0.02},
    quantized={"ssim_abs_delta_mean": 0.02, "plane_score_abs_delta_mean": 0.1},
)


@TASKS.register("reconstruction")
class ReconstructionTask(PlainTask):
    """The frame is its own target. `classes` names the one plane that the frames show.

    Geometric augmentation moves frame and target alike; noise, blur and contrast change the frame
    only. With those in the recipe the net is a denoising autoencoder (Vincent et al. 2008, ICML);
    without them it learns to copy.
    """

    name = "reconstruction"
    measurement = "plane"
    headline: tuple[str, ...] = ("ssim", "reconstruction_error", "plane_score")
    columns: Mapping[str, Column] = declare(
        figures("ssim", better="higher"),
        figures("reconstruction_error", "plane_score", better="lower"),
        values(*(f"plane_{name}" for name in FEATURES)),
    )
    parity_limits: ParityLimits = PARITY_LIMITS
    head: Literal["sigmoid", "softmax", "linear"] = "sigmoid"
    fits_measurer = True

    def __init__(self, settings: Mapping[str, Any], *, classes: list[str], measurement: str):
        self._measure_by(measurement, classes, settings)
        if "threshold" not in settings:  # then the plane score decides nothing
            self.parity_limits = {
                name: {k: v for k, v in limits.items() if not k.startswith("plane_score")}
                for name, limits in PARITY_LIMITS.items()
            }

    def target(self, sample: Sample, letterbox: Letterbox) -> Target:
        """The frame and a mask (255 inside the frame, 0 in its padding), uint8 [h, w, 2]."""
        frame = letterbox.apply(read_gray(sample.image_path))
        inside = np.zeros_like(frame)
        inside[letterbox.content] = 255
        return Target(np.stack([frame, inside], axis=-1))

    def encode(self, target: Target) -> np.ndarray:
        """Gray values 0..1 and the weight of each pixel, float32 [h, w, 2].

        Padding has the weight 0, and so has what augmentation brings in from outside the frame.
        """
        return coverage_shares(target.maps)

    def training_metrics(self, image_size: tuple[int, int]) -> list[keras.metrics.Metric]:
        """Mean squared error inside the frame."""
        return [keras.metrics.MeanMetricWrapper(mean_squared_error, name="reconstruction_error")]

    def fit_measurer(
        self,
        training: Iterable[Sample],
        validation: Iterable[tuple[Sample, Measurement]],
    ) -> dict[str, Any]:
        """The distribution of the plane features, and the threshold of the plane score.

        Only validation images are used: the net reconstructs its training images better. 5 % of
        them reach the threshold.
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
        """Squared error, SSIM, plane features and plane score of one frame without its padding."""
        measured = self.measurer.measure(probabilities, letterbox, sample.mm_per_pixel)
        record = {k: v for k, v in measured.as_record().items() if k != "notes"}
        return {"id": sample.id, "group": sample.group, **record}

    def draw(
        self,
        image: np.ndarray,
        probabilities: np.ndarray,
        letterbox: Letterbox,
        sample: Sample,
    ) -> np.ndarray:
        """The frame, its reconstruction and the map of differences."""
        if probabilities.shape[-1] == 1:  # the net's own output, as training draws it
            frame = coverage_shares(letterbox.apply(image))[..., None]
            probabilities = np.concatenate([probabilities, frame], axis=-1)
        measured = self.measurer.measure(probabilities, letterbox, sample.mm_per_pixel)
        return self.measurer.draw(image, measured)
