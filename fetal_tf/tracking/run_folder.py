"""What a run's folder holds, in the terms of a tracking server: params, tags, metrics, files.

Everything is read from the folder, so that logging live, resuming and uploading later agree: the
same folder gives the same names, steps and timestamps.
"""

import datetime
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fetal_tf.config.loading import dump_config, flattened, load_config
from fetal_tf.config.portable import portable
from fetal_tf.config.tree import Config
from fetal_tf.data.phantom.writing import is_phantom
from fetal_tf.edge.errors import FetalTFError
from fetal_tf.evaluation.negatives import ANSWERS
from fetal_tf.runs.history import read_history
from fetal_tf.scores.rows import read_object

MEMORY_NAME = "mlflow.json"
RESULT_FOLDERS = ("evaluation", "robustness", "uncertainty", "bundle")
# Not settings of the experiment: where it is tracked, and its name, which the MLflow run has.
UNLOGGED = ("mlflow", "name", "tracking", "version")


@dataclass(frozen=True)
class Figures:
    """Metrics of one moment: an epoch, or an evaluation."""

    step: int
    timestamp_ms: int
    values: dict[str, float]


@dataclass(frozen=True)
class RunFolder:
    """A folder that training writes, or has written."""

    path: Path

    @cached_property
    def config(self) -> Config:
        return portable(load_config(self.path / "config.yaml"))

    @property
    def environment(self) -> dict[str, Any]:
        """Without the commands: they hold the paths of one machine, and the config says it all."""
        record = read_object(self.path / "environment.json")
        for part in (record, *record.get("resumed", [])):
            part.pop("command", None)
        return record

    @property
    def started_ms(self) -> int:
        started = datetime.datetime.fromisoformat(self.environment["started"])
        return round(started.timestamp() * 1000)

    @property
    def key(self) -> str:
        """What names this run, and no other."""
        return f"{self.config.name} {self.environment['started']}"

    @property
    def parent(self) -> str | None:
        """The name of the run that holds all folds; None for a run on its own."""
        if self.config.mlflow.parent is None and self.config.split.fold is None:
            return None
        return self.config.mlflow.parent or re.sub(r"[-_.]?fold[-_.]?\d+$", "", self.config.name)

    def params(self) -> dict[str, str]:
        """The resolved config by `key.path`; what is null is left out."""
        tree = self.config.model_dump(mode="json", exclude=set(UNLOGGED))
        return {key: _text(value) for key, value in flattened(tree).items() if value is not None}

    def tags(self) -> dict[str, str]:
        """Versions, commit, platform and seeds; MLflow's own tags for user and source, neutral."""
        record = self.environment
        resumed = [part["started"] for part in record.get("resumed", [])]
        facts = {
            "fetal_tf.run": self.key,
            "mlflow.user": "fetal_tf",
            "mlflow.source.name": "fetal_tf.train",
            "mlflow.source.type": "LOCAL",
            "task": self.config.task.name,
            "dataset": self.config.data.names,
            "phantom": any(map(is_phantom, self._roots())),
            "git_commit": record.get("git_commit"),
            "mlflow.source.git.commit": (record.get("git_commit") or "").split("+")[0] or None,
            "platform": record.get("platform"),
            "keras_backend": record.get("keras_backend"),
            "resumed": ", ".join(resumed) or None,
            **{f"seed.{name}": seed for name, seed in record.get("seeds", {}).items()},
            **{f"version.{name}": text for name, text in record.get("versions", {}).items()},
        }
        return {name: _text(value) for name, value in facts.items() if value is not None}

    def _roots(self) -> list[Path]:
        """Where the data lay, which the portable config no longer says."""
        sources = load_config(self.path / "config.yaml").data.sources
        return [source.root for source in sources.values()]

    def epochs(self) -> list[Figures]:
        """One entry per finished epoch, counted from 1 as in metrics.csv."""
        found, clock = [], float(self.started_ms)
        for row in read_history(self.path / "metrics.csv"):
            clock += 1000 * row.get("seconds", 0.0)
            values = {name: value for name, value in row.items() if name != "epoch"}
            found.append(Figures(int(row["epoch"]), round(clock), values))
        return found

    def evaluations(self) -> list[Figures]:
        """The means of every evaluation, `SPLIT-FORMAT/metric`; pooled ones say so in the name."""
        found = []
        for path in sorted(self.path.glob("evaluation/*/summary.json")):
            summary = read_object(path)
            try:
                moment_ms = _moment_ms(summary["evaluated"]["date"], path)
                values = _means(summary)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise FetalTFError(f"{path}: not an evaluation's summary: {error!r}") from error
            named = {f"{path.parent.name}/{name}": value for name, value in values.items()}
            found.append(Figures(0, moment_ms, named))
        return found

    def texts(self) -> dict[str, str]:
        """Files that are changed on their way, by name: what belongs to this machine is gone."""
        return {
            "config.yaml": dump_config(self.config),
            "environment.json": json.dumps(self.environment, indent=2) + "\n",
        }

    def files(self) -> dict[str, Path]:
        """Files that go as they are, by their path in the folder."""
        top = [p for p in self.path.iterdir() if p.suffix in (".csv", ".json")]
        below = [p for name in RESULT_FOLDERS for p in (self.path / name).rglob("*")]
        paths = {p.relative_to(self.path).as_posix(): p for p in (*top, *below) if p.is_file()}
        hidden = re.compile(r"(^|/)\.")  # what is being written just now
        left_out = {MEMORY_NAME, *self.texts()}
        return {
            name: path
            for name, path in sorted(paths.items())
            if name not in left_out and not hidden.search(name)
        }


def _moment_ms(date: str, path: Path) -> int:
    """When an evaluation was made; summaries that hold only the day are as old as their file.

    MLflow takes the largest of several values at one moment for the latest.
    """
    moment = datetime.datetime.fromisoformat(date)
    only_day = len(date) == len("2026-01-31")
    return round(1000 * (path.stat().st_mtime if only_day else moment.timestamp()))


def _means(summary: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a summary that one compares runs by; unknown ones are left out."""
    named = {name: figure["mean"] for name, figure in summary["metrics"].items()}
    named |= {f"images/{name}": count for name, count in summary["images"].items()}
    for name, figure in summary.get("pooled", {}).items():
        named[f"pooled/{name}"] = figure["value"]
    negatives = summary.get("negatives", {})
    named |= {f"negatives/{name}": negatives.get(name) for name in ("n", *ANSWERS)}
    for structure, levels in summary.get("pixels", {}).items():
        for name, figure in levels.items():
            value = figure.get("value") if isinstance(figure, Mapping) else figure
            named[f"pixels/{structure}/{name}"] = value
    return {name: float(value) for name, value in named.items() if isinstance(value, (int, float))}


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
