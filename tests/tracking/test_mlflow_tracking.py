"""Runs tracked by a real MLflow server: one that works, is down, hangs, or dies half-way."""

import socket
import threading
import types
import warnings
from contextlib import contextmanager, suppress

import mlflow
import numpy as np
import pytest
import tensorflow as tf
import yaml
from mlflow import MlflowClient

import fetal_tf.tracking.tracker
from fetal_tf.cli.mlflow_upload import main as upload
from fetal_tf.data.phantom.writing import write_phantom
from fetal_tf.tracking.run_folder import read_memory
from fetal_tf.tracking.tracker import track_results, tracked
from tests.tracking.tracked_runs import (
    Relay,
    config_tree,
    free_port,
    tiny_model,
    write_epochs,
    write_evaluation,
    write_run,
)


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """A busy machine may take its time: no request may run out of it here."""
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")


def tracked_run(run, server):
    """The MLflow run that the folder `run` remembers, and a client."""
    client = MlflowClient(server)
    return client, client.get_run(read_memory(run).run_id)


def steps(client, found, metric="loss"):
    return [m.step for m in client.get_metric_history(found.info.run_id, metric)]


@contextmanager
def no_warning():
    """Of ours: the libraries may have theirs."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    assert [str(w.message) for w in caught if "upload it later" in str(w.message)] == []


@pytest.fixture
def untraced():
    """Two batches are computed sooner than traced into a graph."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.usefixtures("untraced")
@pytest.mark.filterwarnings("ignore:Even though the `tf.config")
def test_a_training_its_evaluation_and_its_resumption_are_one_run(server, tmp_path, monkeypatch):
    from fetal_tf.evaluate import main as evaluate
    from fetal_tf.train import main as train

    write_phantom("hc18", tmp_path / "phantom", count=12, seed=1)
    sections = {
        "data": {"dataset": "hc18", "root": "phantom", "image_size": [32, 48]},
        "split": {"val": 0.2, "test": 0.2},
        "model": {"name": "unet", "base": 4, "depth": 1},
        "mlflow": {"uri": server, "experiment": "heads"},
    }
    (tmp_path / "trial.yaml").write_text(yaml.safe_dump(config_tree("trial", **sections)))
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "runs" / "trial"
    assert train(["--config", "trial.yaml", "--set", "train.epochs=1"]) == 0
    client, found = tracked_run(run, server)
    assert client.get_experiment(found.info.experiment_id).name == "heads"
    assert (found.info.status, found.info.run_name) == ("FINISHED", "trial")
    assert (found.data.params["model.name"], found.data.params["seed"]) == ("unet", "3")
    assert found.data.tags["phantom"] == "true" and "version.keras" in found.data.tags
    assert (steps(client, found), steps(client, found, "val_dice")) == ([1], [1])

    assert evaluate(["runs/trial"]) == 0
    assert train(["--config", "trial.yaml", "--set", "train.epochs=2", "--resume"]) == 0
    again = client.get_run(found.info.run_id)
    assert read_memory(run).run_id == found.info.run_id
    assert steps(client, again) == [1, 2], "an epoch was lost or doubled"
    assert 0 <= again.data.metrics["test-keras/dice"] <= 1
    assert again.data.tags["resumed.train.epochs"] == "2"
    pages = [f.path for f in client.list_artifacts(again.info.run_id, "evaluation/test-keras")]
    assert "evaluation/test-keras/report.html" in pages
    assert (run / "tensorboard" / "scalars").is_dir(), "TensorBoard is there in any case"
    assert len(client.search_runs([again.info.experiment_id])) == 1


