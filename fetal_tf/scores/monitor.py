"""The monitored metric of training: it chooses the best epoch, stops early and lowers the rate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fetal_tf.edge.errors import FetalTFError

History = Sequence[Mapping[str, float]]


@dataclass(frozen=True)
class Monitor:
    """A metric of each epoch, and which way it improves.

    Attributes:
        name: as Keras calls it, such as `val_dice`.
        falls: whether lower is better.
    """

    name: str
    falls: bool

    def costs(self, history: History) -> list[float]:
        """One value per epoch, lower is better; infinity where the metric is not finite."""
        if any(self.name not in row for row in history):
            raise FetalTFError(
                f"metrics.csv: has no column {self.name}, which train.monitor names; --resume "
                "writes the table anew"
            )
        values = [row[self.name] if self.falls else -row[self.name] for row in history]
        return [float(value) if np.isfinite(value) else np.inf for value in values]

    def best_epoch(self, history: History) -> int:
        """Index of the best row, the earliest of equals; ValueError on an empty history."""
        return int(np.argmin(self.costs(history)))

    def epochs_without_gain(self, history: History, min_delta: float = 0.0) -> int:
        """Epochs since the metric last improved by more than `min_delta`."""
        best, waited = np.inf, 0
        for cost in self.costs(history):
            if cost < best - min_delta:
                best, waited = cost, 0
            else:
                waited += 1
        return waited
