"""From a config to the things it names: the only file that knows every registry."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras

from fetal_tf.config.registry import nearest
from fetal_tf.config.tree import Config, SourceConfig
from fetal_tf.data.mixture import by_source, named_source, source_and_id, unnamed_source
from fetal_tf.data.negatives import as_negatives
from fetal_tf.data.pipeline.augment import Augmenter
from fetal_tf.data.readers import DATASETS
from fetal_tf.data.sample import Sample
from fetal_tf.data.splits import SplitRow, split_groups, validate_on_fold
from fetal_tf.edge.errors import ConfigError, DataError
from fetal_tf.losses import LOSSES
from fetal_tf.losses.class_pixels import ClassPixels
from fetal_tf.models import MODELS
from fetal_tf.models.saving import dtype_policy
from fetal_tf.optimizers import OPTIMIZERS, SCHEDULES, Schedule
from fetal_tf.scores.columns import better
from fetal_tf.scores.monitor import Monitor
from fetal_tf.tasks import TASKS
from fetal_tf.tasks.task import Task

PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class Experiment:
    """A config whose every name and parameter has been checked, with its task built."""

    config: Config
    task: Task
    augmenter: Augmenter

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the network's input; ultrasound is gray."""
        return (*self.config.data.image_size, 1)

    def read_samples(
        self,
        data_root: Path | None = None,
        dataset: str | None = None,
        negative: bool | None = None,
    ) -> list[Sample]:
        """Every annotated frame under the config's roots, or those under another one.

        `exclude` and `options` of the config belong to one of its datasets: they are applied to
        its root alone, and the options to any root of the same dataset.

        Args:
            data_root: another root; None takes the config's.
            dataset: the layout there. One of the datasets that the config mixes is read alone;
                without either argument all of them are.
            negative: True reads the config's negatives alone, False all but them; the others' roots
                are not looked at.

        Raises:
            ConfigError: the root does not exist.
            DataError: what is wrong with the dataset.
        """
        sources = self.config.data.sources
        wanted = {n: s for n, s in sources.items() if negative in (None, s.negative)}
        chosen = self._source(dataset)
        if data_root is None and (dataset is None or (chosen is not None and len(sources) > 1)):
            names = wanted if dataset is None else [n for n in wanted if n == chosen]
            return [sample for name in names for sample in self._read(name, sources[name])]
        if data_root is not None and not data_root.is_dir():
            raise ConfigError(f"--data-root: {data_root} is not a folder")
        if chosen is None:
            root = data_root or self.config.data.root
            return [] if negative else DATASETS.build("data", {"name": dataset}, root)
        return self._read(chosen, sources[chosen], data_root) if chosen in wanted else []

    def is_own(self, data_root: Path | None, dataset: str | None = None) -> bool:
        """Whether these are the config's data, of which `splits.csv` speaks."""
        chosen = self._source(dataset)
        if chosen is None:
            return False
        root = self.config.data.sources[chosen].root
        return data_root is None or data_root.resolve() == root.resolve()

    def _source(self, dataset: str | None) -> str | None:
        """Which of the config's datasets is meant; the first where none is named."""
        sources = self.config.data.sources
        if dataset is None:
            return ""
        if dataset in sources:
            return dataset
        return next((name for name, s in sources.items() if s.dataset == dataset), None)

    def _read(self, name: str, source: SourceConfig, data_root: Path | None = None) -> list[Sample]:
        root = data_root or source.root
        if not root.is_dir():
            way_out = "train with --set KEY=DIR, evaluate and export with --data-root DIR"
            key = f"data.mixed_with.{name}.root" if name else "data.root"
            raise ConfigError(f"{key}: {root} is not a folder; {way_out.replace('KEY', key)}")
        spec = {"name": source.dataset, **source.options}
        if root.resolve() == source.root.resolve():
            spec["exclude"] = source.exclude
        samples = DATASETS.build("data", spec, root)
        if source.negative:
            samples = as_negatives(samples)
        return named_source(samples, name, self.config.data.mixed_with)

    def samples_of(
        self,
        part: str,
        splits: Mapping[str, SplitRow],
        data_root: Path | None = None,
        dataset: str | None = None,
    ) -> list[Sample]:
        """Samples of train, val, test or all, from the config's root or from another one.

        Without negatives: there is nothing to measure on them, see `negatives_of`. None at all
        where `dataset` is one of them.

        Raises:
            DataError: there are none, or a refit is asked for its validation frames.
        """
        samples = self.read_samples(data_root, dataset, negative=False)
        chosen = self._source(dataset)
        if chosen is not None and self.config.data.sources[chosen].negative:
            return []
        refit = self.config.train.refit
        if refit is not None and part == "val" and chosen is not None:
            raise DataError(
                f"{data_root or self.config.data.root}: no sample belongs to the split 'val': the "
                f"net has learnt the validation frames too; {refit.name} was measured on them "
                "before, and the card of the bundle states its figures"
            )
        return select(samples, splits, part, str(data_root or self.config.data.root))

    def negatives_of(
        self,
        part: str,
        splits: Mapping[str, SplitRow],
        data_root: Path | None = None,
        dataset: str | None = None,
    ) -> list[Sample]:
        """The config's negatives of a part, see `fetal_tf.data.negatives`; there may be none.

        They choose no epoch and fit no threshold: val and test are both all that is held out.
        """
        samples = self.read_samples(data_root, dataset, negative=True)
        source = str(data_root or self.config.data.root)
        held_out = ("val", "test")
        parts = held_out if part in held_out else (part,)
        return [s for p in parts for s in belonging_to(samples, splits, p, source)]

    def split(self, samples: list[Sample]) -> dict[str, SplitRow]:
        """Assign every sample to train, val or test, whole groups at a time, each source by itself.

        Negatives are drawn by the names that they have alone: where another run learns their
        dataset, as a net that this one starts from may have done, both hold out the same frames.
        """
        split = self.config.split
        rows: dict[str, SplitRow] = {}
        for name, part in by_source(samples).items():
            negative = self.config.data.sources[name].negative
            drawn = split_groups(
                [unnamed_source(sample) for sample in part] if negative else part,
                val=split.val,
                test=split.test,
                seed=split.seed,
                folds=split.folds,
                stratify=split.stratify,
            )
            rows |= {
                s.id: replace(r, id=s.id, group=s.group)
                for s, r in zip(part, drawn.values(), strict=True)
            }
        return rows if split.fold is None else validate_on_fold(rows, split.fold)

    def build_model(self) -> keras.Model:
        """The model with fresh weights from `seed`, under the configured precision.

        Raises:
            ConfigError: a size that it cannot take, or a head of another kind than the classes.
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
        """What chooses the best epoch."""
        return _monitor(self.config, self.task)

    def check_monitor(self) -> None:
        """Raises ConfigError where `train.monitor` will not be measured."""
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
        """Raises ConfigError where the loss cannot be built for what the training frames hold."""
        LOSSES.build("loss", self.config.loss.spec(), class_pixels)

    def compile(
        self,
        model: keras.Model,
        steps_per_epoch: int,
        class_pixels: ClassPixels | None = None,
        schedule: dict[str, Any] | None = None,
    ) -> Schedule:
        """Attach loss, optimizer and metrics; returns the schedule for its plateau, if any.

        Args:
            model: any model of this experiment.
            steps_per_epoch: what a schedule counts in.
            class_pixels: what the training frames hold, for losses that weigh classes by it.
            schedule: another schedule than the config's.
        """
        config = self.config
        optimizer_spec = config.optimizer.spec()
        rate = OPTIMIZERS.check("optimizer", optimizer_spec)["learning_rate"]
        total_steps = steps_per_epoch * config.train.epochs
        spec = schedule or config.schedule.spec()
        built = SCHEDULES.build("schedule", spec, rate, total_steps, steps_per_epoch)
        model.compile(
            optimizer=OPTIMIZERS.build("optimizer", optimizer_spec, built),
            loss=LOSSES.build("loss", config.loss.spec(), class_pixels),
            metrics=self.task.training_metrics(self.config.data.image_size),
            jit_compile=config.train.jit_compile,
        )
        return built


def open_experiment(
    config: Config, measurement_settings: Mapping[str, Any] | None = None
) -> Experiment:
    """Check every component of `config` before anything is read, and build the task.

    Args:
        config: the resolved tree.
        measurement_settings: what a trained run has fitted for its measurer, see
            `fetal_tf.runs.measurement_settings`.

    Raises:
        ConfigError: the first unknown name, unknown parameter or wrong type, by its key.
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
    for name, source in data.sources.items():
        _check_source(f"data.mixed_with.{name}" if name else "data", source)
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
    """What chooses the best epoch; the task says which way it improves."""
    return _monitor(config, TASKS.build("task", config.task.spec(), {}))