def test_the_model_is_logged_with_its_signature_and_predicts_as_it_did(server, tmp_path):
    run = tmp_path / "signed"
    config = write_run(run, best=True, mlflow={"uri": server, "experiment": "signed"})
    with no_warning(), tracked(config, run):
        pass
    client, found = tracked_run(run, server)
    (model,) = client.search_logged_models([found.info.experiment_id])
    assert [m.model_id for m in found.outputs.model_outputs] == [model.model_id]
    assert model.tags["mlflow.user"] == "fetal_tf" and "/" not in model.tags["mlflow.source.name"]
    at_top = {f.path for f in client.list_logged_model_artifacts(model.model_id)}
    assert {"MLmodel", "requirements.txt", "data"} <= at_top
    mlflow.set_tracking_uri(server)
    model_uri = f"runs:/{found.info.run_id}/model"
    signature = mlflow.models.get_model_info(model_uri).signature
    for schema in (signature.inputs, signature.outputs):
        (spec,) = schema.inputs
        assert (spec.shape, spec.type) == ((-1, 16, 24, 1), np.dtype(np.float32))
    frames = np.random.default_rng(0).uniform(-1, 1, (2, 16, 24, 1)).astype(np.float32)
    loaded = mlflow.pyfunc.load_model(model_uri)
    np.testing.assert_allclose(loaded.predict(frames), 1 / (1 + np.exp(-2 * frames)), atol=1e-6)
    np.testing.assert_allclose(loaded.predict(frames), tiny_model()(frames), atol=1e-6)


def test_the_folds_of_a_config_are_children_of_one_run(server, tmp_path):
    parents = set()
    for fold in (0, 1):
        run = tmp_path / f"hearts-fold{fold}"
        write_run(run, split={"folds": 2, "fold": fold}, mlflow={"experiment": "folds"})
        assert upload([str(run), "--uri", server]) == 0
        client, found = tracked_run(run, server)
        parents.add(found.data.tags["mlflow.parentRunId"])
    (parent,) = parents
    assert client.get_run(parent).info.run_name == "hearts"
    assert client.get_run(parent).info.status == "FINISHED"
    assert len(client.search_runs([found.info.experiment_id])) == 3


def test_a_bundle_follows_its_run(server, tmp_path):
    run = tmp_path / "exported"
    config = write_run(run, mlflow={"uri": server})
    with tracked(config, run):
        pass
    (run / "bundle").mkdir()
    (run / "bundle" / "model_int8.tflite").write_bytes(b"TFL3")
    with no_warning():
        track_results(config, run)
    client, found = tracked_run(run, server)
    assert [f.path for f in client.list_artifacts(found.info.run_id, "bundle")] == [
        "bundle/model_int8.tflite"
    ]


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")]
)
def test_a_training_that_breaks_off_says_so(server, tmp_path, error, status):
    run = tmp_path / "breaks"
    config = write_run(run, epochs=1, mlflow={"uri": server, "experiment": status})
    with pytest.raises(error), tracked(config, run):
        raise error
    client, found = tracked_run(run, server)
    assert (found.info.status, steps(client, found)) == (status, [1])


def test_a_server_that_is_down_costs_one_warning_and_the_run_comes_later(server, tmp_path):
    run = tmp_path / "offline"
    address = f"http://127.0.0.1:{free_port()}"
    config = write_run(run, epochs=0, mlflow={"uri": address, "experiment": "offline"})
    with pytest.warns(UserWarning) as caught, tracked(config, run) as after_epoch:
        for epoch in (1, 2, 3):
            write_epochs(run, epoch)
            after_epoch()
    (warning,) = caught
    text = str(warning.message)
    assert text.startswith(f"MLflow at {address}: ") and "refused" in text
    assert text.endswith(
        f"everything stays in {run}, upload it later with `python -m tools.mlflow_upload {run}`"
    )
    assert "\n" not in text
    assert upload([str(run), "--uri", server]) == 0
    client, found = tracked_run(run, server)
    assert (steps(client, found), found.info.status) == ([1, 2, 3], "FINISHED")


@contextmanager
def silent_server():
    """It accepts connections and never answers. Yields its address and the connections."""
    connections = []

    def accept():
        with suppress(OSError):  # closed
            while True:
                connections.append(listening.accept()[0])

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", connections
        listening.shutdown(socket.SHUT_RDWR)
    for connection in connections:
        connection.close()


