"""Folds: their table against NumPy, and the command on a small phantom, broken and resumed."""

import csv
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import fetal_tf.training.folds
from fetal_tf.config.loading import parse_config, save_config
from fetal_tf.data.phantom.writing import write_phantom
from fetal_tf.data.splits import read_splits
from fetal_tf.edge.errors import ConfigError, DataError, FetalTFError
from fetal_tf.edge.io.stopping import Terminated
from fetal_tf.evaluation.cross_validation import (
    Fold,
    pool_folds,
    pooled_rows,
    read_fold,
    write_folds,
)
from fetal_tf.evaluation.evaluate import summarise_rows
from fetal_tf.reporting.text.cross_validation import screen_text
from fetal_tf.runs.history import read_history
from fetal_tf.scores.monitor import Monitor
from fetal_tf.scores.rows import image_frame
from fetal_tf.scores.wording import DASH
from fetal_tf.tracking.run_folder import RunFolder
from fetal_tf.train import main
from fetal_tf.training.folds import check_folders, fold_configs, run_module
from tests.evaluation.evaluation_fakes import BrightnessTask, row
from tests.evaluation.target_fakes import PoolingTask, fake_config

DICE = ([0.9, 0.8, 0.7], [0.95, 0.5])

MONITOR = Monitor("val_loss", falls=True)


def fold(tmp_path, number, dice, task=None, **extra):
    """A fold with one image per value, two images to a group."""
    rows = image_frame(
        [
            row(f"{number}{i // 2}_{i}", dice=value, hc=100 * value, true=90.0, **extra)
            for i, value in enumerate(dice)
        ]
    )
    summary = summarise_rows(rows, task or BrightnessTask())
    summary["evaluated"] = {"phantom": False, "subject": f"net-fold{number}"}
    history = [{"epoch": 1.0, "val_loss": 0.5}, {"epoch": 2.0, "val_loss": 0.25 + number}]
    return Fold(tmp_path / f"net-fold{number}", rows, summary, history)


def pooled(folds, task=None):
    return pool_folds("net", folds, task or BrightnessTask(), MONITOR, seed=0)


@pytest.mark.parametrize("damage", [("metrics", "dice", "mean"), ("evaluated",), ("images",)])
def test_a_summary_that_lacks_a_figure_is_named(tmp_path, damage):
    broken = fold(tmp_path, 0, [0.9, 0.8])
    tree = broken.summary
    for key in damage[:-1]:
        tree = tree[key]
    del tree[damage[-1]]
    with pytest.raises(DataError) as caught:
        pooled([broken, fold(tmp_path, 1, [0.7])])
    message = str(caught.value)
    assert f"net-fold0/evaluation/val-keras/summary.json: has no {'.'.join(damage)}" in message
    assert "remove" in message


@pytest.mark.parametrize("text", ["[]", "{", ""])
def test_a_summary_that_is_no_object_is_named(tmp_path, text):
    folder = tmp_path / "net-fold0" / "evaluation" / "val-keras"
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(text)
    with pytest.raises(DataError, match=r"summary\.json: .*; remove .*val-keras and start"):
        read_fold(tmp_path / "net-fold0")


def test_the_table_is_arithmetic(tmp_path):
    record = pooled([fold(tmp_path, n, dice) for n, dice in enumerate(DICE)])
    means = [np.mean(dice) for dice in DICE]
    figure = record["metrics"]["dice"]
    np.testing.assert_allclose(figure["folds"], means)
    np.testing.assert_allclose(
        [figure["mean"], figure["sd"]], [np.mean(means), np.std(means, ddof=1)]
    )
    together = np.concatenate(DICE)
    assert figure["pooled"]["value"] == pytest.approx(together.mean())
    assert figure["pooled"]["n"] == 5 and record["groups"] == 3
    low, high = figure["pooled"]["ci95"]
    assert together.min() <= low < together.mean() < high <= together.max()
    errors = np.abs(100 * together - 90)
    assert record["metrics"]["hc_abs_error_mm"]["pooled"]["value"] == pytest.approx(errors.mean())
    # the best epoch is each fold's own: 0.25 in its second, 0.5 in its first
    assert record["metrics"]["best_val_loss"]["folds"] == [0.25, 0.5]
    assert record["metrics"]["best_val_loss"]["pooled"] is None
    assert [f["best_epoch"] for f in record["folds"]] == [2, 1]


