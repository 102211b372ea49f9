"""What a task does where it does nothing special; each of these may be overridden."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd

from fetal_tf.data.pipeline.targets import Target
from fetal_tf.data.sample import Sample
from fetal_tf.edge.bundle.measurers import Measurement, Measurer
from fetal_tf.losses.class_pixels import ClassPixels
from fetal_tf.scores.columns import Column
from fetal_tf.scores.quantities import Quantity
from fetal_tf.tasks.task import Gathered


class PlainTask:
    """A task without fitted settings, whose every figure is a mean of a column. See `Task`."""

    pooled_headline: tuple[str, ...] = ()
    quantities: tuple[Quantity, ...] = ()
    scores: Mapping[str, tuple[str, ...]] = {}
    fits_measurer = False
    learns_negatives = False
    target_interpolation: Literal["linear", "nearest"] = "linear"

    measurer: Measurer
    columns: Mapping[str, Column]

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The published columns, in the order of their declaration."""
        return tuple(name for name, column in self.columns.items() if column.published)

    def known_channels(self, target: np.ndarray) -> np.ndarray:
        """Every channel says something."""
        return np.ones(target.shape[-1], bool)

    def measurer_of(self, sample: Sample) -> Measurer:
        """The experts of every dataset measure alike."""
        return self.measurer

    def count_pixels(self, targets: Iterable[Target]) -> ClassPixels | None:
        """There are no exclusive classes to weigh against each other."""
        return None

    def fit_measurer(
        self,
        training: Iterable[Sample],
        validation: Iterable[tuple[Sample, Measurement]],
    ) -> dict[str, Any]:
        """Nothing is fitted: the measurer's limits hold for every net."""
        return {}

    def gather(self) -> Gathered:
        """Nothing is pooled over pixels."""
        return {}

    def pooled(self, rows: pd.DataFrame) -> dict[str, float | None]:
        """Every figure is a mean of its column."""
        return {}

    def summarise(self, rows: pd.DataFrame, seed: int) -> dict[str, Any]:
        """Nothing beside the columns."""
        return {}

    def tables(self, rows: pd.DataFrame) -> Mapping[str, pd.DataFrame]:
        """Nothing beside per_image.csv."""
        return {}
