"""Where a net trains: on one device, on all of a machine, or in several processes together.

Wherever it is, a step takes the same batch, and the same mean gradient: devices share its frames.
What is not shared, validation above all, is done with a copy of the net on one device, see
`fetal_tf.training.judged`.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import keras
import numpy as np

from fetal_tf.config.tree import TrainConfig
from fetal_tf.edge.errors import ConfigError, FetalTFError
from fetal_tf.training.joining import Job, join


class Distribution:
    """One device of one process. What trains on more of them says what differs.

    Attributes:
        devices: how many share each batch.
        rank: the number of this process, from 0.
        processes: how many train together.
    """

    devices: int = 1
    rank: int = 0
    processes: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes the run's files."""
        return self.rank == 0

    def building(self) -> AbstractContextManager[Any]:
        """Within the block the net, its optimizer and their saved state are made."""
        return nullcontext()

    def together(self) -> AbstractContextManager[Any]:
        """Within the block a process that is lost is an error of one line."""
        return nullcontext()

    def fitting(self) -> AbstractContextManager[Any]:
        """Within the block the net trains."""
        return nullcontext()

    def alone(self) -> AbstractContextManager[Any]:
        """Within the block, inside `fitting`, this process works on one device by itself."""
        return nullcontext()

    def share(self, model: keras.Model) -> None:
        """Let the net's batch statistics be those of the whole batch."""

    def check_alike(self, facts: Mapping[str, str]) -> None:
        """Check that all processes know the same.

        Raises:
            FetalTFError: names what differs.
        """

    def leaders(self, values: dict[str, float]) -> dict[str, float]:
        """The figures of the leading process, in every process, so that all decide alike."""
        return values


ONE_DEVICE = Distribution()


class Mirrored(Distribution):
    """All GPUs of a machine, else all logical CPUs, by TensorFlow's `MirroredStrategy`.

    Every device holds the weights and gets an equal part of each batch; gradients are summed, and
    batch normalisation looks at the whole batch.
    """

    def __init__(self, options: TrainConfig):
        """Take the devices.

        Raises:
            ConfigError: another backend than TensorFlow, or a batch that cannot be shared evenly.
        """
        backend = keras.backend.backend()
        if backend != "tensorflow":
            raise ConfigError(
                f"train.distribute: mirrored needs the TensorFlow backend, this is {backend}; "
                "leave the key out, or set KERAS_BACKEND=tensorflow"
            )
        import tensorflow as tf

        found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        self.devices = len(found)
        _check_even(options, self.devices)
        self._strategy = tf.distribute.MirroredStrategy([device.name for device in found])

    def building(self) -> AbstractContextManager[Any]:
        return self._strategy.scope()

    def share(self, model: keras.Model) -> None:
        for layer in _normalisations(model):
            layer.synchronized = True


class Joined(Distribution):
    """Several processes, on one machine or more, by `keras.distribution.DataParallel` on JAX.

    Each process decodes and augments its part of every batch. A step sees the whole batch, so batch
    statistics and losses are those of one process up to the order of sums.
    """

    def __init__(self, options: TrainConfig, job: Job):
        """Meet the other processes.

        Raises:
            ConfigError: another backend than JAX, or a batch that cannot be shared evenly.
            FetalTFError: the coordinator cannot be reached, or not all processes came.
        """
        if options.distribute != "none":
            raise ConfigError(
                f"train.distribute: {options.distribute} is one process with several devices, "
                "--coordinator joins several processes; leave one out"
            )
        join(job)
        import jax

        self.rank, self.processes = job.process, job.processes
        self.devices = jax.device_count()
        _check_even(options, self.devices)
        self._parallel = keras.distribution.DataParallel(auto_shard_dataset=False)

    def building(self) -> AbstractContextManager[Any]:
        return self._parallel.scope()

    def fitting(self) -> AbstractContextManager[Any]:
        return self._parallel.scope()

    @contextmanager
    def together(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if isinstance(error, FetalTFError) or not _lost(error):
                raise
            raise FetalTFError(
                f"process {self.rank} of {self.processes}: another process of this job has ended "
                f"({' '.join(str(error).split())[:160]}); what it said is on its own screen. The "
                "last finished epoch is kept: start all processes again with --resume"
            ) from error

    @contextmanager
    def alone(self) -> Iterator[None]:
        keras.distribution.set_distribution(None)
        try:
            yield
        finally:
            keras.distribution.set_distribution(self._parallel)

    def check_alike(self, facts: Mapping[str, str]) -> None:
        theirs = self._said_by_leader(dict(facts))
        other = [name for name in facts if theirs.get(name) != facts[name]]
        if other:
            raise FetalTFError(
                f"process {self.rank} of {self.processes} differs from process 0 in "
                f"{', '.join(other)}; all processes train one run, from the same files"
            )

    def leaders(self, values: dict[str, float]) -> dict[str, float]:
        return self._said_by_leader(values)

    def _said_by_leader(self, said: dict[str, Any]) -> dict[str, Any]:
        from jax.experimental.multihost_utils import broadcast_one_to_all

        text = np.frombuffer(json.dumps(said).encode(), np.uint8)
        size = int(broadcast_one_to_all(np.int32(len(text))))
        sent = np.zeros(size, np.uint8)
        if self.leads:
            sent[:] = text
        return json.loads(np.asarray(broadcast_one_to_all(sent)).astype(np.uint8).tobytes())


def open_distribution(options: TrainConfig, job: Job | None) -> Distribution:
    """What the section `train` and the command line ask for.

    Raises:
        ConfigError, FetalTFError: it cannot be had here, see the classes.
    """
    if job is not None:
        return Joined(options, job)
    return Mirrored(options) if options.distribute == "mirrored" else ONE_DEVICE


@contextmanager
def of_one_device(model: keras.Model) -> Iterator[None]:
    """Within the block the net is described as it would be on one device, for saving it.

    Other backends than TensorFlow refuse a layer that is `synchronized`.
    """
    layers = [layer for layer in _normalisations(model) if layer.synchronized]
    for layer in layers:
        layer.synchronized = False
    try:
        yield
    finally:
        for layer in layers:
            layer.synchronized = True


def _normalisations(model: keras.Model) -> list[Any]:
    every = model._flatten_layers(include_self=False, recursive=True)
    return [layer for layer in every if isinstance(layer, keras.layers.BatchNormalization)]


def _check_even(options: TrainConfig, devices: int) -> None:
    if options.batch_size % devices:
        raise ConfigError(
            f"train.batch_size: {options.batch_size} frames cannot be shared evenly by {devices} "
            "devices"
        )


def _lost(error: Exception) -> bool:
    """Whether an error of the backend is that of talking to another process."""
    words = ("Gloo", "NCCL", "peer", "coordination", "heartbeat", "DEADLINE_EXCEEDED")
    return any(word in str(error) for word in words)
