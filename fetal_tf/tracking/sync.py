"""Bring an MLflow run up to the state of its folder.

The folder is the truth: training after each epoch, evaluation, export and a later upload all call
`sync`. It asks MLflow what is there and adds the rest, so a second call changes nothing.
"""

import hashlib
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fetal_tf.edge.io.files import sha256_of
from fetal_tf.runs.history import has_finished
from fetal_tf.tracking.model import send_model
from fetal_tf.tracking.run_folder import (
    NEUTRAL_TAGS,
    RUN_TAG,
    Figures,
    Memory,
    RunFolder,
    read_memory,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

SQLITE = "sqlite:///"
PARENT_TAG = "fetal_tf.folds"
VALUE_LENGTH = 500  # what every server since 1.28 takes; config.yaml holds the rest
KEY_LENGTH = 250


def sync(folder: RunFolder, uri: str, experiment: str, status: str | None) -> Iterator[str]:
    """Send what the MLflow run lacks, a step at a time.

    Args:
        folder: of the run.
        uri: of a server, or `sqlite:///FILE`.
        experiment: its name; made where it is missing.
        status: of the MLflow run afterwards: RUNNING (then only settings and epochs are sent),
            FINISHED, FAILED, KILLED; None for what the folder tells: FINISHED, or as it was.

    Yields:
        What has just been sent.

    Raises:
        MlflowException: whatever the server or the network says.
        FetalTFError: a file in the folder that cannot be read.
    """
    client = mlflow_client(uri)
    where = _experiment_id(client, uri, experiment)
    tags = folder.tags()
    if folder.parent is not None:
        tags["mlflow.parentRunId"] = _parent_id(client, where, folder.parent)
    run = _find_or_create(client, where, RUN_TAG, tags, folder.config.name, folder.started_ms)
    known = read_memory(folder.path)
    memory = Memory(uri, experiment, run.info.run_id)
    if known is not None and known.run_id == memory.run_id:
        memory.uploaded = known.uploaded
    memory.write(folder.path)
    yield from _send_settings(client, run, folder.params(), tags)
    yield from _send_epochs(client, run.info.run_id, folder)
    if status != "RUNNING":
        yield from _send_evaluations(client, run, folder)
        yield from _send_files(client, folder, memory)
        yield from send_model(client, run, folder, memory)
    yield from _set_status(client, run, folder, status)


def set_network_limits(timeout_s: int, retries: int) -> None:
    """Call it before MLflow is imported: no telemetry, no minutes of retrying.

    What the user has set in the environment stays.
    """
    limits = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(timeout_s),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(retries),
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    }
    for name, value in limits.items():
        os.environ.setdefault(name, value)


def mlflow_client(uri: str) -> "MlflowClient":
    """A client of `uri`, which becomes MLflow's address in this process.

    The folder of a local database is made.
    """
    import mlflow

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)  # they tell how tables are made
    database = local_database(uri)
    if database is not None:
        database.parent.mkdir(parents=True, exist_ok=True)
    mlflow.set_tracking_uri(uri)  # not only here: `log_model` makes clients of its own
    return mlflow.MlflowClient()


def local_database(uri: str) -> Path | None:
    """The file behind `sqlite:///FILE`; None for a server."""
    return Path(uri.removeprefix(SQLITE)) if uri.startswith(SQLITE) else None


def _experiment_id(client: "MlflowClient", uri: str, name: str) -> str:
    """Files of an experiment lie in `mlartifacts` beside a local database; a server has a place."""
    found = client.get_experiment_by_name(name)
    if found is not None:
        return found.experiment_id
    database = local_database(uri)
    location = None if database is None else (database.parent / "mlartifacts").resolve().as_uri()
    # Without it the UI expects traces of a language model, and hides curves and models.
    kind = {"mlflow.experimentKind": "custom_model_development"}
    return client.create_experiment(name, artifact_location=location, tags=kind)


def _find_or_create(
    client: "MlflowClient",
    experiment: str,
    known_by: str,
    tags: dict[str, str],
    name: str,
    started_ms: int | None = None,
) -> "Run":
    """The oldest run with the tag `known_by`: a lost answer must not make a second one."""
    tagged = f"tags.`{known_by}` = '{tags[known_by]}'"
    found = client.search_runs([experiment], tagged, order_by=["attributes.start_time"])
    return found[0] if found else client.create_run(experiment, started_ms, tags, name)


