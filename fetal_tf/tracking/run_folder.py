"""What a run's folder holds, in MLflow's terms: params, tags, metrics, files.

Everything is read from the folder. So logging during training, resuming and uploading later give
the same names, steps and times.
"""

import datetime
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from fetal_tf.config.loading import dump_config, flattened, load_config
from fetal_tf.config.portable import portable
from fetal_tf.config.tree import Config
from fetal_tf.data.phantom.writing import is_phantom
from fetal_tf.edge.errors import FetalTFError
from fetal_tf.edge.io.files import write_text_atomic
from fetal_tf.evaluation.negatives import ANSWERS
from fetal_tf.runs.environment import read_environment
from fetal_tf.runs.history import read_history
from fetal_tf.scores.rows import read_object

MEMORY_NAME = "mlflow.json"
RUN_TAG = "fetal_tf.run"
RESULT_FOLDERS = ("evaluation", "robustness", "uncertainty", "bundle")
# Not settings of the experiment: where it is tracked, and its name, which the MLflow run has.
UNLOGGED = ("mlflow", "name", "tracking", "version")
# MLflow else writes the user's name and the script's path.
NEUTRAL_TAGS = {"mlflow.user": "fetal_tf", "mlflow.source.name": "fetal_tf.train"}


@dataclass
class Memory:
    """RUN/mlflow.json: where a run is tracked, and the SHA-256 of each file that is there."""

    uri: str
    experiment: str
    run_id: str
    uploaded: dict[str, str] = field(default_factory=dict)

    def add(self, folder: Path, name: str, sha256: str) -> None:
        """A file is there now."""
        self.uploaded[name] = sha256
        self.write(folder)

    def write(self, folder: Path) -> None:
        write_text_atomic(folder / MEMORY_NAME, json.dumps(asdict(self), indent=2) + "\n")


def read_memory(folder: Path) -> Memory | None:
    """None where the folder was never tracked or the file is damaged: the run's tag finds it."""
    try:
        return Memory(**json.loads((folder / MEMORY_NAME).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


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
    def _config_here(self) -> Config:
        return load_config(self.path / "config.yaml")

    @cached_property
    def config(self) -> Config:
        """Without paths of this machine, and without the server's address."""
        return portable(self._config_here)

    @property
    def environment(self) -> dict[str, Any]:
        """Without the commands: they hold the paths of one machine, and the config says it all."""
        record = read_environment(self.path)
        for part in (record, *record.get("resumed", [])):
            part.pop("command", None)
        return record

    @property
    def started_ms(self) -> int:
        return _ms(self.environment["started"])

    @property
    def key(self) -> str:
        """Names this run and no other."""
        return f"{self.config.name} {self.environment['started']}"

    @property
    def parent(self) -> str | None:
        """The name of the run that holds all folds; None for a run on its own."""
        if self.config.mlflow.parent is None and self.config.split.fold is None:
            return None
        return self.config.mlflow.parent or re.sub(r"[-_.]?fold[-_.]?\d+$", "", self.config.name)

    def params(self) -> dict[str, str]:
        """The resolved config by `key.path`; what is null is left out."""
        return _texts(flattened(self.config.model_dump(mode="json", exclude=set(UNLOGGED))))

    def tags(self) -> dict[str, str]:
        """Versions, commit, platform, seeds, and MLflow's own tags for user and source."""
        record = self.environment
        commit = record.get("git_commit")
        facts = {
            **NEUTRAL_TAGS,
            RUN_TAG: self.key,
            "mlflow.source.type": "LOCAL",
            "task": self.config.task.name,
            "dataset": self.config.data.names,
            "phantom": any(is_phantom(s.root) for s in self._config_here.data.sources.values()),
            "git_commit": commit,
            "mlflow.source.git.commit": commit and commit.split("+")[0],
            "platform": record.get("platform"),
            "keras_backend": record.get("keras_backend"),
            "resumed": ", ".join(part["started"] for part in record.get("resumed", [])) or None,
            **{f"seed.{name}": seed for name, seed in record.get("seeds", {}).items()},
            **{f"version.{name}": text for name, text in record.get("versions", {}).items()},
        }
        return _texts(facts)

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
                date, means = summary["evaluated"]["date"], _means(summary)
                # Older summaries hold only the day: then the file's time.
                moment = path.stat().st_mtime_ns // 10**6 if len(date) == 10 else _ms(date)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise FetalTFError(f"{path}: not an evaluation's summary: {error!r}") from error
            named = {f"{path.parent.name}/{name}": value for name, value in means.items()}
            found.append(Figures(0, moment, named))
        return found

    def texts(self) -> dict[str, str]:
        """Files that are changed on their way, by name: what belongs to this machine is gone."""
        return {
            "config.yaml": dump_config(self.config),
            "environment.json": json.dumps(self.environment, indent=2) + "\n",
        }

    def files(self) -> dict[str, Path]:
        """Files that go as they are, by their path in the folder."""
        patterns = ("*.csv", "*.json", *(f"{name}/**/*" for name in RESULT_FOLDERS))
        paths = [p for pattern in patterns for p in self.path.glob(pattern) if p.is_file()]
        names = {p.relative_to(self.path).as_posix(): p for p in paths}
        left_out = {MEMORY_NAME, *self.texts()}
        being_written = "/."  # a part of the path that begins with a point
        return {
            name: path
            for name, path in sorted(names.items())
            if name not in left_out and being_written not in f"/{name}"
        }


def _ms(date: str) -> int:
    """Milliseconds since 1970 of an ISO date."""
    return round(1000 * datetime.datetime.fromisoformat(date).timestamp())


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


def _texts(values: Mapping[str, object]) -> dict[str, str]:
    """Values as text, other than strings as JSON; what is None is left out."""
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in values.items()
        if value is not None
    }
