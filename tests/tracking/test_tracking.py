"""What of a run's folder goes to MLflow."""

import ast
import datetime
import json
import os
import sys
from pathlib import Path

import pytest

from fetal_tf.config.loading import parse_config
from fetal_tf.edge.errors import ConfigError, FetalTFError
from fetal_tf.edge.extras import EXTRAS
from fetal_tf.runs.history import has_finished
from fetal_tf.tracking.run_folder import RunFolder
from fetal_tf.tracking.tracker import tracked
from tests.tracking.tracked_runs import (
    STARTED_MS,
    config_tree,
    write_epochs,
    write_evaluation,
    write_run,
)


@pytest.fixture
def folder(tmp_path):
    write_run(tmp_path / "trial", mlflow={"uri": "http://secret.example:5000"})
    return RunFolder(tmp_path / "trial")


def test_params_are_the_config_without_what_belongs_to_one_machine(folder):
    params = folder.params()
    assert params["optimizer.learning_rate"] == "0.001"
    assert params["data.image_size"] == "[16, 24]"
    assert json.loads(params["augment"]) == [{"name": "HorizontalFlip", "p": 0.5}]
    assert params["data.root"] == "hearts"
    assert "split.fold" not in params, "what is null says nothing"
    assert not [name for name in params if name.startswith(("mlflow", "tracking"))]


def test_nothing_that_leaves_the_folder_names_machine_or_server(folder):
    texts = "".join([*folder.texts().values(), *folder.params().values(), *folder.tags().values()])
    assert "someone" not in texts and "secret" not in texts
    assert json.loads(folder.texts()["environment.json"])["seeds"] == {"training": 3, "split": 0}


def test_tags_are_the_facts_of_the_system(folder):
    tags = folder.tags()
    assert tags["fetal_tf.run"] == "trial 2026-01-02T03:04:05+00:00"
    assert tags["git_commit"] == "0123abc+changes"
    assert tags["mlflow.source.git.commit"] == "0123abc"
    assert (tags["version.keras"], tags["seed.training"]) == ("3.15.1", "3")
    assert (tags["mlflow.user"], tags["mlflow.source.name"]) == ("fetal_tf", "fetal_tf.train")
    assert tags["phantom"] == "false"


def test_epochs_count_from_1_and_their_clock_is_the_training_s(folder):
    epochs = folder.epochs()
    assert [epoch.step for epoch in epochs] == [1, 2, 3]
    # 0.5, 1.0 and 1.5 seconds each
    assert [epoch.timestamp_ms - STARTED_MS for epoch in epochs] == [500, 1500, 3000]
    assert epochs[1].values == {"loss": 0.5, "val_loss": 1.0, "seconds": 1.0}


def test_evaluations_are_named_by_split_and_format(folder):
    write_evaluation(folder.path, "test-int8", dice=0.875)
    (found,) = folder.evaluations()
    assert found.values == {
        "test-int8/dice": 0.875,
        "test-int8/images/n": 5,
        "test-int8/images/failed": 0,
        "test-int8/pooled/brain_dice": 0.75,
        "test-int8/pixels/heart/dice": 0.5,
        "test-int8/pixels/heart/roc_auc": 0.875,
    }


def test_an_evaluation_that_knows_only_its_day_is_as_old_as_its_file(folder):
    write_evaluation(folder.path, "test-keras", date="2026-01-31")
    os.utime(folder.path / "evaluation" / "test-keras" / "summary.json", (1e9, 1.5e9))
    write_evaluation(folder.path, "val-keras", date="2026-01-31T11:22:33+00:00")
    day, moment = folder.evaluations()
    assert day.timestamp_ms == 1_500_000_000_000
    utc = datetime.datetime(2026, 1, 31, 11, 22, 33, tzinfo=datetime.UTC)
    assert moment.timestamp_ms == 1000 * utc.timestamp()


def test_a_damaged_summary_is_named(folder):
    write_evaluation(folder.path)
    (folder.path / "evaluation" / "test-keras" / "summary.json").write_text('{"metrics": 3}')
    with pytest.raises(FetalTFError, match=r"summary\.json: not an evaluation's summary"):
        folder.evaluations()


def test_files_are_tables_results_and_the_bundle(folder):
    write_evaluation(folder.path)
    (folder.path / "bundle").mkdir()
    (folder.path / "bundle" / "model_int8.tflite").write_bytes(b"x")
    (folder.path / "bundle" / ".half.partial").write_bytes(b"x")
    (folder.path / "mlflow.json").write_text("{}")
    assert list(folder.files()) == [
        "bundle/model_int8.tflite",
        "evaluation/test-keras/report.html",
        "evaluation/test-keras/summary.json",
        "metrics.csv",
        "splits.csv",
    ]