@pytest.mark.parametrize("fits_measurer", [True, False])
@pytest.mark.parametrize("monitor", ["val_loss", "loss"])
def test_what_was_chosen_on_the_judged_images_is_said(tmp_path, monitor, fits_measurer):
    """The weights have not learnt from them; epoch and limits have."""
    task = BrightnessTask()
    task.fits_measurer = fits_measurer
    folds = [fold(tmp_path, n, dice) for n, dice in enumerate(DICE)]
    for part in folds:
        part.history[:] = [{**epoch, "loss": epoch["val_loss"]} for epoch in part.history]
    record = pool_folds("net", folds, task, Monitor(monitor, falls=True), seed=0)
    chosen = ["epoch (by val_loss)"] if monitor == "val_loss" else []
    chosen += ["measurement limits"] if fits_measurer else []
    assert record["chosen_on_judged_images"] == chosen
    *_, last = screen_text(record).splitlines()
    assert "held it out of training" in screen_text(record)
    assert ("chosen on the images that judge a fold" in last) == bool(chosen)
    assert all(what in last for what in chosen)


def test_the_interval_draws_whole_groups(tmp_path):
    """Pairs that agree: as many images, half as many patients, a wider interval than singly."""
    together = [0.9, 0.9, 0.5, 0.5, 0.7, 0.7, 0.8, 0.8]
    folds = [fold(tmp_path, 0, together[:4]), fold(tmp_path, 1, together[4:])]
    alone = [replace(f, rows=f.rows.assign(group=f.rows["id"])) for f in folds]
    widths = [np.ptp(pooled(f)["metrics"]["dice"]["pooled"]["ci95"]) for f in (folds, alone)]
    assert widths[0] > 1.2 * widths[1]


def test_what_a_task_pools_over_pixels_has_its_line(tmp_path):
    task = PoolingTask()
    task.pooled_headline = ("dice",)
    record = pooled([fold(tmp_path, n, dice, task) for n, dice in enumerate(DICE)], task)
    figure = record["metrics"]["pooled_dice"]
    np.testing.assert_allclose(figure["folds"], [np.prod(dice) for dice in DICE])
    value = np.prod(np.concatenate(DICE))
    assert figure["pooled"]["value"] == pytest.approx(value)
    np.testing.assert_allclose(figure["pooled"]["ci95"], [value / 2, value * 2])
    assert "Dice, over pixels" in screen_text(record)


def test_an_image_in_two_folds_is_refused(tmp_path):
    other = tmp_path / "net-fold1"
    with pytest.raises(DataError, match=r"net-fold1: validates on 00_0, and so does .*net-fold0"):
        pooled_rows([fold(tmp_path, 0, [0.9]), replace(fold(tmp_path, 0, [0.9]), run=other)])


def test_files_and_screen_say_the_same(tmp_path):
    folds = [fold(tmp_path, n, dice) for n, dice in enumerate(DICE)]
    broken = image_frame([row("19_9", error="19_9.png: broken")])
    folds[1] = replace(folds[1], rows=pd.concat([folds[1].rows, broken]))
    record = pooled(folds)
    paths = write_folds(tmp_path / "net-folds", record, pooled_rows(folds))
    assert [path.name for path in paths] == ["folds.json", "folds.csv", "per_image.csv"]
    lines = {line["metric"]: line for line in csv.DictReader(paths[1].open(newline=""))}
    assert list(lines) == ["dice", "hc_abs_error_mm", "best_val_loss"]
    assert lines["dice"]["fold_1"] == "0.725" and lines["dice"]["n"] == "5"
    assert lines["best_val_loss"]["pooled"] == ""
    assert json.loads(paths[0].read_text())["metrics"]["dice"]["folds"] == [0.8, 0.725]
    rows = list(csv.DictReader(paths[2].open(newline="")))
    assert [r["fold"] for r in rows] == ["0", "0", "0", "1", "1", "1"]
    text = screen_text(record)
    assert "0.8000  0.7250  0.7625 ± 0.0530" in text
    assert "failed" in text and "refused" not in text
    assert "6 images of 4 groups" in text


def test_answers_to_negatives_are_counted_over_all_folds(tmp_path):
    folds = [fold(tmp_path, n, dice) for n, dice in enumerate([*DICE, [0.6]])]
    for number, (refused, flagged, passed) in enumerate([(5, 1, 0), (4, 1, 1)]):
        counts = {"refused": refused, "flagged": flagged, "passed": passed}
        folds[number].summary["negatives"] = {"n": 6, "failed": number, **counts, "flags": {}}
    record = pooled(folds)
    assert record["negatives"] == {"n": 12, "failed": 1, "refused": 9, "flagged": 2, "passed": 1}
    assert record["folds"][1]["negatives"]["refused"] == 4
    assert "negatives" not in record["folds"][2]
    *_, line, _, _ = screen_text(record).splitlines()
    assert line.split() == [
        "negatives",
        "passed",
        "0",
        "1",
        DASH,
        DASH,
        *["1", "of", "12", "answers"],
    ]
    assert "negatives" not in screen_text(pooled(folds[2:]))


