"""Train and evaluate the folds of a cross-validation, each as a run of its own.

Each fold runs in a process of its own: its memory is freed at its end, and a fold that is killed
does not stop the others.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from fetal_tf.config.loading import load_config
from fetal_tf.config.tree import Config
from fetal_tf.edge.errors import ConfigError, FetalTFError
from fetal_tf.edge.io.stopping import Terminated, exit_code
from fetal_tf.evaluation.cross_validation import EVALUATION
from fetal_tf.runs.history import has_finished
from fetal_tf.runs.measurement_settings import read_settings
from fetal_tf.runs.run import open_run
from fetal_tf.scores.rows import read_rows


def fold_configs(config: Config, folds: int) -> list[Config]:
    """The config of each fold: named `NAME-fold0` …, validated on that fold.

    Raises:
        ConfigError: the config already names one fold, or another number of folds.
    """
    split = config.split
    if split.fold is not None:
        raise ConfigError(
            f"split.fold: {split.fold} is one fold, --folds {folds} trains them all; leave one out"
        )
    if split.folds not in (None, folds):
        raise ConfigError(f"split.folds: {split.folds} in the config, {folds} after --folds")
    return [
        config.model_copy(
            update={
                "name": f"{config.name}-fold{fold}",
                "split": split.model_copy(update={"folds": folds, "fold": fold}),
            }
        )
        for fold in range(folds)
    ]


def fold_options(config: Config) -> list[str]:
    """The options of `fetal_tf.train` that make a config that of its fold, with its name."""
    split = config.split
    fold = [] if split.fold is None else [f"split.folds={split.folds}", f"split.fold={split.fold}"]
    return ["--name", config.name, *(part for key in fold for part in ("--set", key))]


def check_folders(runs: Sequence[Path], *, resume: bool) -> None:
    """Check that new folds have no folders yet, and that resumed ones have at least one.

    Raises:
        FetalTFError: a run exists and `resume` is false.
        ConfigError: there is nothing to resume.
    """
    there = [run for run in runs if run.is_dir()]
    if there and not resume:
        raise FetalTFError(
            f"{there[0]}: this run exists; continue all folds with --resume, or choose another "
            "--name"
        )
    if resume and not there:
        raise ConfigError(f"{runs[0]}: no fold to resume; start them without --resume")


def train_folds(
    configs: Sequence[Config], runs: Sequence[Path], options: Sequence[str], *, resume: bool
) -> list[Path]:
    """Train and evaluate each fold as far as that is not done; a failed fold stops no other.

    Args:
        configs: of `fold_configs`.
        runs: the folder of each.
        options: command-line options of `fetal_tf.train`: the config and its changes.
        resume: continue folds that have begun.

    Returns:
        The folders of failed folds; each fold has printed the reason.

    Raises:
        FetalTFError: a fold could not begin, so the others could not either.
        KeyboardInterrupt: a fold was interrupted.
    """
    broken = []
    for number, (config, run) in enumerate(zip(configs, runs, strict=True)):
        print(f"fold {number} of {len(runs)}: {run}", flush=True)
        if not _train_fold(config, run, options, resume=resume):
            if not run.is_dir():
                raise FetalTFError(f"{run}: could not begin, for the reason above")
            broken.append(run)
    return broken


def _train_fold(config: Config, run: Path, options: Sequence[str], *, resume: bool) -> bool:
    """Train and evaluate one fold; returns whether both succeeded."""
    begun = resume and run.is_dir()
    if begun and is_finished(run, config):
        print(f"{run}: is finished")
    else:
        own = [*fold_options(config), *(["--resume"] if begun else [])]
        if run_module("fetal_tf.train", *options, *own):
            return False
    return is_evaluated(run) or not run_module("fetal_tf.evaluate", str(run), "--split", "val")


def run_module(
    module: str, *arguments: str, environment: Mapping[str, str] = MappingProxyType({})
) -> int:
    """Run a command in a new process and wait for it.

    Args:
        module: to run, with these arguments.
        arguments: of the command.
        environment: variables beside those of this process.

    Returns:
        Its exit code, below 0 where a signal has ended it.

    Raises:
        KeyboardInterrupt: this process or the new one was interrupted.
    """
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, env={**os.environ, **environment}) as process:
        try:
            code = process.wait()
        except KeyboardInterrupt as stopped:
            if isinstance(stopped, Terminated):
                process.terminate()
            process.wait()  # Ctrl-C has reached it too, it ends by itself
            raise
    for interrupt in (KeyboardInterrupt(), Terminated()):
        if code == exit_code(interrupt):
            raise interrupt
    return code


def is_finished(run: Path, config: Config) -> bool:
    """Whether a fold's folder shows that it needs no more training under `config`.

    False for a fold that was started with another config: resuming it names the difference.
    """
    if not (run / "best.keras").is_file() or load_config(run / "config.yaml") != config:
        return False
    fitted = not open_run(run).task.fits_measurer or bool(read_settings(run))
    return fitted and has_finished(run)


def is_evaluated(run: Path) -> bool:
    """Whether the validation results exist, have all columns and are newer than the model."""
    results = [run / EVALUATION / name for name in ("summary.json", "per_image.csv")]
    if not all(path.is_file() for path in results):
        return False
    written = min(path.stat().st_mtime_ns for path in results)
    made_with = [run / name for name in ("best.keras", "measurement.json")]
    if any(path.is_file() and path.stat().st_mtime_ns > written for path in made_with):
        return False
    return {*open_run(run).task.metric_names} <= {*read_rows(results[1])}