@pytest.mark.parametrize(
    ("name", "fold", "parent", "expected"),
    [
        ("heart", None, None, None),
        ("heart-fold2", 2, None, "heart"),
        ("heart_fold_2", 2, None, "heart"),
        ("fold-study.fold-0", 0, None, "fold-study"),
        ("heart", 0, None, "heart"),
        ("heart-fold2", 2, "mine", "mine"),
        ("heart-seed1", None, "seeds", "seeds"),
    ],
)
def test_the_folds_of_a_config_share_a_parent(tmp_path, name, fold, parent, expected):
    split = {} if fold is None else {"folds": 5, "fold": fold}
    write_run(tmp_path / name, split=split, mlflow={"parent": parent})
    assert RunFolder(tmp_path / name).parent == expected


def test_a_run_is_finished_at_its_last_epoch_or_when_it_stopped_early(tmp_path):
    write_run(tmp_path / "whole")
    write_run(tmp_path / "part", epochs=2)
    assert has_finished(tmp_path / "whole")
    assert not has_finished(tmp_path / "part")
    patient = {"epochs": 9, "batch_size": 4, "monitor": "loss"}
    stopping = {**patient, "early_stopping": {"patience": 2}}
    write_run(tmp_path / "stopped", epochs=3, train={**stopping, "monitor": "val_loss"})
    folder = tmp_path / "stopped"
    (folder / "metrics.csv").write_text("epoch,val_loss\n1,3\n2,4\n3,5\n")
    assert has_finished(folder)
    (folder / "metrics.csv").write_text("epoch,val_loss\n1,3\n2,4\n3,2\n")
    assert not has_finished(folder)
    write_run(tmp_path / "old", epochs=3, train={**stopping, "monitor": "val_old_error"})
    with pytest.raises(ConfigError, match=r"train\.monitor: val_old_error is nothing"):
        has_finished(tmp_path / "old")


@pytest.mark.parametrize(
    "uri", ["http://me:secret@server:5000", "https://secret@server", "http://me:se/cr@et@server"]
)
def test_a_password_is_refused_and_not_repeated(uri):
    tree = config_tree("trial", mlflow={"uri": uri})
    with pytest.raises(ConfigError, match=r"trial\.yaml: mlflow\.uri: .* before the @") as caught:
        parse_config(tree, "trial.yaml")
    assert "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" in str(caught.value)
    assert not any(part in str(caught.value) for part in (uri, "secret", "et@"))
    assert caught.value.__cause__ is None and caught.value.__suppress_context__


@pytest.mark.parametrize("uri", ["http://server:5000/mlflow", "sqlite:////home/me@work/mlflow.db"])
def test_an_address_without_a_user_is_taken(uri):
    assert parse_config(config_tree("trial", mlflow={"uri": uri}), "test").mlflow.uri == uri


@pytest.mark.parametrize("arguments", [[], ["--dry-run"]])
def test_training_says_so_before_it_reads_anything(arguments, monkeypatch, tmp_path, capsys):
    from fetal_tf.train import main

    monkeypatch.setitem(EXTRAS, "mlflow", ("surely_not_installed",))
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "trial")
    assert main(["--config", "trial/config.yaml", *arguments]) == 2
    error = capsys.readouterr().err
    assert "surely_not_installed" in error and 'pip install "fetal-tf[mlflow]"' in error
    assert not (tmp_path / "runs").exists()


def test_without_tracking_mlflow_is_not_imported(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)  # an ImportError for who tries
    config = write_run(tmp_path / "trial", tracking=["tensorboard"])
    with tracked(config, tmp_path / "trial") as after_epoch:
        after_epoch()
    assert not (tmp_path / "trial" / "mlflow.json").exists()


def test_no_module_imports_mlflow_before_it_is_needed():
    packages = [Path(__file__).parents[2] / name for name in ("fetal_tf", "export", "tools")]
    paths = [path for package in packages for path in package.rglob("*.py")]
    naming = [path for path in paths if "mlflow" in path.read_text(encoding="utf-8")]
    assert len(naming) > 5
    early = {path.name for path in naming if "mlflow" in imported_at_once(path)}
    assert early == set()
    (this,) = [path for path in paths if path.name == "provenance.py"]
    assert {"datetime", "fetal_tf"} < imported_at_once(this), "this test sees nothing"


def imported_at_once(path):
    """The top-level packages that importing a module imports; `if TYPE_CHECKING:` does not."""
    found, waiting = set(), list(ast.parse(path.read_text(encoding="utf-8")).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
        typing_only = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if not typing_only and not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            waiting += ast.iter_child_nodes(node)
    return found


def test_an_epoch_later_there_is_more(folder):
    write_epochs(folder.path, 1)
    assert [epoch.step for epoch in folder.epochs()] == [1]
    write_epochs(folder.path, 2)
    assert [epoch.step for epoch in folder.epochs()] == [1, 2]