def test_folds_are_configs_like_any_other(tmp_path):
    config = fake_config("net", tmp_path)
    parts = fold_configs(config, 3)
    assert [part.name for part in parts] == ["net-fold0", "net-fold1", "net-fold2"]
    assert [(part.split.folds, part.split.fold) for part in parts] == [(3, 0), (3, 1), (3, 2)]
    for part in parts:
        assert parse_config(part.model_dump(mode="json"), "test") == part
    (tmp_path / "net-fold0").mkdir()
    save_config(parts[0], tmp_path / "net-fold0" / "config.yaml")
    assert RunFolder(tmp_path / "net-fold0").parent == "net", "MLflow nests them under one run"


def test_what_nobody_measured_is_a_dash(tmp_path):
    record = pooled([fold(tmp_path, n, [0.1, 0.2], refused="no_head: dark") for n in range(2)])
    (line,) = [line for line in screen_text(record).splitlines() if line.startswith("|ΔHC|")]
    assert line.split() == ["|ΔHC|", "(mm)", *[DASH] * 4]


@pytest.mark.parametrize(
    ("split", "said"),
    [
        ({"folds": 3, "fold": 1}, "split.fold: 1 is one fold, --folds 3 trains them all"),
        ({"folds": 4}, "split.folds: 4 in the config, 3 after --folds"),
    ],
)
def test_a_config_that_says_otherwise_is_refused(tmp_path, split, said):
    with pytest.raises(ConfigError, match=said):
        fold_configs(fake_config("net", tmp_path, split=split), 3)
    assert len(fold_configs(fake_config("net", tmp_path, split={"folds": 3}), 3)) == 3


def test_folders_are_begun_or_resumed(tmp_path):
    runs = [tmp_path / "net-fold0", tmp_path / "net-fold1"]
    check_folders(runs, resume=False)
    with pytest.raises(ConfigError, match="no fold to resume"):
        check_folders(runs, resume=True)
    runs[1].mkdir()
    check_folders(runs, resume=True)
    with pytest.raises(FetalTFError, match=r"net-fold1: this run exists; continue all folds"):
        check_folders(runs, resume=False)


