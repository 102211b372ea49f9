"""Bring an MLflow run up to the state of its folder: what is there is left, the rest is added.

Live logging, evaluation, export and the upload of a run that no server saw are all this.
"""

import hashlib
import re
from collections.abc import Generator, Iterator, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from fetal_tf.edge.io.files import sha256_of
from fetal_tf.experiment import monitor_of
from fetal_tf.runs.history import has_finished, read_history
from fetal_tf.tracking.mlflow_run import (
    Memory,
    experiment_id,
    find_or_create,
    mlflow_client,
    read_memory,
)
from fetal_tf.tracking.run_folder import Figures, RunFolder

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PARAM_LENGTH = 500  # what every server since 1.28 takes; config.yaml holds the rest
KEY_LENGTH = 250
METRICS_PER_BATCH = 1000
PARAMS_PER_BATCH = 100

Steps = Iterator[str | None]


class MlflowSync:
    """A run's folder and its MLflow run.

    Nothing is asked of the server before `bring_up_to_date`; what it has answered is kept, so that
    an epoch later only the new epoch is sent.
    """

    def __init__(self, folder: RunFolder, uri: str, experiment: str):
        self._folder = folder
        self._memory = Memory(uri, experiment)
        self._client: MlflowClient | None = None
        self._run: Run | None = None
        self._steps: set[int] = set()

    @property
    def run_id(self) -> str | None:
        """Of the MLflow run, None before it is found or made."""
        return self._memory.run_id

    def bring_up_to_date(self, *, whole: bool, status: str | None) -> Steps:
        """Send what the server lacks, a step at a time.

        Args:
            whole: evaluations, files and the model too, not only settings and epochs.
            status: of the MLflow run afterwards: RUNNING, FINISHED, FAILED, KILLED; None for what
                the folder tells: FINISHED, or as it was.

        Yields:
            After each step what has been sent, None where it was there already.

        Raises:
            MlflowException: whatever the server or the network says.
            FetalTFError: a file in the folder that cannot be read.
        """
        client, run = yield from self._opened()
        yield from self._send_settings(client, run)
        yield from self._send_epochs(client, run)
        if whole:
            yield from self._send_evaluations(client, run)
            yield from self._send_files(client, run)
            yield from self._send_model(client, run)
        yield from self._set_status(client, run, status)

    def _opened(self) -> "Generator[str | None, None, tuple[MlflowClient, Run]]":
        if self._client is None or self._run is None:
            target = self._memory
            remembered = read_memory(self._folder.path)
            same = remembered is not None and (
                (remembered.uri, remembered.experiment) == (target.uri, target.experiment)
            )
            client = mlflow_client(target.uri)
            experiment = experiment_id(client, target.uri, target.experiment)
            yield None
            known = remembered.run_id if same and remembered else None
            run = find_or_create(client, experiment, self._folder, known)
            if known == run.info.run_id and remembered is not None:
                target.uploaded = remembered.uploaded
            target.run_id = run.info.run_id
            target.write(self._folder.path)
            self._steps = _logged_steps(client, run, self._folder.epochs())
            self._client, self._run = client, run
            yield None
        return self._client, self._run

    def _send_settings(self, client: "MlflowClient", run: "Run") -> Steps:
        """Params cannot change in MLflow: what a resumed run has changed is a tag."""
        from mlflow.entities import Param, RunTag

        there = client.get_run(run.info.run_id).data
        params = {_key(name): value for name, value in self._folder.params().items()}
        tags = {_key(name): value for name, value in self._folder.tags().items()}
        new = []
        for name, value in params.items():
            value = _cut(value)
            if name not in there.params:
                new.append(Param(name, value))
            elif there.params[name] != value:
                tags[_key(f"resumed.{name}")] = value
        changed = [RunTag(k, _cut(v)) for k, v in tags.items() if there.tags.get(k) != _cut(v)]
        for part in _batches(new, PARAMS_PER_BATCH):
            client.log_batch(run.info.run_id, params=part)
        for part in _batches(changed, PARAMS_PER_BATCH):
            client.log_batch(run.info.run_id, tags=part)
        yield "settings" if new or changed else None

    def _send_epochs(self, client: "MlflowClient", run: "Run") -> Steps:
        """An epoch goes whole into one batch, so that its loss stands for all of its figures."""
        for epoch in self._folder.epochs():
            if epoch.step not in self._steps:
                _send_figures(client, run, epoch)
                self._steps.add(epoch.step)
                yield f"epoch {epoch.step}"

    def _send_evaluations(self, client: "MlflowClient", run: "Run") -> Steps:
        there = client.get_run(run.info.run_id).data.metrics
        for evaluation in self._folder.evaluations():
            values = {_key(name): value for name, value in evaluation.values.items()}
            if any(there.get(name) != value for name, value in values.items()):
                _send_figures(client, run, evaluation)
                yield "evaluation"

    def _send_files(self, client: "MlflowClient", run: "Run") -> Steps:
        for name, text in self._folder.texts().items():
            digest = hashlib.sha256(text.encode("utf-8")).hexdigest()
            if self._memory.uploaded.get(name) != digest:
                client.log_text(run.info.run_id, text, name)
                self._remember(name, digest)
                yield name
        for name, path in self._folder.files().items():
            digest = sha256_of(path)
            if self._memory.uploaded.get(name) != digest:
                place = PurePosixPath(name).parent.as_posix()
                client.log_artifact(run.info.run_id, str(path), None if place == "." else place)
                self._remember(name, digest)
                yield name

    def _send_model(self, client: "MlflowClient", run: "Run") -> Steps:
        from fetal_tf.tracking.mlflow_model import log_model

        best = self._folder.path / "best.keras"
        if not best.is_file():
            return
        digest = sha256_of(best)
        if self._memory.uploaded.get(best.name) != digest:
            history = read_history(self._folder.path / "metrics.csv")
            monitor = monitor_of(self._folder.config)
            step = monitor.best_epoch(history) + 1 if history else 0
            yield from log_model(client, run, best, digest, step)
            self._remember(best.name, digest)
            yield "model"

    def _set_status(self, client: "MlflowClient", run: "Run", status: str | None) -> Steps:
        if status is None and has_finished(self._folder.path):
            status = "FINISHED"
        if status is None or client.get_run(run.info.run_id).info.status == status:
            return
        if status == "RUNNING":
            client.update_run(run.info.run_id, status)
        else:
            epochs = self._folder.epochs()
            ended = epochs[-1].timestamp_ms if epochs else None
            client.set_terminated(run.info.run_id, status, ended)
        yield status

    def _remember(self, name: str, digest: str) -> None:
        self._memory.uploaded[name] = digest
        self._memory.write(self._folder.path)


def _logged_steps(client: "MlflowClient", run: "Run", epochs: Sequence[Figures]) -> set[int]:
    """The epochs that are there already, by the first of their figures."""
    if not epochs:
        return set()
    first = _key(next(iter(epochs[0].values)))
    return {metric.step for metric in client.get_metric_history(run.info.run_id, first)}


def _send_figures(client: "MlflowClient", run: "Run", figures: Figures) -> None:
    from mlflow.entities import Metric

    metrics = [
        Metric(_key(name), value, figures.timestamp_ms, figures.step)
        for name, value in figures.values.items()
    ]
    for part in _batches(metrics, METRICS_PER_BATCH):
        client.log_batch(run.info.run_id, metrics=part)


def _batches(items: list, size: int) -> list[list]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _key(name: str) -> str:
    """A name that MLflow takes: letters, digits and `_-./ `."""
    return re.sub(r"[^\w\-./ ]", "_", name, flags=re.ASCII)[:KEY_LENGTH]


def _cut(value: str) -> str:
    return value if len(value) <= PARAM_LENGTH else value[: PARAM_LENGTH - 1] + "…"
