"""`python -m tools.mlflow_upload`: everything once, whatever is missing, whenever it is run."""

import json
import os

import pytest
from mlflow import MlflowClient

from fetal_tf.cli.mlflow_upload import main
from fetal_tf.tracking.run_folder import read_memory
from fetal_tf.tracking.sync import local_database
from tests.tracking.tracked_runs import (
    copy_database,
    free_port,
    write_epochs,
    write_evaluation,
    write_run,
)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")


@pytest.fixture(scope="module")
def uri(tmp_path_factory, mlflow_database):
    """A local database: what needs a server is in tests/tracking/test_mlflow_tracking.py."""
    return copy_database(mlflow_database, tmp_path_factory.mktemp("mlflow") / "mlflow.db")


def state(uri, run):
    """All that MLflow knows of a run's folder."""
    client = MlflowClient(uri)
    memory = read_memory(run)
    found = client.get_run(memory.run_id)
    same = client.search_runs(
        [found.info.experiment_id],
        f"tags.`fetal_tf.run` = '{found.data.tags['fetal_tf.run']}'",
    )
    models = client.search_logged_models([found.info.experiment_id])
    return {
        "runs": len(same),
        "status": found.info.status,
        "times": (found.info.start_time, found.info.end_time),
        "params": found.data.params,
        "tags": found.data.tags,
        "metrics": found.data.metrics,
        "losses": [(m.step, m.value) for m in client.get_metric_history(memory.run_id, "loss")],
        "files": files(client, memory.run_id),
        "models": [m.status.name for m in models if m.source_run_id == memory.run_id],
    }


def files(client, run_id, path=None):
    names = []
    for entry in client.list_artifacts(run_id, path):
        names += files(client, run_id, entry.path) if entry.is_dir else [entry.path]
    return sorted(names)


def test_a_second_upload_changes_nothing(tmp_path, uri, capsys):
    run = tmp_path / "trial"
    write_run(run, best=True)
    write_evaluation(run)
    assert main([str(run), "--uri", uri]) == 0
    first = state(uri, run)
    assert first["losses"] == [(1, 1.0), (2, 0.5), (3, pytest.approx(1 / 3))]
    assert (first["runs"], first["status"], first["models"]) == (1, "FINISHED", ["READY"])
    assert first["metrics"]["test-keras/dice"] == 0.9
    assert first["times"] == (1767323045000, 1767323048000)
    assert {"config.yaml", "metrics.csv", "evaluation/test-keras/report.html"} < {*first["files"]}
    assert (local_database(uri).parent / "mlartifacts").is_dir(), (
        "files lie beside a local database"
    )
    assert not (tmp_path / "mlruns").exists()

    assert main([str(run)]) == 0  # without --uri: where it is already
    assert state(uri, run) == first
    assert ": 0 sent;" in capsys.readouterr().out.splitlines()[-1]


def test_a_folder_that_forgot_where_it_is_tracked_finds_its_run_again(tmp_path, uri):
    run = tmp_path / "forgetful"
    write_run(run, best=True)
    assert main([str(run), "--uri", uri]) == 0
    first = state(uri, run)
    (run / "mlflow.json").unlink()
    assert main([str(run), "--uri", uri]) == 0
    assert state(uri, run) == first


def test_what_is_missing_is_completed_and_what_changed_is_replaced(tmp_path, uri):
    run = tmp_path / "growing"
    write_run(run, epochs=2)
    write_evaluation(run, dice=0.5)
    assert main([str(run), "--uri", uri]) == 0
    assert state(uri, run)["status"] == "RUNNING", "two epochs of three"

    write_epochs(run, 3)
    write_evaluation(run, dice=0.75)
    (run / "bundle").mkdir()
    (run / "bundle" / "bundle.json").write_text("{}")
    assert main([str(run)]) == 0
    later = state(uri, run)
    assert [step for step, _ in later["losses"]] == [1, 2, 3]
    assert later["metrics"]["test-keras/dice"] == 0.75
    assert "bundle/bundle.json" in later["files"]
    assert (later["runs"], later["status"]) == (1, "FINISHED")
    client = MlflowClient(uri)
    page = client.download_artifacts(
        read_memory(run).run_id, "evaluation/test-keras/report.html", str(tmp_path)
    )
    with open(page) as file:
        assert "0.75" in file.read()


