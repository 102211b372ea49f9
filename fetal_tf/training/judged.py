"""The net as it is judged: validated, drawn, and saved as the best one."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import keras

from fetal_tf.experiment import Experiment
from fetal_tf.losses.class_pixels import ClassPixels
from fetal_tf.training.distribution import Distribution
from fetal_tf.training.weight_average import WeightAverage


class Judged:
    """The net that trains, with averaged weights where they are kept."""

    def __init__(self, average: WeightAverage | None = None):
        self._average = average

    def of(self, model: keras.Model) -> AbstractContextManager[keras.Model]:
        """The net to judge instead of `model`, for the length of a `with` block."""
        return nullcontext(model) if self._average is None else self._average.applied()


class JudgedCopy(Judged):
    """A copy on one device of a net that several train.

    Keras' own validation of a shared net wants full batches, of which each device has a part. The
    copy takes frames one by one, and one process may use it while the others do something else.
    """

    def __init__(
        self,
        experiment: Experiment,
        distribution: Distribution,
        average: WeightAverage | None,
        class_pixels: ClassPixels | None,
    ):
        """Build the copy; call this outside of the distribution's blocks."""
        super().__init__(average)
        self._distribution = distribution
        self._copy = experiment.build_model()
        experiment.compile(self._copy, 1, class_pixels)

    @contextmanager
    def of(self, model: keras.Model) -> Iterator[keras.Model]:
        source = [*self._average.averages().values()] if self._average else model.get_weights()
        with self._distribution.alone():
            self._copy.set_weights(source)
            yield self._copy