def _monitor(config: Config, task: Task) -> Monitor:
    name = config.train.monitor
    return Monitor(name, falls=better(task.columns, name) == "lower")


def _check_aspect_ratio(config: Config) -> None:
    """A loss that states the frame's height / width has to state that of `data.image_size`."""
    stated = config.loss.spec().get("aspect_ratio")
    height, width = config.data.image_size
    if stated is not None and abs(stated * width - height) > 0.5:
        raise ConfigError(
            f"loss.aspect_ratio: found {stated:g}; data.image_size [{height}, {width}] has "
            f"height / width {height / width:.4f}"
        )


def _check_conventions(config: Config) -> None:
    """A caliper convention belongs to a dataset that is mixed in; any other would do nothing."""
    known = [name for name, source in config.data.mixed_with.items() if not source.negative]
    for name in config.task.spec().get("conventions") or {}:
        if name not in known:
            raise ConfigError(
                f"task.conventions: found {name!r}{nearest(name, known)}; data.mixed_with has "
                f"{', '.join(known) or 'no dataset'}"
            )


def _check_source(key: str, source: SourceConfig) -> None:
    name, known = str(source.dataset), DATASETS.names()
    if name not in known:
        raise ConfigError(
            f"{key}.dataset: unknown dataset {name!r}{nearest(name, known)}; "
            f"allowed: {', '.join(known)}"
        )
    DATASETS.check(f"{key}.options", {"name": name, **source.options})