def test_a_server_that_never_answers_holds_nobody_up(tmp_path, monkeypatch):
    """The epochs go by while the first request is still open, and no request is made twice."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES")  # our own limit, not MLflow's seven
    threads = []
    original = fetal_tf.tracking.tracker.sync

    def noted(*arguments):
        threads.append(threading.current_thread())
        yield from original(*arguments)

    monkeypatch.setattr(fetal_tf.tracking.tracker, "sync", noted)
    run = tmp_path / "hung"
    with silent_server() as (uri, connections):
        config = write_run(run, best=True, mlflow={"uri": uri})
        with (
            pytest.warns(UserWarning, match="upload it later") as caught,
            tracked(config, run) as after_epoch,
        ):
            wait_until(lambda: connections)
            for _ in range(1000):
                after_epoch()
        assert 1 <= len(connections) <= len(threads), "a request is made again and again"
    assert len(caught) == 1
    assert threads and threading.current_thread() not in threads
    assert len(threads) < 100, "requests pile up"


def test_a_request_that_does_not_end_is_given_up_at_the_end(tmp_path, monkeypatch):
    """As where name servers are silent, or a byte comes every few seconds."""
    monkeypatch.setattr(fetal_tf.tracking.tracker, "PATIENCE_S", 0.5)
    run = tmp_path / "endless"
    with silent_server() as (uri, _):
        config = write_run(run, mlflow={"uri": uri})
        with pytest.warns(UserWarning, match=r"no answer within 0\.5 s; everything stays in"):
            track_results(config, run)


def test_the_end_waits_as_long_as_something_is_sent(tmp_path, monkeypatch):
    clock = [0.0]

    def slow(folder, uri, experiment, status):
        for number in range(5):
            clock[0] += 0.9 * fetal_tf.tracking.tracker.PATIENCE_S
            threading.Event().wait(0.2)  # time enough for whoever waits to lose his patience
            yield f"file {number}"

    monkeypatch.setattr(fetal_tf.tracking.tracker, "sync", slow)
    fake = types.SimpleNamespace(monotonic=lambda: clock[0])
    monkeypatch.setattr(fetal_tf.tracking.tracker, "time", fake)
    with no_warning():
        track_results(write_run(tmp_path / "slow"), tmp_path / "slow")


def test_a_server_that_dies_half_way_loses_nothing(server, tmp_path):
    run = tmp_path / "orphan"
    relay = Relay(server)
    config = write_run(run, epochs=1, mlflow={"uri": relay.uri, "experiment": "orphans"})
    with (
        pytest.warns(UserWarning, match="upload it later") as caught,
        tracked(config, run) as after_epoch,
    ):
        client = MlflowClient(server)
        wait_until(lambda: read_memory(run) is not None)
        first = read_memory(run).run_id
        wait_until(lambda: client.get_metric_history(first, "loss"))
        relay.close()
        for epoch in (2, 3):
            write_epochs(run, epoch)
            after_epoch()
    assert len(caught) == 1
    assert [m.step for m in client.get_metric_history(first, "loss")] == [1]
    write_evaluation(run)
    with pytest.warns(UserWarning, match="upload it later"):
        track_results(config, run)
    assert upload([str(run), "--uri", server]) == 0
    client, found = tracked_run(run, server)
    assert found.info.run_id == first, "it is the same server by another name"
    assert steps(client, found) == [1, 2, 3]
    assert found.data.metrics["test-keras/dice"] == 0.9


def test_a_server_that_comes_back_is_said_to_have_everything(server, tmp_path, monkeypatch, capsys):
    run = tmp_path / "patience"
    config = write_run(run, epochs=0, mlflow={"uri": server, "experiment": "back"})
    original, is_back = fetal_tf.tracking.tracker.sync, threading.Event()

    def fails_first(*arguments):
        if not is_back.is_set():
            raise ConnectionError("not yet")
        yield from original(*arguments)

    monkeypatch.setattr(fetal_tf.tracking.tracker, "sync", fails_first)
    with (
        pytest.warns(UserWarning, match="not yet") as caught,
        tracked(config, run) as after_epoch,
    ):
        wait_until(lambda: after_epoch() or len(caught))
        write_epochs(run, 3)
        is_back.set()
    assert "is back, and has the whole run" in capsys.readouterr().out
    client, found = tracked_run(run, server)
    assert steps(client, found) == [1, 2, 3]


def wait_until(condition):
    for _ in range(600):
        if condition():
            return
        threading.Event().wait(0.1)
    raise AssertionError("a minute has gone by")
