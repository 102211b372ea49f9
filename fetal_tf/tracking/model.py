"""Log the best model to MLflow, with the signature of its input and output."""

from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np

from fetal_tf.models.saving import load_model
from fetal_tf.runs.environment import versions
from fetal_tf.tracking.run_folder import NEUTRAL_TAGS

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

SHA_TAG = "fetal_tf.best_keras_sha256"


def log_model(
    client: "MlflowClient", uri: str, run: "Run", best: Path, sha256: str, step: int
) -> None:
    """Log `best.keras` as the run's model, once for each SHA-256; complete one that was begun.

    It takes raw pixels, 0 to 255, float32 [n, h, w, c], as all models of fetal_tf do.

    Args:
        client: of `uri`, which becomes MLflow's address in this process.
        uri: of the server or the database.
        run: that it belongs to.
        best: the file.
        sha256: of the file.
        step: the epoch that it is from, counted from 1.
    """
    import mlflow
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import infer_signature

    run_id, experiment = run.info.run_id, run.info.experiment_id
    of_this_file = f"source_run_id = '{run_id}' AND tags.`{SHA_TAG}` = '{sha256}'"
    begun = client.search_logged_models([experiment], of_this_file)
    # Made by the client: `log_model` would add the user's name and the script's path.
    tags = {SHA_TAG: sha256, **NEUTRAL_TAGS}
    logged = (
        begun[0]
        if begun
        else client.create_logged_model(
            experiment, name="model", source_run_id=run_id, tags=tags, model_type="keras"
        )
    )
    if logged.status != "READY":
        model = load_model(best)
        frames, outputs = (
            np.zeros((1, *shape[1:]), np.float32)
            for shape in (model.input_shape, model.output_shape)
        )
        mlflow.set_tracking_uri(uri)
        mlflow.keras.log_model(
            model,
            model_id=logged.model_id,
            signature=infer_signature(frames, outputs),
            pip_requirements=_requirements(),  # else MLflow finds out in a minute
        )
    linked = client.get_run(run_id).outputs
    if logged.model_id not in [m.model_id for m in (linked.model_outputs if linked else [])]:
        client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step)])


def _requirements() -> list[str]:
    """What it takes to load the model; it holds only Keras' own layers."""
    backends = {"tensorflow": ("tensorflow", "tensorflow-cpu"), "jax": ("jax",)}
    packages = ("keras", "numpy", *backends.get(keras.backend.backend(), ()))
    return [f"{name}=={text}" for name, text in versions().items() if name in packages]
