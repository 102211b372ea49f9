"""The best model in MLflow, with the signature of its input and output."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np

from fetal_tf.models.saving import load_model
from fetal_tf.runs.environment import versions

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run
    from mlflow.models import ModelSignature

NAME = "model"
SHA_TAG = "fetal_tf.best_keras_sha256"


def log_model(
    client: "MlflowClient", run: "Run", best: Path, sha256: str, step: int
) -> Iterator[None]:
    """Log `best.keras` as the run's model, once for every SHA-256; complete one that was begun.

    It takes raw pixels, 0 to 255, float32 [n, h, w, c], as all models of fetal_tf do.

    Args:
        client: of the server.
        run: that it belongs to.
        best: the file.
        sha256: of the file.
        step: the epoch that it is from, counted from 1.

    Yields:
        After each part of the work, which takes seconds: a sign of life.
    """
    from mlflow.entities import LoggedModelOutput

    logged = _begun(client, run, sha256)
    if logged.status != "READY":
        yield from _upload(client, run, logged, best)
        client.finalize_logged_model(logged.model_id, "READY")
    outputs = client.get_run(run.info.run_id).outputs
    if logged.model_id not in [m.model_id for m in (outputs.model_outputs if outputs else [])]:
        client.log_outputs(run.info.run_id, [LoggedModelOutput(logged.model_id, step)])


def signature(model: keras.Model) -> "ModelSignature":
    """Shapes and types, -1 for the batch."""
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    def schema(shape: tuple) -> Schema:
        sizes = tuple(-1 if size is None else size for size in shape)
        return Schema([TensorSpec(np.dtype(np.float32), sizes)])

    return ModelSignature(schema(model.input_shape), schema(model.output_shape))


def _upload(
    client: "MlflowClient", run: "Run", logged: "LoggedModel", best: Path
) -> Iterator[None]:
    import mlflow
    from mlflow.models import Model

    model = load_model(best)
    yield
    with tempfile.TemporaryDirectory() as scratch:
        saved = Path(scratch) / "model"
        mlflow.keras.save_model(
            model,
            str(saved),
            mlflow_model=Model(run_id=run.info.run_id, model_id=logged.model_id),
            signature=signature(model),
            pip_requirements=_requirements(),  # else MLflow finds out in a minute
        )
        yield
        for number, path in enumerate(sorted(p for p in saved.rglob("*") if p.is_file())):
            # MLflow 3.5 takes one file to the top only, but a folder as it is.
            alone = Path(scratch) / str(number)
            place = alone / path.relative_to(saved)
            place.parent.mkdir(parents=True)
            path.rename(place)
            client.log_model_artifacts(logged.model_id, str(alone))
            yield


def _begun(client: "MlflowClient", run: "Run", sha256: str) -> "LoggedModel":
    found = client.search_logged_models(
        [run.info.experiment_id],
        f"source_run_id = '{run.info.run_id}' AND tags.`{SHA_TAG}` = '{sha256}'",
    )
    if found:
        return found[0]
    return client.create_logged_model(
        run.info.experiment_id,
        name=NAME,
        source_run_id=run.info.run_id,
        tags={SHA_TAG: sha256, "mlflow.user": "fetal_tf", "mlflow.source.name": "fetal_tf.train"},
        model_type="keras",
    )


def _requirements() -> list[str]:
    """What it takes to load the model; it holds only Keras' own layers."""
    backends = {"tensorflow": ("tensorflow", "tensorflow-cpu"), "jax": ("jax",)}
    packages = ("keras", "numpy", *backends.get(keras.backend.backend(), ()))
    return [f"{name}=={text}" for name, text in versions().items() if name in packages]
