"""A run's folder: training creates or reopens it, evaluation and export open it."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import keras

from fetal_tf.config.loading import differences, flattened, load_config, save_config
from fetal_tf.config.tree import Config
from fetal_tf.data.credit import DataCredit, write_credits
from fetal_tf.data.sample import Sample
from fetal_tf.data.splits import SplitRow, read_splits, write_splits
from fetal_tf.edge.errors import ConfigError, FetalTFError
from fetal_tf.edge.io.files import write_text_atomic
from fetal_tf.edge.io.folders import staged_folder
from fetal_tf.experiment import Experiment, open_experiment
from fetal_tf.losses.class_pixels import ClassPixels
from fetal_tf.models.predictor import KerasPredictor
from fetal_tf.models.saving import load_model
from fetal_tf.runs.environment import environment, read_environment
from fetal_tf.runs.history import read_history
from fetal_tf.runs.lineage import (
    ANCESTORS,
    descent,
    inherited,
    other_ancestor,
    teachers,
    write_inherited,
)
from fetal_tf.runs.measurement_settings import read_settings
from fetal_tf.tasks.task import Task


@dataclass(frozen=True)
class Run:
    """A folder that training wrote: resolved config, splits, best model and history."""

    path: Path
    experiment: Experiment

    @property
    def config(self) -> Config:
        return self.experiment.config

    @property
    def task(self) -> Task:
        return self.experiment.task

    @property
    def input_shape(self) -> tuple[int, int, int]:
        return self.experiment.input_shape

    @cached_property
    def splits(self) -> dict[str, SplitRow]:
        return read_splits(self.path / "splits.csv")

    @property
    def history(self) -> list[dict[str, float]]:
        """Rows of metrics.csv, empty before the first epoch has ended."""
        return read_history(self.path / "metrics.csv")

    def samples(
        self, part: str, data_root: Path | None = None, dataset: str | None = None
    ) -> list[Sample]:
        """Samples of train, val, test or all, from the run's own data or from another root."""
        return self.experiment.data.samples_of(part, self.splits, data_root, dataset)

    def negatives(self, part: str, data_root: Path | None = None) -> list[Sample]:
        """Samples of the negative datasets, see `ConfiguredData.negatives_of`."""
        return self.experiment.data.negatives_of(part, self.splits, data_root)

    def keras_model(self) -> keras.Model:
        """The best model, read in safe mode."""
        return load_model(self.path / "best.keras")

    def keras_predictor(self) -> KerasPredictor:
        return KerasPredictor(self.keras_model())


def open_run(path: Path) -> Run:
    """Open a run's folder.

    Raises:
        ConfigError: not a run, or a config that this version cannot read.
    """
    config_path = Path(path) / "config.yaml"
    if not config_path.is_file():
        raise ConfigError(f"{path}: not a run: it has no config.yaml")
    settings = read_settings(Path(path))
    return Run(Path(path), open_experiment(load_config(config_path), settings))


def create_run(
    path: Path,
    config: Config,
    splits: dict[str, SplitRow],
    command: list[str],
    class_pixels: ClassPixels | None = None,
    credits: Sequence[DataCredit] = (),
) -> None:
    """Make a run's folder and write what is known before the first step.

    Args:
        path: of the run.
        config: resolved.
        splits: of all samples.
        command: as typed.
        class_pixels: pixels of each class in the training frames, for tasks that count them.
        credits: whom to thank for the data, see `fetal_tf.data.credit`.

    Raises:
        FetalTFError: the folder exists.
    """
    if path.exists():
        raise FetalTFError(
            f"{path}: this run exists; continue it with --resume, or choose another --name"
        )
    with staged_folder(path) as folder:
        record = json.dumps(environment(config, command), indent=2)
        write_text_atomic(folder / "environment.json", record)
        write_splits(folder / "splits.csv", splits)
        write_inherited(folder, inherited(config))
        if class_pixels is not None:
            counts = json.dumps(class_pixels.as_record(), indent=2)
            write_text_atomic(folder / "class_pixels.json", counts)
        if credits:
            write_credits(folder, credits)
        save_config(config, folder / "config.yaml")


# Keys that may differ when a run is resumed: they cannot change a batch. (A teacher may have moved;
# its checksum says whether it is the same.)
MOVABLE = (
    "data.root", "train.workers", "train.overlay_every",
    "model.init", "teacher.bundles", "tracking", "mlflow.", "published",
)  # fmt: skip


def _may_move(key: str) -> bool:
    return key.startswith(MOVABLE) or bool(re.fullmatch(r"data\.mixed_with\..+\.root", key))


def unmovable(config: Config) -> dict[str, Any]:
    """What a run may not change: the config's values by key, without those of `MOVABLE`."""
    values = flattened(config.model_dump(mode="json"))
    return {key: value for key, value in values.items() if not _may_move(key)}


def reopen_run(path: Path, experiment: Experiment, command: list[str]) -> dict[str, SplitRow]:
    """Prepare a run's folder to be resumed, with the config that it was started with.

    `train.epochs` may have grown: the run goes on, and a schedule that depends on the number of
    epochs follows the new one. (A refit's may not: it has the epochs of the measured run.) The keys
    of `MOVABLE` may differ. The resumption is noted in environment.json, beside the start.

    Returns:
        The run's own split.

    Raises:
        ConfigError: no run there, or a key that differs, with both values.
    """
    config = experiment.config
    if not path.is_dir():
        raise ConfigError(f"{path}: no run to resume; start it without --resume")
    if (path / "best.keras").is_file() and not (path / "last.keras").is_file():
        raise ConfigError(
            f"{path}: last.keras is gone, and resuming without it would overwrite best.keras; "
            "put it back, or train under another --name"
        )
    saved = load_config(path / "config.yaml")
    for key, old, new in differences(saved, config):
        longer = config.train.epochs > saved.train.epochs and config.train.refit is None
        grown = key == "train.epochs" and longer
        if not grown and not _may_move(key):
            raise ConfigError(
                f"{path}: {key} was {old!r} when the run started and is {new!r} "
                "now; resume with the run's own config.yaml, or choose another --name"
            )
    splits = read_splits(path / "splits.csv", experiment.data.read())
    record = read_environment(path)
    # Once an epoch is finished, the first weights no longer matter and may be gone.
    begun = (path / "last.keras").is_file()
    now = {"teachers": teachers(config)} if begun else descent(config)
    other = other_ancestor(record, now, now)
    if other is not None:
        raise ConfigError(
            f"{path}: {ANCESTORS[other]}: another model lies there than when the run started; put "
            "the old one back, or choose another --name"
        )
    if saved != config:
        save_config(config, path / "config.yaml")
    record.setdefault("resumed", []).append(environment(config, command, resumed=True))
    write_text_atomic(path / "environment.json", json.dumps(record, indent=2))
    return splits
