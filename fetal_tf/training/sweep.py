"""The trials of a sweep: every combination of a grid's values, with every seed, on every fold."""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fetal_tf.config.loading import load_config
from fetal_tf.config.tree import Config
from fetal_tf.edge.errors import ConfigError, FetalTFError, UsageError
from fetal_tf.experiment import open_experiment
from fetal_tf.training.devices import on_this_device
from fetal_tf.training.folds import fold_configs, fold_options, is_finished

Grid = Mapping[str, Sequence[str]]  # values by key of the config, as typed
_OPTIONS = {"seed": "--seeds", "split.fold": "--folds", "split.folds": "--folds", "name": "--name"}


@dataclass(frozen=True)
class Trial:
    """A run of a sweep.

    Attributes:
        values: its value of each key of the grid, as typed.
        config: its config; the name is its run's.
        options: of `fetal_tf.train`, without --resume.
    """

    values: Mapping[str, str]
    config: Config
    options: tuple[str, ...]

    @property
    def run(self) -> Path:
        """Its folder."""
        return Path("runs") / self.config.name

    @property
    def finished(self) -> bool:
        """Whether its folder needs no more training; not, where it cannot be read."""
        try:
            return self.run.is_dir() and is_finished(self.run, self.config)
        except FetalTFError:
            return False


def read_grid(texts: Sequence[str]) -> dict[str, list[str]]:
    """Read `KEY=VALUE,VALUE…`, one for each key; commas inside of brackets do not separate.

    Raises:
        UsageError: no such text, an empty value, a key that is there twice or has its own option.
    """
    grid: dict[str, list[str]] = {}
    for text in texts:
        key, equals, values = text.partition("=")
        found = [value.strip() for value in _parts(values)]
        if not equals or not key or "" in found:
            raise UsageError(f"--grid {text}: write it as key.path=value,value")
        if key in _OPTIONS:
            raise UsageError(f"--grid {text}: use {_OPTIONS[key]}")
        if key in grid:
            raise UsageError(f"--grid {text}: {key} is there twice")
        grid[key] = found
    return grid


def _parts(text: str) -> list[str]:
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "[{") - (letter in "]}")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def make_trials(
    file: Path,
    overrides: Sequence[str],
    name: str | None,
    grid: Grid,
    seeds: Sequence[int],
    folds: int | None,
) -> list[Trial]:
    """Make and check the trials, before any of them trains.

    Args:
        file: the config, or a recipe's name.
        overrides: for all trials, each `key.path=value`.
        name: of the sweep, which its runs' names begin with; None: the config's.
        grid: what varies.
        seeds: of training; empty: the config's own.
        folds: how many; None: the config's own split.

    Raises:
        ConfigError: a trial that could not train, named by its key; two trials with one config or
            one name; trials that different metrics judge.
    """
    name = name or load_config(file, overrides).name
    trials = []
    for chosen in itertools.product(*grid.values()):
        values = dict(zip(grid, chosen, strict=True))
        for seed in map(str, seeds) if seeds else [""]:
            own = [f"{key}={value}" for key, value in values.items()]
            own += [f"seed={seed}"] if seed else []
            run = "-".join([name, *_words(values), *([f"seed{seed}"] if seed else [])])
            config = on_this_device(load_config(file, [*overrides, *own, f"name='{run}'"]))
            open_experiment(config).check_monitor()
            given = ["--config", str(file)]
            given += [part for override in (*overrides, *own) for part in ("--set", override)]
            for part in [config] if folds is None else fold_configs(config, folds):
                trials.append(Trial(values, part, (*given, *fold_options(part))))
    _check_apart(trials)
    return trials


def _words(values: Mapping[str, str]) -> list[str]:
    """What a run's name says of its values, by the last part of each key if that is enough."""
    last = [key.rpartition(".")[2] for key in values]
    keys = last if len(set(last)) == len(last) else list(values)
    return [
        f"{key}-{re.sub('[^A-Za-z0-9._-]+', '_', value).strip('_')}"
        for key, value in zip(keys, values.values(), strict=True)
    ]


def _check_apart(trials: Sequence[Trial]) -> None:
    names: set[str] = set()
    known: dict[str, str] = {}
    for trial in trials:
        name = trial.config.name
        if name in names:
            raise ConfigError(f"two trials would be called {name}; write their values apart")
        names.add(name)
        other = known.setdefault(trial.config.model_dump_json(exclude={"name"}), name)
        if other != name:
            raise ConfigError(f"{other} and {name} are the same trial; leave one value out")
    monitors = sorted({trial.config.train.monitor for trial in trials})
    if len(monitors) > 1:
        raise ConfigError(f"train.monitor: {', '.join(monitors)}; one has to judge all trials")
