"""The protocol of a task: all that training, evaluation, parity and the report know of it."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, Protocol

import keras
import numpy as np
import pandas as pd

from fetal_tf.data.pipeline.targets import Target
from fetal_tf.data.sample import Sample
from fetal_tf.edge.bundle.measurers import Measurement, Measurer
from fetal_tf.edge.geometry.letterbox import Letterbox
from fetal_tf.losses.class_pixels import ClassPixels
from fetal_tf.scores.columns import Column, ParityLimits
from fetal_tf.scores.pixel_levels import PixelLevels
from fetal_tf.scores.quantities import Quantity
from fetal_tf.scores.rows import Row

Gathered = Mapping[str, PixelLevels]  # structure → its probabilities in the pixels of all images


class Task(Protocol):
    """Makes targets from samples, and rows of scores and overlays from a net's output.

    A task is built from the measurement settings of a run (a JSON tree from `fit_measurer`, empty
    before training) and from its config::

        task = TASKS.build(
            "task", {"name": "segmentation", "classes": ["head"], "measurement": "head"}, {}
        )
        row = task.evaluate(probabilities, sample, letterbox)
        row["dice"], row["hc_error_mm"]

    Attributes:
        name: the registered name, recorded in bundles.
        classes: what the output channels mean.
        measurement: key of `fetal_tf.edge.bundle.measurers.MEASURERS`.
        measurer: that measurer, built with `classes` and `measurement_settings`.
        measurement_settings: settings of the measurer; a bundle stores them.
        columns: every numeric column of a row by name, with its direction, whether `summary.json`
            describes it and whether parity compares it.
        metric_names: the published columns, in order.
        scores: name → columns that are shown together, such as a dataset's official score.
        headline: the columns of a one-line summary. The first is better when higher; worst cases
            are sorted by the absolute value of the last.
        pooled_headline: the figures of `pooled` that are shown beside the headline; may be empty.
        quantities: the measurements with an agreement plot in the report, the first one largest.
        parity_limits: precision of a format → delta → largest delta of an exported file.
        head: the model's last activation: softmax for exclusive classes, sigmoid for other maps,
            linear for coordinates.
        target_interpolation: how augmentation resamples a target's maps: coverage linearly, labels
            by nearest neighbour.
        fits_measurer: whether `fit_measurer` has anything to fit.
        learns_negatives: whether a frame without the task's structures has a target, and its
            measurement can be refused.
    """

    name: str
    classes: tuple[str, ...]
    measurement: str
    measurer: Measurer
    measurement_settings: Mapping[str, Any]
    columns: Mapping[str, Column]
    scores: Mapping[str, tuple[str, ...]]
    headline: tuple[str, ...]
    pooled_headline: tuple[str, ...]
    quantities: tuple[Quantity, ...]
    parity_limits: ParityLimits
    head: Literal["sigmoid", "softmax", "linear"]
    target_interpolation: Literal["linear", "nearest"]
    fits_measurer: bool
    learns_negatives: bool

    @property
    def metric_names(self) -> tuple[str, ...]: ...

    def target(self, sample: Sample, letterbox: Letterbox) -> Target:
        """The target in the network's frame, before augmentation."""
        ...

    def encode(self, target: Target) -> np.ndarray:
        """The target for the loss, after augmentation: float32, most often [h, w, K] in 0..1."""
        ...

    def known_channels(self, target: np.ndarray) -> np.ndarray:
        """Which channels of an encoded target are annotated, bool [K].

        The others hold exact marker values that losses look for; nothing may change them.
        """
        ...

    def measurer_of(self, sample: Sample) -> Measurer:
        """The measurer for the drawing convention of a sample's dataset; most often `measurer`."""
        ...

    def count_pixels(self, targets: Iterable[Target]) -> ClassPixels | None:
        """Pixels of each class over the training targets; None unless classes are exclusive.

        Raises:
            DataError: no target holds a class, so it cannot be learnt.
        """
        ...

    def training_metrics(self, image_size: tuple[int, int]) -> list[keras.metrics.Metric]:
        """Fresh metrics for `model.compile`.

        Args:
            image_size: (height, width) of the network's frame, for metrics in its pixels.
        """
        ...

    def fit_measurer(
        self,
        training: Iterable[Sample],
        validation: Iterable[tuple[Sample, Measurement]],
    ) -> dict[str, Any]:
        """Settings of the measurer fitted after training, in JSON types; may be empty.

        Args:
            training: samples with the ground truth.
            validation: the validation samples, and the trained model's measurement of each.
        """
        ...

    def gather(self) -> Gathered:
        """Empty collectors of the figures pooled over the pixels of all images; most tasks: {}."""
        ...

    def evaluate(
        self,
        probabilities: np.ndarray,
        sample: Sample,
        letterbox: Letterbox,
        gather: Gathered | None = None,
    ) -> Row:
        """One flat row of scores, measurements and flags for one frame.

        Args:
            probabilities: the net's output [h, w, K].
            sample: the frame and its ground truth.
            letterbox: how the frame was fitted into the net's input.
            gather: the collectors of `gather`; this frame's pixels are added to them.
        """
        ...

    def pooled(self, rows: pd.DataFrame) -> dict[str, float | None]:
        """Figures over all scored images that are not the mean of a column; may be empty.

        Parity compares them between formats, each under `pooled_NAME_delta`.
        """
        ...

    def summarise(self, rows: pd.DataFrame, seed: int) -> dict[str, Any]:
        """Further sections of `summary.json`, from the rows of the scored images."""
        ...

    def tables(self, rows: pd.DataFrame) -> Mapping[str, pd.DataFrame]:
        """Further CSV files of an evaluation: file name without suffix → rows."""
        ...

    def draw(
        self,
        image: np.ndarray,
        probabilities: np.ndarray,
        letterbox: Letterbox,
        sample: Sample,
    ) -> np.ndarray:
        """Overlay of ground truth and prediction on the original frame, RGB uint8 [H, W, 3]."""
        ...