def negative_ids(config: Config, ids: Iterable[str]) -> set[str]:
    """Which of the ids belong to negatives of the config."""
    mixed = config.data.mixed_with
    negative = {name for name, source in mixed.items() if source.negative}
    return {id for id in ids if source_and_id(id, mixed)[0] in negative}


def select(
    samples: list[Sample], splits: Mapping[str, SplitRow], part: str, source: str
) -> list[Sample]:
    """The samples that `belonging_to` finds; raises DataError also where there are none."""
    chosen = belonging_to(samples, splits, part, source)
    if part != "all" and not chosen:
        raise DataError(f"{source}: no sample belongs to the split {part!r}")
    return chosen


def belonging_to(
    samples: list[Sample], splits: Mapping[str, SplitRow], part: str, source: str
) -> list[Sample]:
    """The samples of one part (train, val, test), or all of them.

    A sample that the run has never seen belongs to the part that its dataset prescribes: an
    official test set may be added after training. It stays with its group, so that the copy of a
    training image is none of the test; where the training images are not at hand, nobody can tell.

    Raises:
        DataError: a sample of which neither the split file nor the dataset knows the part.
    """
    if part == "all":
        return samples
    by_group = {s.group: splits[s.id].split for s in samples if s.id in splits}
    parts = {s.id: s.official_split and by_group.get(s.group, s.official_split) for s in samples}
    parts |= {s.id: splits[s.id].split for s in samples if s.id in splits}
    unknown = [id for id, known in parts.items() if known is None]
    if unknown:
        raise DataError(
            f"{source}: {len(unknown)} samples are not in the run's splits.csv "
            f"(first: {unknown[0]}); evaluate other data with --split all"
        )
    return [s for s in samples if parts[s.id] == part]
