"""Exponential moving averages of a net's weights."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras import ops


class WeightAverage(keras.callbacks.Callback):
    """Exponential moving average of every weight, used for validation and for the best model.

    The statistics of batch normalisation are averaged with the weights, so that they fit each
    other; Keras' `use_ema` averages the trainable weights alone and pairs them with statistics of
    other weights. Early steps use a smaller decay, min(decay, (1 + t) / (10 + t)), so that the
    random initial weights are soon forgotten.

    It moves after each step of the optimizer. Where a callback is called after several steps
    (`train.steps_per_execution`), it moves once by as much.
    """

    def __init__(self, decay: float, average: dict[str, np.ndarray]):
        """Start from `average` (a resumed run) or, where it is empty, from the first weights."""
        super().__init__()
        self._decay = decay
        self._start = average
        self._pairs: list[tuple[keras.Variable, keras.Variable]] = []

    def on_train_begin(self, logs=None):
        for variable in self.model.weights:
            # A resumed run has an average of every weight; a KeyError here is a broken checkpoint.
            start = self._start[variable.path] if self._start else ops.convert_to_numpy(variable)
            copy = keras.Variable(start, dtype="float32", trainable=False)
            self._pairs.append((variable, copy))

        self._update = _compiled(self)
        self._steps = self._steps_done()

    def on_train_batch_end(self, batch, logs=None):
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()  # else the weights are those of the epoch's first step
        done = self._steps_done()
        if done == self._steps:
            return  # the optimizer still collects gradients
        decay = min(self._decay, (1 + done) / (10 + done)) ** (done - self._steps)
        self._steps = done
        self._update(decay)

    def _steps_done(self) -> int:
        return int(ops.convert_to_numpy(self.model.optimizer.iterations))

    def move(self, decay: Any, moved: Callable[[Any, list, list], list]) -> None:
        """Assign `moved(decay, weights, averages)` to the averages."""
        variables, copies = zip(*self._pairs, strict=True)
        values = moved(decay, [v.value for v in variables], [c.value for c in copies])
        for copy, value in zip(copies, values, strict=True):
            copy.assign(value)

    def on_test_begin(self, logs=None):
        self._swap()

    def on_test_end(self, logs=None):
        self._swap()

    def averages(self) -> dict[str, np.ndarray]:
        return {variable.path: ops.convert_to_numpy(copy) for variable, copy in self._pairs}

    @contextmanager
    def applied(self) -> Iterator[keras.Model]:
        """The trained model with averaged weights, for the length of a `with` block."""
        self._swap()
        try:
            yield self.model
        finally:
            self._swap()

    def _swap(self):
        for variable, copy in self._pairs:
            value = ops.convert_to_numpy(variable)
            variable.assign(ops.cast(copy, variable.dtype))
            copy.assign(value.astype("float32"))


def _compiled(average: "WeightAverage") -> Callable[[float], None]:
    """The update of all averages as one graph; one by one, the hundred weights of a small net
    cost as much as a tenth of a training step.
    """
    if keras.backend.backend() == "jax":
        import jax

        moved = jax.jit(_moved)

        def update(decay: float) -> None:
            average.move(decay, moved)

        return update
    import tensorflow as tf

    graph = tf.function(lambda decay: average.move(decay, _moved))
    return lambda decay: graph(tf.constant(decay, tf.float32))


def _moved(decay: Any, values: list[Any], averages: list[Any]) -> list[Any]:
    return [
        decay * average + (1 - decay) * ops.cast(value, "float32")
        for value, average in zip(values, averages, strict=True)
    ]
