"""The base class of the tasks: what most of them have in common."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd

from fetal_tf.config.registry import nearest
from fetal_tf.data.pipeline.targets import Target
from fetal_tf.data.sample import Sample
from fetal_tf.edge.bundle.measurers import MEASURERS, Measurement, Measurer
from fetal_tf.edge.errors import ConfigError, DataError
from fetal_tf.losses.class_pixels import ClassPixels
from fetal_tf.scores.columns import Column
from fetal_tf.scores.quantities import Quantity
from fetal_tf.scores.rows import Row
from fetal_tf.tasks.task import Gathered


class PlainTask:
    """A task without fitted settings, whose figures are all means of columns; see `Task`.

    A task registers its class; the keywords of its `__init__` are the keys of `task` in a config.
    """

    measurement: str
    pooled_headline: tuple[str, ...] = ()
    quantities: tuple[Quantity, ...] = ()
    scores: Mapping[str, tuple[str, ...]] = {}
    fits_measurer = False
    learns_negatives = False
    target_interpolation: Literal["linear", "nearest"] = "linear"

    classes: tuple[str, ...]
    measurer: Measurer
    measurement_settings: Mapping[str, Any]
    columns: Mapping[str, Column]

    def _measure_by(
        self,
        measurement: str,
        classes: list[str],
        fitted: Mapping[str, Any],
        chosen: Mapping[str, Any] = {},
        key: str = "task.classes",
    ) -> None:
        """Set `classes` and `measurement_settings`, and build the measurer from them.

        Args:
            measurement: as the config names it; only the one of this class is allowed.
            classes: of the config.
            fitted: settings that a trained run has fitted.
            chosen: settings that the config chooses.
            key: the config key that an error names if nothing was fitted.

        Raises:
            ConfigError: another measurement, or the measurer cannot use the classes or settings.
        """
        if measurement != self.measurement:
            found = "found" if measurement in MEASURERS else "unknown measurement"
            raise ConfigError(
                f"task.measurement: {found} {measurement!r}"
                f"{nearest(measurement, [self.measurement])}; this task is measured by "
                f"{self.measurement}"
            )
        self.classes = tuple(classes)
        self.measurement_settings = {**chosen, **fitted}
        try:
            self.measurer = MEASURERS[measurement](self.classes, self.measurement_settings)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{'measurement.json' if fitted else key}: {error}") from error

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The published columns, in the order of their declaration."""
        return tuple(name for name, column in self.columns.items() if column.published)

    def known_channels(self, target: np.ndarray) -> np.ndarray:
        """All channels are known."""
        return np.ones(target.shape[-1], bool)

    def measurer_of(self, sample: Sample) -> Measurer:
        """The same measurer for all datasets."""
        return self.measurer

    def count_pixels(self, targets: Iterable[Target]) -> ClassPixels | None:
        """None: the classes are not exclusive."""
        return None

    def fit_measurer(
        self,
        training: Iterable[Sample],
        validation: Iterable[tuple[Sample, Measurement]],
    ) -> dict[str, Any]:
        """Nothing is fitted."""
        return {}

    def gather(self) -> Gathered:
        """Nothing is pooled over pixels."""
        return {}

    def pooled(self, rows: pd.DataFrame) -> dict[str, float | None]:
        """No pooled figures."""
        return {}

    def summarise(self, rows: pd.DataFrame, seed: int) -> dict[str, Any]:
        """No further sections."""
        return {}

    def tables(self, rows: pd.DataFrame) -> Mapping[str, pd.DataFrame]:
        """No files beside per_image.csv."""
        return {}


def row_of(sample: Sample, measurement: Measurement, scores: Row) -> Row:
    """The row of one image: its identity, then `scores`, then the flags of its measurement.

    A sample of a further dataset has its `source` too.
    """
    return {
        "id": sample.id,
        "group": sample.group,
        "mm_per_pixel": sample.mm_per_pixel,
        **({"source": sample.source} if sample.source else {}),
        **scores,
        "flags": "; ".join(measurement.flags),
        "refused": measurement.refused or "",
    }


def binary_mask(sample: Sample, structure: str) -> np.ndarray:
    """The expert's mask of one structure, bool [H, W].

    Raises:
        DataError: the sample has no mask, or one of other structures, or one of gray values: 1 is
            the structure, and a mask of 0 and 255 would hold none of it.
    """
    if sample.load_mask is None:
        raise DataError(f"{sample.image_path}: sample {sample.id} has no mask to compare with")
    if sample.labels is not None:
        raise DataError(
            f"{sample.image_path}: its mask holds {', '.join(sample.labels)}, none of which is "
            f"{structure} as this task learns it"
        )
    mask = sample.load_mask()
    if mask.max(initial=0) > 1:
        raise DataError(
            f"{sample.image_path}: the mask of sample {sample.id} holds the value {mask.max()}; "
            f"its reader must return 1 for {structure} and 0 elsewhere"
        )
    return mask == 1