CONFIG = """
name: trial
seed: 3
data: {dataset: hc18, root: phantom, image_size: [32, 48]}
split: {test: 0.2}
task: {name: segmentation, classes: [head], measurement: head}
model: {name: unet, base: 4, depth: 1, convs_per_block: 1}
loss: {name: bce_dice}
optimizer: {name: adamw, learning_rate: 5e-3}
train: {epochs: 1, batch_size: 4, deterministic: true}
"""


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    write_phantom("hc18", tmp_path / "phantom", count=12, seed=1)
    (tmp_path / "trial.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train(*arguments):
    return main(["--config", "trial.yaml", *arguments])


def test_folds_are_trained_killed_resumed_and_compared(workplace, monkeypatch, capsys):
    """The second fold dies after its first epoch of two: resumed, the first is left alone."""
    import fetal_tf.training.callbacks
    from fetal_tf import evaluate

    def in_this_process(module, *arguments):
        return {"fetal_tf.train": main, "fetal_tf.evaluate": evaluate.main}[module](list(arguments))

    def trained_in_another(module, *arguments):
        run = run_module if module == "fetal_tf.train" else in_this_process
        return run(module, *arguments)

    save, saved = fetal_tf.training.callbacks.save_checkpoint, []

    def dying(model, state, path):
        save(model, state, path)
        saved.append((path.parent.name, path.name, state.finished_epochs))
        if saved[-1] == ("trial-fold1", "last.keras", 1):
            raise FetalTFError("no memory")

    monkeypatch.setattr(fetal_tf.training.callbacks, "save_checkpoint", dying)
    monkeypatch.setattr(fetal_tf.training.folds, "run_module", in_this_process)
    folds = ("--folds", "2", "--set", "train.epochs=2")
    assert train(*folds) == 2
    *_, reason, error = capsys.readouterr().err.splitlines()
    assert reason == "error: no memory"
    assert error.startswith("error: runs/trial-fold1: broke off") and "--folds 2 --resume" in error
    runs = [workplace / "runs" / f"trial-fold{n}" for n in range(2)]
    assert (runs[0] / "evaluation" / "val-keras" / "report.html").is_file()
    assert not (workplace / "runs" / "trial-folds").exists()
    kept = {path: path.stat().st_mtime_ns for path in runs[0].rglob("*") if path.is_file()}
    assert train(*folds) == 2
    assert "trial-fold0: this run exists; continue all folds" in capsys.readouterr().err

    monkeypatch.setattr(fetal_tf.training.callbacks, "save_checkpoint", save)
    monkeypatch.setattr(fetal_tf.training.folds, "run_module", trained_in_another)
    assert train(*folds, "--resume") == 0
    assert kept == {path: path.stat().st_mtime_ns for path in kept}, "a finished fold is left alone"
    assert [len(read_history(run / "metrics.csv")) for run in runs] == [2, 2]
    out = capsys.readouterr().out
    assert "runs/trial-fold0: is finished" in out and "PHANTOM" in out
    assert "fold 0  fold 1" in out and "best val_loss" in out
    check_that_nobody_judged_what_it_learnt(workplace / "runs", runs)

    table = (workplace / "runs/trial-folds/folds.csv").read_text()
    calls = []
    monkeypatch.setattr(fetal_tf.training.folds, "run_module", lambda *call: calls.append(call))
    assert train(*folds, "--resume") == 0
    assert not calls, "nothing is left to do"
    assert (workplace / "runs/trial-folds/folds.csv").read_text() == table

    monkeypatch.setattr(fetal_tf.training.folds, "run_module", in_this_process)
    assert train(*folds, "--set", "seed=4", "--resume") == 2
    assert "trial-fold0: seed was 3" in capsys.readouterr().err
    assert train("--folds", "3", "--set", "train.epochs=2", "--resume") == 2
    assert "split.folds was 2 when the run started and is 3 now" in capsys.readouterr().err


def check_that_nobody_judged_what_it_learnt(root, runs):
    splits = [read_splits(run / "splits.csv") for run in runs]
    parts = [
        {
            part: {id for id, r in rows.items() if r.split == part}
            for part in ("train", "val", "test")
        }
        for rows in splits
    ]
    judged = list(csv.DictReader((root / "trial-folds/per_image.csv").open(newline="")))
    for number, part in enumerate(parts):
        assert {r["id"] for r in judged if r["fold"] == str(number)} == part["val"]
    assert parts[0]["val"] == parts[1]["train"] and parts[0]["test"] == parts[1]["test"]
    groups = [{splits[0][id].group for id in part["val"]} for part in parts]
    assert not groups[0] & groups[1]
    record = json.loads((root / "trial-folds/folds.json").read_text())
    dice = [float(r["dice"]) for r in judged if not r["error"]]
    assert record["metrics"]["dice"]["pooled"]["value"] == pytest.approx(np.mean(dice), abs=1e-5)


def test_a_fold_that_cannot_begin_stops_all(workplace, monkeypatch, capsys):
    calls = []
    monkeypatch.setattr(
        fetal_tf.training.folds, "run_module", lambda *call: calls.append(call) or 2
    )
    assert train("--folds", "2", "--tolerant", "--set", "seed=1") == 2
    assert "runs/trial-fold0: could not begin" in capsys.readouterr().err
    (call,) = calls
    assert call == (
        "fetal_tf.train", "--config", "trial.yaml", "--tolerant", "--set", "seed=1",
        "--name", "trial-fold0", "--set", "split.folds=2", "--set", "split.fold=0",
    )  # fmt: skip


@pytest.mark.parametrize("code", [0, 2, 130, 143])
def test_a_process_of_its_own_gives_its_code(tmp_path, monkeypatch, code):
    (tmp_path / "ends.py").write_text(f"raise SystemExit({code})")
    monkeypatch.chdir(tmp_path)
    if code in (130, 143):
        with pytest.raises(Terminated if code == 143 else KeyboardInterrupt):
            run_module("ends")
    else:
        assert run_module("ends") == code


@pytest.mark.parametrize("module", ["fetal_tf.train", "fetal_tf.evaluate"])
def test_what_a_fold_runs_are_commands(module):
    assert run_module(module, "--help") == 0
    assert run_module(module, "--no-such-option") == 2


def test_a_dry_run_checks_every_fold_and_writes_nothing(workplace, capsys):
    assert train("--folds", "3", "--dry-run") == 0
    out = capsys.readouterr().out
    assert [line for line in out.splitlines() if line.startswith("fold 2 of 3: train ")]
    assert "Trainable params" in out
    assert not (workplace / "runs").exists()
    assert train("--folds", "99", "--dry-run") == 2
    assert "split.folds is 99" in capsys.readouterr().err


def test_what_does_not_go_together(workplace, capsys):
    assert train("--folds", "2", "--overfit-batch") == 2
    assert "--overfit-batch learns one batch" in capsys.readouterr().err
    assert train("--folds", "2", "--resume") == 2
    assert "no fold to resume" in capsys.readouterr().err
    for wrong in ("1", "two"):
        with pytest.raises(SystemExit):
            train("--folds", wrong)
        assert "at least 2 folds" in capsys.readouterr().err