def _parent_id(client: "MlflowClient", experiment: str, name: str) -> str:
    tags = {PARENT_TAG: _key(name), **NEUTRAL_TAGS}
    parent = _find_or_create(client, experiment, PARENT_TAG, tags, name)
    if parent.info.status == "RUNNING":
        client.set_terminated(parent.info.run_id)  # it only holds its folds
    return parent.info.run_id


def _send_settings(
    client: "MlflowClient", run: "Run", params: dict[str, str], tags: dict[str, str]
) -> Iterator[str]:
    """MLflow's params cannot change: what a resumed run has changed becomes a tag."""
    from mlflow.entities import Param, RunTag

    params = {_key(name): _cut(value) for name, value in params.items()}
    there = run.data.params
    resumed = {f"resumed.{k}": v for k, v in params.items() if there.get(k, v) != v}
    tags = {_key(name): _cut(value) for name, value in {**tags, **resumed}.items()}
    new = [Param(key, value) for key, value in params.items() if key not in there]
    changed = [RunTag(key, value) for key, value in tags.items() if run.data.tags.get(key) != value]
    if new or changed:
        client.log_batch(run.info.run_id, params=new, tags=changed)
        yield "settings"


def _send_epochs(client: "MlflowClient", run_id: str, folder: RunFolder) -> Iterator[str]:
    """An epoch goes in one batch, so that the first of its figures stands for all of them."""
    epochs = folder.epochs()
    if not epochs:
        return
    first = _key(next(iter(epochs[0].values)))
    there = {metric.step for metric in client.get_metric_history(run_id, first)}
    for epoch in epochs:
        if epoch.step not in there:
            _send_figures(client, run_id, epoch)
            yield f"epoch {epoch.step}"


def _send_evaluations(client: "MlflowClient", run: "Run", folder: RunFolder) -> Iterator[str]:
    there = run.data.metrics
    for evaluation in folder.evaluations():
        if any(there.get(_key(name)) != value for name, value in evaluation.values.items()):
            _send_figures(client, run.info.run_id, evaluation)
            yield "evaluation"


def _send_figures(client: "MlflowClient", run_id: str, figures: Figures) -> None:
    from mlflow.entities import Metric

    moment, step = figures.timestamp_ms, figures.step
    metrics = [Metric(_key(name), value, moment, step) for name, value in figures.values.items()]
    client.log_batch(run_id, metrics=metrics)


def _send_files(client: "MlflowClient", folder: RunFolder, memory: Memory) -> Iterator[str]:
    contents: dict[str, str | Path] = {**folder.texts(), **folder.files()}
    for name, content in contents.items():
        if isinstance(content, str):
            digest = hashlib.sha256(content.encode("utf-8")).hexdigest()
        else:
            digest = sha256_of(content)
        if memory.uploaded.get(name) == digest:
            continue
        if isinstance(content, str):
            client.log_text(memory.run_id, content, name)
        else:
            client.log_artifact(memory.run_id, str(content), name.rpartition("/")[0] or None)
        memory.add(folder.path, name, digest)
        yield name


def _set_status(
    client: "MlflowClient", run: "Run", folder: RunFolder, status: str | None
) -> Iterator[str]:
    if status is None and has_finished(folder.path):
        status = "FINISHED"
    if status is None or run.info.status == status:
        return
    if status == "RUNNING":
        client.update_run(run.info.run_id, status)
    else:
        epochs = folder.epochs()
        client.set_terminated(run.info.run_id, status, epochs[-1].timestamp_ms if epochs else None)
    yield status


def _key(name: str) -> str:
    """A name that MLflow takes: letters, digits and `_-./ `."""
    return re.sub(r"[^\w\-./ ]", "_", name, flags=re.ASCII)[:KEY_LENGTH]


def _cut(value: str) -> str:
    return value if len(value) <= VALUE_LENGTH else value[: VALUE_LENGTH - 1] + "…"
