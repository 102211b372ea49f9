"""Log the best model to MLflow, with the signature of its input and output."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import keras
import numpy as np

from fetal_tf.edge.io.files import sha256_of
from fetal_tf.experiment import monitor_of
from fetal_tf.models.saving import load_model
from fetal_tf.runs.environment import versions
from fetal_tf.runs.history import read_history
from fetal_tf.tracking.run_folder import NEUTRAL_TAGS, Memory, RunFolder

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

SHA_TAG = "fetal_tf.best_keras_sha256"


def send_model(
    client: "MlflowClient", run: "Run", folder: RunFolder, memory: Memory
) -> Iterator[str]:
    """Log `best.keras` once for each SHA-256; complete a model that was begun.

    It takes raw pixels, 0 to 255, float32 [n, h, w, c], as all models of fetal_tf do.
    """
    import mlflow
    from mlflow.entities import LoggedModelOutput

    best, run_id, experiment = folder.path / "best.keras", memory.run_id, run.info.experiment_id
    sha256 = sha256_of(best) if best.is_file() else None
    if sha256 is None or memory.uploaded.get(best.name) == sha256:
        return
    of_this_file = f"source_run_id = '{run_id}' AND tags.`{SHA_TAG}` = '{sha256}'"
    logged = next(iter(client.search_logged_models([experiment], of_this_file)), None)
    if logged is None:  # made here: `log_model` would add the user's name and the script's path
        tags = {SHA_TAG: sha256, **NEUTRAL_TAGS}
        logged = client.create_logged_model(experiment, "model", run_id, tags, model_type="keras")
    if logged.status != "READY":
        model = load_model(best)
        shapes = (model.input_shape, model.output_shape)
        frames, outputs = (np.zeros((1, *shape[1:]), np.float32) for shape in shapes)
        mlflow.keras.log_model(
            model,
            model_id=logged.model_id,
            signature=mlflow.models.infer_signature(frames, outputs),
            pip_requirements=_requirements(),  # without them MLflow searches for a minute
        )
    now = client.get_run(run_id).outputs  # which MLflow 3.5 leaves out of a search
    if logged.model_id not in [model.model_id for model in (now.model_outputs if now else [])]:
        history = read_history(folder.path / "metrics.csv")
        step = monitor_of(folder.config).best_epoch(history) + 1 if history else 0
        client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step)])
    memory.add(folder.path, best.name, sha256)
    yield "model"


def _requirements() -> list[str]:
    """What it takes to load the model; it holds only Keras' own layers."""
    backends = {"tensorflow": ("tensorflow", "tensorflow-cpu"), "jax": ("jax",)}
    packages = ("keras", "numpy", *backends.get(keras.backend.backend(), ()))
    return [f"{name}=={text}" for name, text in versions().items() if name in packages]
