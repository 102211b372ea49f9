"""Refit: train with the validation frames too, after a run without them has been measured.

`train.refit: RUN` names that run. What it held out for validation is learnt as well; the
thresholds and the expected error that were fitted to those frames, and the figures on them, are
taken from there. Test frames and negatives stay held out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fetal_tf.config.loading import differences, load_config
from fetal_tf.config.tree import Config
from fetal_tf.data.sample import Sample
from fetal_tf.data.splits import SplitRow, read_splits
from fetal_tf.edge.errors import ConfigError
from fetal_tf.runs.environment import read_environment
from fetal_tf.runs.history import has_finished, read_history
from fetal_tf.runs.lineage import ANCESTORS, descent, other_ancestor
from fetal_tf.runs.measurement_settings import read_settings

# Keys that may differ from the measured run, because no weight depends on them. (The nets that a
# run descends from are compared by their checksums; their paths may differ.)
FREE = (
    "name", "train.refit", "train.workers", "train.overlay_every", "model.init", "teacher.bundles",
    "export.", "tracking", "mlflow.", "published",
)  # fmt: skip


def refit_split(config: Config, refit: Path, samples: Sequence[Sample]) -> dict[str, SplitRow]:
    """The split of the measured run, its validation frames among the training frames.

    Args:
        config: of the new run.
        refit: the measured run.
        samples: of all that the config names.

    Raises:
        ConfigError: no trained run there, or one of another recipe, by the first key that differs.
        DataError: it was made of other samples.
    """
    check_recipe(config, refit, descent(config))
    negative = {sample.id for sample in samples if sample.negative}
    return {
        id: replace(row, split="train") if row.split == "val" and id not in negative else row
        for id, row in read_splits(refit / "splits.csv", samples).items()
    }


def check_recipe(config: Config, refit: Path, descended: Mapping[str, Any]) -> None:
    """Check that a run has the recipe of the measured run, whose figures will stand for it.

    Args:
        config: of the run.
        refit: the measured run.
        descended: the files that the run descends from, see `environment.descent`.

    Raises:
        ConfigError: the measured run is not finished, or was made otherwise.
    """
    measured = _measured_config(refit)
    if measured.train.refit is not None:
        raise ConfigError(f"train.refit: {refit} is a refit itself; name the run that was measured")
    for key, there, here in differences(measured, config):
        if not (key.startswith(FREE) or key.endswith(".root")):
            raise ConfigError(
                f"train.refit: {refit} has another recipe, so its figures do not stand for this "
                f"run: {key} is {there!r} there and {here!r} here"
            )
    record = read_environment(refit)
    other = other_ancestor(record, descended)
    if other is not None:
        raise ConfigError(
            f"train.refit: {refit} descends from another model, so its figures do not stand for "
            f"this run: {ANCESTORS[other]} is {record.get(other)} there and "
            f"{descended.get(other)} here"
        )


def settings_of(refit: Path) -> dict[str, Any]:
    """The fitted settings of the measured run's measurer.

    Raises:
        ConfigError: no trained run there, or one without thresholds.
    """
    _measured_config(refit)
    settings = read_settings(refit)
    if not settings:
        raise ConfigError(
            f"train.refit: {refit} has no thresholds that belong to its best.keras; "
            f"`python -m export {refit}` fits them"
        )
    return settings


def _measured_config(refit: Path) -> Config:
    """The config of the measured run; raises ConfigError where no finished run is there."""
    if not (refit / "best.keras").is_file():
        raise ConfigError(
            f"train.refit: {refit} is no trained run; train it first, for its figures stand for "
            "this one"
        )
    config = load_config(refit / "config.yaml")
    if not has_finished(refit):
        epochs = len(read_history(refit / "metrics.csv"))
        raise ConfigError(
            f"train.refit: {refit} has finished {epochs} of {config.train.epochs} epochs; go on "
            "with --resume there first"
        )
    return config