@pytest.mark.parametrize(
    ("morning", "evening"),
    [("2026-01-03T08:00:00+00:00", "2026-01-03T20:00:00+00:00"), ("2026-01-03", "2026-01-03")],
)
def test_a_figure_that_falls_on_the_same_day_is_the_latest(tmp_path, uri, morning, evening, capsys):
    run = tmp_path / f"falling{len(morning)}"
    write_run(run)
    for hour, (date, dice) in enumerate([(morning, 0.9), (evening, 0.5)]):
        write_evaluation(run, dice=dice, date=date)
        os.utime(run / "evaluation" / "test-keras" / "summary.json", (1.8e9, 1.8e9 + 3600 * hour))
        assert main([str(run), "--uri", uri]) == 0
        assert state(uri, run)["metrics"]["test-keras/dice"] == dice
    assert main([str(run)]) == 0
    assert ": 0 sent;" in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.parametrize(
    ("request_name", "status"),
    [("finalize_logged_model", "PENDING"), ("log_model_artifacts", "FAILED")],
)
def test_an_upload_that_broke_off_is_taken_up(
    tmp_path, uri, monkeypatch, capsys, request_name, status
):
    run = tmp_path / f"broken-{status}"
    write_run(run, best=True)
    works = getattr(MlflowClient, request_name)

    def fails(*_):
        raise ConnectionError("the line is dead")

    monkeypatch.setattr(MlflowClient, request_name, fails)
    assert main([str(run), "--uri", uri]) == 2
    assert capsys.readouterr().err == f"error: MLflow at {uri}: the line is dead\n"
    assert state(uri, run)["models"] == [status]
    monkeypatch.setattr(MlflowClient, request_name, works)
    assert main([str(run), "--uri", uri]) == 0
    assert state(uri, run)["models"] == ["READY"], "the one that was begun, not a second one"


def test_long_values_and_odd_names_are_made_to_fit(tmp_path, uri):
    run = tmp_path / "odd"
    excluded = [f"{n:05d}_HC" for n in range(2000)]
    data = {"dataset": "hc18", "root": "d", "image_size": [16, 24], "exclude": excluded}
    write_run(run, data=data, sampler={"oversample": {"cavum (CSP) é?": 2.0}})
    assert main([str(run), "--uri", uri]) == 0
    params = state(uri, run)["params"]
    assert len(params["data.exclude"]) == 500 and params["data.exclude"].endswith("…")
    assert params["sampler.oversample.cavum _CSP_ __"] == "2.0"


def test_a_value_that_changed_on_resuming_is_a_tag(tmp_path, uri):
    run = tmp_path / "resumed"
    write_run(run)
    assert main([str(run), "--uri", uri]) == 0
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("epochs: 3", "epochs: 4"))
    assert main([str(run)]) == 0
    found = state(uri, run)
    assert found["params"]["train.epochs"] == "3"
    assert found["tags"]["resumed.train.epochs"] == "4"


def test_another_server_gets_a_run_of_its_own(tmp_path, uri, mlflow_database):
    run = tmp_path / "moved"
    write_run(run)
    assert main([str(run), "--uri", uri]) == 0
    first = read_memory(run)
    other = copy_database(mlflow_database, tmp_path / "other.db")
    assert main([str(run), "--uri", other]) == 0
    assert read_memory(run).uri == other and read_memory(run).run_id != first.run_id
    assert len(state(other, run)["losses"]) == 3


def test_a_run_deleted_there_is_made_anew(tmp_path, uri):
    run = tmp_path / "deleted"
    write_run(run)
    assert main([str(run), "--uri", uri]) == 0
    first = read_memory(run)
    MlflowClient(uri).delete_run(first.run_id)
    assert main([str(run)]) == 0
    assert read_memory(run).run_id != first.run_id
    assert len(state(uri, run)["losses"]) == 3


def test_no_server_and_no_run_are_one_line_each(tmp_path, capsys):
    run = tmp_path / "alone"
    write_run(run)
    address = f"127.0.0.1:{free_port()}"
    assert main([str(run), "--uri", f"http://{address}"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: MLflow at http://{address}: ") and "refused" in error
    assert len(error.splitlines()) == 1
    assert main([str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"error: {tmp_path}: not a run: it has no config.yaml\n"


def test_a_password_on_the_command_line_is_refused(tmp_path, capsys):
    write_run(tmp_path / "secretive")
    assert main([str(tmp_path / "secretive"), "--uri", "http://me:secret@server:5000"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: --uri: ") and error.count("\n") == 1
    assert "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" in error
    assert "secret@" not in error
    assert not (tmp_path / "secretive" / "mlflow.json").exists()


def test_what_mlflow_json_holds(tmp_path, uri):
    run = tmp_path / "remembered"
    write_run(run, mlflow={"experiment": "hearts"})
    assert main([str(run), "--uri", uri]) == 0
    memory = json.loads((run / "mlflow.json").read_text())
    assert (memory["uri"], memory["experiment"]) == (uri, "hearts")
    experiment = MlflowClient(uri).get_run(memory["run_id"]).info.experiment_id
    assert MlflowClient(uri).get_experiment(experiment).name == "hearts"
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
