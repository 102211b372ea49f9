"""The protocol every task fulfils; evaluation, parity and the report know only this."""

from collections.abc import Mapping
from typing import Protocol

import keras
import numpy as np

from fetal_tf.data.sample import Sample
from fetal_tf.edge.preprocess import Letterbox

Row = dict[str, float | str | None]


class Task(Protocol):
    """From a sample to a target, from an output to a row of scores and a picture.

    Attributes:
        name: the registered name, recorded in bundles.
        classes: what the output channels mean.
        measurement: key of `fetal_tf.edge.measurements.MEASURERS`.
        metric_names: numeric columns of a row that a summary describes.
        headline: the columns that a one-line summary shows; the first is better when higher, the
            last sorts worst cases by its absolute value.
        parity_limits: format → delta → limit that an exported file must keep.
    """

    name: str
    classes: tuple[str, ...]
    measurement: str
    metric_names: tuple[str, ...]
    headline: tuple[str, ...]
    parity_limits: Mapping[str, Mapping[str, float]]

    def target(self, sample: Sample, letterbox: Letterbox) -> np.ndarray:
        """Training target, uint8 [h, w, K] in the network's frame; 255 = full coverage."""
        ...

    def training_metrics(self) -> list[keras.metrics.Metric]:
        """Fresh metrics for `model.compile`."""
        ...

    def evaluate(self, probabilities: np.ndarray, sample: Sample, letterbox: Letterbox) -> Row:
        """One flat row of scores, measurements and flags for one frame's output [h, w, K]."""
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
