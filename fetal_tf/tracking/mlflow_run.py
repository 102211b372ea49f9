"""The MLflow run that belongs to a run's folder: found again, or made."""

import json
import logging
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fetal_tf.edge.io.files import write_text_atomic
from fetal_tf.tracking.run_folder import MEMORY_NAME, RunFolder

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

RUN_TAG = "fetal_tf.run"
PARENT_TAG = "fetal_tf.folds"
SQLITE = "sqlite:///"


@dataclass
class Memory:
    """RUN/mlflow.json: where a folder is tracked, and which of its files are there (SHA-256)."""

    uri: str
    experiment: str
    run_id: str | None = None
    uploaded: dict[str, str] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        write_text_atomic(folder / MEMORY_NAME, json.dumps(asdict(self), indent=2) + "\n")


def read_memory(folder: Path) -> Memory | None:
    """None where the folder was never tracked, or the file says nothing: runs carry a tag too."""
    try:
        return Memory(**json.loads((folder / MEMORY_NAME).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def mlflow_client(uri: str) -> "MlflowClient":
    """A client that reports to nobody but `uri`; a local database's folder is made."""
    import mlflow

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)  # they tell how tables are made
    database = local_database(uri)
    if database is not None:
        database.parent.mkdir(parents=True, exist_ok=True)
    return mlflow.MlflowClient(tracking_uri=uri)


def set_network_limits(timeout_s: int, retries: int) -> None:
    """Before MLflow is imported: no telemetry, and no minutes of retrying; the user's word wins."""
    limits = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(timeout_s),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(retries),
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    }
    for name, value in limits.items():
        os.environ.setdefault(name, value)


def local_database(uri: str) -> Path | None:
    """The file behind `sqlite:///FILE`; None for a server."""
    return Path(uri.removeprefix(SQLITE)) if uri.startswith(SQLITE) else None


def experiment_id(client: "MlflowClient", uri: str, name: str) -> str:
    """Of the experiment `name`, which is made where it is missing.

    Its files lie beside a local database, in `mlartifacts`; a server knows its own place.
    """
    found = client.get_experiment_by_name(name)
    if found is not None:
        return found.experiment_id
    database = local_database(uri)
    location = None if database is None else (database.parent / "mlartifacts").resolve().as_uri()
    # The UI else takes it for the traces of a language model, and hides curves and models.
    kind = {"mlflow.experimentKind": "custom_model_development"}
    return client.create_experiment(name, artifact_location=location, tags=kind)


def find_or_create(
    client: "MlflowClient", experiment: str, folder: RunFolder, run_id: str | None
) -> "Run":
    """The folder's run, by `run_id`, else by its tag: a lost answer must not make a second one."""
    found = _existing(client, experiment, run_id) or _tagged(
        client, experiment, RUN_TAG, folder.key
    )
    if found is not None:
        return found
    tags = folder.tags()
    if folder.parent is not None:
        tags["mlflow.parentRunId"] = _parent_id(client, experiment, folder.parent)
    return client.create_run(
        experiment, start_time=folder.started_ms, tags=tags, run_name=folder.config.name
    )


def _existing(client: "MlflowClient", experiment: str, run_id: str | None) -> "Run | None":
    from mlflow.exceptions import MlflowException

    if run_id is None:
        return None
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
    in_use = run.info.lifecycle_stage == "active" and run.info.experiment_id == experiment
    return run if in_use else None


def _parent_id(client: "MlflowClient", experiment: str, name: str) -> str:
    parent = _tagged(client, experiment, PARENT_TAG, name)
    if parent is None:
        tags = {PARENT_TAG: name, "mlflow.user": "fetal_tf", "mlflow.source.name": "fetal_tf.train"}
        parent = client.create_run(experiment, tags=tags, run_name=name)
        client.set_terminated(parent.info.run_id)  # it only holds its folds
    return parent.info.run_id


def _tagged(client: "MlflowClient", experiment: str, tag: str, value: str) -> "Run | None":
    """The oldest run with this tag. MLflow's filters know no escape: quotes are matched by `_`."""
    pattern = value.replace("'", "_")
    runs = client.search_runs(
        [experiment], f"tags.`{tag}` LIKE '{pattern}'", order_by=["attributes.start_time"]
    )
    return next((run for run in runs if run.data.tags[tag] == value), None)
