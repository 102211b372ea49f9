"""The protocol every task fulfils; evaluation, parity and the report know only this."""

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

Gathered = Mapping[str, PixelLevels]  # structure → its probabilities over all images' pixels


class Task(Protocol):
    """From a sample to a target, from an output to a row of scores and a picture.

    A task is built from its config and from the measurement settings of a run, a JSON tree that
    `fit_measurer` has made; it is empty until a run has been trained.

    Attributes:
        name: the registered name, recorded in bundles.
        classes: what the output channels mean.
        measurement: key of `fetal_tf.edge.bundle.measurers.MEASURERS`.
        measurer: that measurer, with this task's classes and settings.
        measurement_settings: what the measurer was made with, for the bundle.
        columns: every numeric column of a row, by name: which of them `summary.json` describes,
            which way each improves, which of them parity compares.
        metric_names: the published columns, in order.
        scores: columns that are shown together by a name, such as a dataset's official score.
        headline: the columns that a one-line summary shows; the first is better when higher, the
            last sorts worst cases by its absolute value.
        pooled_headline: the figures of `pooled` that are shown beside the headline; may be empty.
        quantities: the measurements whose agreement the report draws, the first one largest.
        parity_limits: precision of a format → delta → limit that an exported file must keep.
        head: the activation of a model's output that suits the classes: softmax where each pixel
            is exactly one of them, sigmoid for other maps, linear for coordinates.
        target_interpolation: how augmentation moves a target's maps: coverage linearly, labels
            nearest.
        fits_measurer: whether `fit_measurer` has anything to fit.
        learns_negatives: whether a frame that shows nothing of the task has a target, and its
            measurement a way to refuse it.
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
        """What augmentation moves, in the network's frame."""
        ...

    def encode(self, target: Target) -> np.ndarray:
        """A target as the loss takes it, float32, most often [h, w, K] in 0..1."""
        ...

    def known_channels(self, target: np.ndarray) -> np.ndarray:
        """Which channels of an encoded target say something, bool [K].

        Losses know the others by exact values and treat them otherwise: they stay as they are.
        """
        ...

    def measurer_of(self, sample: Sample) -> Measurer:
        """What measures a frame as the experts of its dataset do; most often `measurer`."""
        ...

    def count_pixels(self, targets: Iterable[Target]) -> ClassPixels | None:
        """What the training targets hold, for tasks of exclusive classes.

        Raises:
            DataError: a class that none of them holds: it cannot be learnt.
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
        """Settings fitted to a trained run, in JSON types; empty where nothing is fitted.

        Args:
            training: samples with the expert's truth.
            validation: the validation samples, and what the trained model measures on them.
        """
        ...

    def gather(self) -> Gathered:
        """Fresh collectors of what is pooled over the pixels of all images; empty for most."""
        ...

    def evaluate(
        self,
        probabilities: np.ndarray,
        sample: Sample,
        letterbox: Letterbox,
        gather: Gathered | None = None,
    ) -> Row:
        """One flat row of scores, measurements and flags for one frame's output [h, w, K].

        Args:
            probabilities: the net's output.
            sample: the frame and its truth.
            letterbox: how the frame was fitted into the net's.
            gather: of this task, filled on the way.
        """
        ...

    def pooled(self, rows: pd.DataFrame) -> dict[str, float | None]:
        """Figures over all scored images that are no mean of a column; empty where there are none.

        Parity compares them between formats, each under `pooled_NAME_delta`.
        """
        ...

    def summarise(self, rows: pd.DataFrame, seed: int) -> dict[str, Any]:
        """Further sections of `summary.json`, from the rows of the scored images."""
        ...

    def tables(self, rows: pd.DataFrame) -> Mapping[str, pd.DataFrame]:
        """Further CSV files of an evaluation, by file name without suffix."""
        ...

    def draw(
        self,
        image: np.ndarray,
        probabilities: np.ndarray,
        letterbox: Letterbox,
        sample: Sample,
    ) -> np.ndarray:
        """Truth and prediction over the original frame, RGB uint8 [H, W, 3]."""
        ...
