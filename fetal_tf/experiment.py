"""Build the task, data, model, loss and optimizer of a config; this file knows all registries."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras

from fetal_tf.config.registry import nearest
from fetal_tf.config.tree import Config
from fetal_tf.data.configured import ConfiguredData, check_data
from fetal_tf.data.pipeline.augment import Augmenter
from fetal_tf.edge.errors import ConfigError
from fetal_tf.losses import LOSSES
from fetal_tf.losses.class_pixels import ClassPixels
from fetal_tf.models import MODELS
from fetal_tf.models.saving import dtype_policy
from fetal_tf.optimizers import OPTIMIZERS, SCHEDULES, Schedule
from fetal_tf.scores.columns import better
from fetal_tf.scores.monitor import Monitor
from fetal_tf.tasks import TASKS
from fetal_tf.tasks.task import Task


@dataclass(frozen=True)
class Experiment:
    """A checked config and its task; builds and compiles the model.

    Example::

        experiment = open_experiment(config)
        model = experiment.build_model()
        experiment.compile(model, steps_per_epoch=50)
    """

    config: Config
    task: Task
    augmenter: Augmenter

    @property
    def data(self) -> ConfiguredData:
        """The config's datasets and how they are divided."""
        return ConfiguredData(self.config.data, self.config.split, self.config.train.refit)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the network's input; one gray channel."""
        return (*self.config.data.image_size, 1)

    def build_model(self) -> keras.Model:
        """The model with weights initialised from `seed`, in the configured precision.

        Raises:
            ConfigError: an image size that the model cannot take, or an output activation that does
                not fit the classes.
        """
        keras.utils.set_random_seed(self.config.seed)
        with dtype_policy(self.config.train.precision):
            model = MODELS.build(
                "model", self.config.model.spec(), self.input_shape, len(self.task.classes)
            )
        self._check_head(model)
        return model

    def _check_head(self, model: keras.Model) -> None:
        found, needed = model.layers[-1].activation.__name__, self.task.head
        if found != needed:
            what = {
                "softmax": "exclude each other",
                "sigmoid": "may overlap, or are one",
                "linear": "are coordinates",
            }[needed]
            key = "model.name" if "linear" in (found, needed) else "model.head"
            raise ConfigError(
                f"{key}: found {found}; the classes {', '.join(self.task.classes)} of task "
                f"{self.task.name} {what} and need {needed}"
            )

    @property
    def monitor(self) -> Monitor:
        """The metric that chooses the best epoch."""
        return _monitor(self.config, self.task)

    def check_monitor(self) -> None:
        """Raise ConfigError if `train.monitor` is no metric of this experiment."""
        names = [
            "loss",
            *(metric.name for metric in self.task.training_metrics(self.config.data.image_size)),
        ]
        known = [*(f"val_{name}" for name in names), *names]
        monitor = self.config.train.monitor
        if monitor not in known:
            raise ConfigError(
                f"train.monitor: {monitor} is not measured{nearest(monitor, known)}; "
                f"allowed: {', '.join(known)}"
            )

    def check_loss(self, class_pixels: ClassPixels | None) -> None:
        """Raise ConfigError if the loss cannot be built with these class counts."""
        LOSSES.build("loss", self.config.loss.spec(), class_pixels)

    def compile(
        self,
        model: keras.Model,
        steps_per_epoch: int,
        class_pixels: ClassPixels | None = None,
        schedule: dict[str, Any] | None = None,
    ) -> Schedule:
        """Compile the model with loss, optimizer and metrics; return the schedule.

        Args:
            model: any model of this experiment.
            steps_per_epoch: batches of an epoch; schedules are converted from epochs to batches.
            class_pixels: pixels of each class in the training frames, for class weights.
            schedule: replaces the config's schedule.
        """
        config = self.config
        optimizer_spec = config.optimizer.spec()
        accumulated = config.train.accumulate_batches
        rate = OPTIMIZERS.check("optimizer", optimizer_spec)["learning_rate"]
        total_steps = steps_per_epoch * config.train.epochs
        spec = schedule or config.schedule.spec()
        built = SCHEDULES.build("schedule", spec, rate, total_steps, steps_per_epoch)
        model.compile(
            optimizer=OPTIMIZERS.build("optimizer", optimizer_spec, built, accumulated),
            loss=LOSSES.build("loss", config.loss.spec(), class_pixels),
            metrics=self.task.training_metrics(self.config.data.image_size),
            jit_compile=config.train.jit_compile or keras.backend.backend() == "jax",
            steps_per_execution=config.train.steps_per_execution,
        )
        return built


def open_experiment(
    config: Config, measurement_settings: Mapping[str, Any] | None = None
) -> Experiment:
    """Check all names and parameters of `config` before any data is read, and build the task.

    Args:
        config: the resolved tree.
        measurement_settings: settings of the measurer that a trained run has fitted, see
            `fetal_tf.runs.measurement_settings`.

    Raises:
        ConfigError: the key of the first unknown name, unknown parameter or wrong type.
    """
    for key, registry in (
        ("model", MODELS),
        ("loss", LOSSES),
        ("optimizer", OPTIMIZERS),
        ("schedule", SCHEDULES),
    ):
        registry.check(key, getattr(config, key).spec())
    _check_aspect_ratio(config)
    _check_conventions(config)
    data = config.data
    check_data(data)
    task = TASKS.build("task", config.task.spec(), measurement_settings or {})
    for name, source in data.sources.items():
        if source.negative and not task.learns_negatives:
            raise ConfigError(
                f"data.mixed_with.{name}.negative: the task {task.name} has no answer for a frame "
                "that shows nothing of it"
            )
    recipe = [transform.spec() for transform in config.augment]
    return Experiment(config, task, Augmenter(recipe, data.image_size, task.target_interpolation))


def monitor_of(config: Config) -> Monitor:
    """The metric that chooses the best epoch, with its direction as the task declares it."""
    return _monitor(config, TASKS.build("task", config.task.spec(), {}))


def _monitor(config: Config, task: Task) -> Monitor:
    name = config.train.monitor
    direction = better(task.columns, name)
    if direction not in ("higher", "lower"):
        raise ConfigError(f"train.monitor: {name} is nothing that the task {task.name} follows")
    return Monitor(name, falls=direction == "lower")


def _check_aspect_ratio(config: Config) -> None:
    """The `aspect_ratio` of a loss has to be height / width of `data.image_size`."""
    stated = config.loss.spec().get("aspect_ratio")
    height, width = config.data.image_size
    if stated is not None and abs(stated * width - height) > 0.5:
        raise ConfigError(
            f"loss.aspect_ratio: found {stated:g}; data.image_size [{height}, {width}] has "
            f"height / width {height / width:.4f}"
        )


def _check_conventions(config: Config) -> None:
    """A caliper convention has to name a dataset of `data.mixed_with`, else it has no effect."""
    known = [name for name, source in config.data.mixed_with.items() if not source.negative]
    for name in config.task.spec().get("conventions") or {}:
        if name not in known:
            raise ConfigError(
                f"task.conventions: found {name!r}{nearest(name, known)}; data.mixed_with has "
                f"{', '.join(known) or 'no dataset'}"
            )
