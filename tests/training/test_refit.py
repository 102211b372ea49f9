"""A refit: from the config to the card, which states the figures of the run that it refits."""

import json
import shutil
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest

import fetal_tf.tracking.tracker
from fetal_tf.config.loading import load_config
from fetal_tf.config.portable import portable
from fetal_tf.data.phantom.writing import write_phantom
from fetal_tf.data.splits import read_splits
from fetal_tf.edge.bundle.bundle import Bundle
from fetal_tf.edge.errors import ConfigError, DataError
from fetal_tf.evaluate import main as evaluate
from fetal_tf.experiment import open_experiment
from fetal_tf.runs.measurement_settings import read_settings
from fetal_tf.train import main as train
from fetal_tf.training.frames import load_frames
from tests.evaluation.test_negatives import HEARTS
from tests.exporting.test_export_command import export_untimed

MEASURED = """
extends: plain.yaml
name: hearts
split: {val: 0.25, test: 0.25}
train: {epochs: 2, monitor: loss, ema_decay: 0.5}
export: {parity_split: val, formats: [int8], calibration_images: 4}
"""
FINAL = "extends: hearts.yaml\nname: final\ntrain: {refit: runs/hearts}\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("refit")
    for name, count in (("focus", 15), ("hc18", 12)):
        write_phantom(name, folder / name, count, seed=1)
    (folder / "plain.yaml").write_text(HEARTS)
    (folder / "hearts.yaml").write_text(MEASURED)
    (folder / "final.yaml").write_text(FINAL)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert train(["--config", "hearts.yaml"]) == 0
        assert train(["--config", "final.yaml"]) == 0
        yield folder


@pytest.fixture(scope="module")
def exported(place):
    assert export_untimed(["runs/hearts"]) in (0, 1)  # nets of one step: parity is not the point
    assert export_untimed(["runs/final"]) in (0, 1)
    return place / "runs" / "final" / "bundle"


def parts(run):
    return Counter(
        (row.split, id.startswith("hc18:")) for id, row in read_splits(run / "splits.csv").items()
    )


def event_tags(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = EventAccumulator(str(folder)).Reload()
    return [tag for tags in log.Tags().values() if isinstance(tags, list) for tag in tags]


def split_of(*changes):
    return load_frames(open_experiment(load_config(Path("final.yaml"), changes))).splits


def test_it_learns_the_validation_frames_and_nothing_else_that_was_held_out(place):
    before, after = (parts(place / "runs" / name) for name in ("hearts", "final"))
    assert before["val", False] and before["val", True] and before["test", False]
    assert after["train", False] == before["train", False] + before["val", False]
    assert not after["val", False] and after["test", False] == before["test", False]
    assert all(after[part, True] == before[part, True] for part in ("train", "val", "test"))


def test_nothing_is_validated_and_what_was_fitted_is_taken_over(place, capsys):
    header = (place / "runs" / "final" / "metrics.csv").read_text().splitlines()[0]
    assert "loss" in header and "val_" not in header
    assert not event_tags(place / "runs" / "final" / "tensorboard" / "pictures")
    assert event_tags(place / "runs" / "hearts" / "tensorboard" / "pictures")
    settings = read_settings(place / "runs" / "hearts")
    assert settings and read_settings(place / "runs" / "final") == settings
    assert evaluate(["runs/final", "--split", "val"]) == 2
    assert "learnt the validation frames too; hearts was measured" in capsys.readouterr().err
    assert evaluate(["runs/final", "--split", "test"]) == 0
    for run, validated in (("final", False), ("hearts", True)):
        assert evaluate([f"runs/{run}", "--split", "test", "--out", f"report_{run}"]) == 0
        page = (place / f"report_{run}" / "report.html").read_text()
        assert ("No frame was held out to validate on" in page) is not validated
        assert ("Training and validation curves" in page) is validated


def test_where_nothing_is_held_out_the_next_step_is_export(place, capsys):
    shutil.copytree(place / "focus", place / "untested")
    shutil.rmtree(place / "untested" / "testing")
    shorter = ["--set", "data.root=untested", "--set", "train.epochs=1"]
    assert train(["--config", "hearts.yaml", "--name", "all", *shorter]) == 0
    assert capsys.readouterr().out.endswith(
        "next: python -m fetal_tf.evaluate runs/all --split val\n"
    )
    refit = ["--set", "train.refit=runs/all", "--name", "all_final"]
    assert train(["--config", "hearts.yaml", *shorter, *refit]) == 0
    assert capsys.readouterr().out.endswith(
        "next: python -m export runs/all_final --parity-split val\n"
    )


def test_it_goes_on_where_it_broke_off_and_no_further_than_the_other(place, monkeypatch, capsys):
    again = ["--config", "final.yaml", "--name", "broken"]

    @contextmanager
    def breaking_off(config, run):
        def after_epoch():
            raise KeyboardInterrupt

        yield after_epoch

    with monkeypatch.context() as patch:
        patch.setattr(fetal_tf.tracking.tracker, "tracked", breaking_off)
        assert train(again) not in (0, 2)
    runs = place / "runs"
    assert len((runs / "broken" / "metrics.csv").read_text().splitlines()) == 2
    assert train([*again, "--resume", "--set", "train.epochs=3"]) == 2
    assert "train.epochs was 2 when the run started and is 3 now" in capsys.readouterr().err
    assert train([*again, "--resume"]) == 0
    assert len((runs / "broken" / "metrics.csv").read_text().splitlines()) == 3
    assert parts(runs / "broken") == parts(runs / "final")


def test_the_bundle_states_the_held_out_figures_and_whose_they_are(exported):
    own = json.loads((exported / "parity.json").read_text())
    other = json.loads((exported.parents[1] / "hearts" / "bundle" / "parity.json").read_text())
    assert own["measured_by"] == "hearts" and "measured_by" not in other
    assert own["images"] == other["images"] > 0
    for a, b in (
        (own["keras"], other["keras"]),
        (own["formats"]["int8"]["measured"], other["formats"]["int8"]["measured"]),
    ):
        assert {k: v for k, v in a.items() if k != "negatives"} == {
            k: v for k, v in b.items() if k != "negatives"
        }
        assert a["negatives"]["samples_sha256"] == b["negatives"]["samples_sha256"]
        assert a["negatives"]["n"] > 0
    assert own["formats"]["int8"]["deltas"] != other["formats"]["int8"]["deltas"]

    card = " ".join((exported / "MODEL_CARD.md").read_text().split())
    assert "figures are those of `hearts`" in card and "had been measured on them" in card
    assert "chose the epoch" not in card
    first = (exported.parents[1] / "hearts" / "bundle" / "MODEL_CARD.md").read_text()
    assert "figures are those of" not in first
    assert Bundle.open(exported).name == "final"


def test_without_the_other_runs_figures_there_is_no_bundle(exported, capsys):
    parity = exported.parents[1] / "hearts" / "bundle" / "parity.json"
    kept = parity.read_text()
    try:
        for damaged, why in (
            (None, "No such file"),
            ("{", "cannot be read"),
            ("[]", "cannot be read"),
            ("{}", "cannot be read"),
            (json.dumps({**json.loads(kept), "formats": {}}), "no figures of int8"),
            (json.dumps({**json.loads(kept), "split": "test"}), "figures of the validation images"),
        ):
            parity.unlink(missing_ok=True)
            if damaged is not None:
                parity.write_text(damaged)
            assert export_untimed(["runs/final", "--out", "elsewhere"]) == 2
            error = capsys.readouterr().err
            assert why in error and "python -m export runs/hearts --formats int8" in error
            assert not Path("elsewhere").exists()
    finally:
        parity.write_text(kept)


def test_another_training_of_the_other_run_is_noticed(exported, capsys):
    measured = exported.parents[1] / "hearts"
    log, settings = measured / "metrics.csv", measured / "measurement.json"
    kept_log, kept_settings = log.read_text(), settings.read_text()
    other = {**json.loads(kept_settings), "settings": {"n": 1}}
    try:
        for file, content, why in (
            (log, "epoch,loss\n", "has finished 0 of 2 epochs"),
            (settings, json.dumps(other), "was trained anew"),
        ):
            kept = file.read_text()
            file.write_text(content)
            assert export_untimed(["runs/final", "--out", "elsewhere"]) == 2
            assert why in capsys.readouterr().err
            file.write_text(kept)
    finally:
        log.write_text(kept_log)
        settings.write_text(kept_settings)


def test_images_that_are_judged_set_no_ranges(exported):
    bundle = json.loads((exported / "bundle.json").read_text())
    assert bundle["parity"]["measured_by"] == "hearts"
    validation = read_splits(exported.parents[1] / "hearts" / "splits.csv")
    assert all(validation[id].split == "train" for id in bundle["calibration"]["images"])


def test_on_test_images_its_own_figures_stand(exported):
    assert export_untimed(["runs/final", "--out", "tested", "--parity-split", "test"]) in (0, 1)
    assert "measured_by" not in json.loads(Path("tested/parity.json").read_text())
    assert "figures are those of" not in Path("tested/MODEL_CARD.md").read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("train.refit=runs/gone", "runs/gone is no trained run"),
        ("train.refit=runs/final", "is a refit itself"),
        ("train.epochs=3", "another recipe.*train.epochs is 2 there and 3 here"),
        ("loss.name=bce", "another recipe.*loss.name"),
        ("seed=9", "another recipe.*seed"),
    ],
)
def test_a_run_whose_figures_would_not_stand_for_it_is_refused(place, change, message):
    with pytest.raises(ConfigError, match=message):
        split_of(change)


def test_other_first_weights_under_the_same_name_are_noticed(place):
    record = place / "runs" / "hearts" / "environment.json"
    kept = record.read_text()
    other = {"file": "heads/best.keras", "sha256": "0" * 64}
    damaged = {"file": "heads/best.keras"}
    try:
        for key, files, name in (
            ("initial_weights", other, r"model\.init"),
            ("initial_weights", damaged, r"model\.init"),
            ("teachers", [other], r"teacher\.bundles"),
        ):
            record.write_text(json.dumps({**json.loads(kept), key: files}))
            with pytest.raises(ConfigError, match=rf"descends from another model.*{name} is"):
                split_of()
    finally:
        record.write_text(kept)


def test_what_no_weight_depends_on_may_differ(place):
    changed = split_of("train.workers=1", "export.calibration_images=9", "name=other")
    assert changed == read_splits(place / "runs" / "final" / "splits.csv")


def test_other_frames_are_refused(place):
    write_phantom("focus", place / "more", 18, seed=1)
    with pytest.raises(DataError, match=r"splits\.csv"):
        split_of("data.root=more")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["train.monitor=val_loss"], "val_loss is not measured where refit"),
        (["split.folds=3", "split.fold=0"], "a refit has nothing to validate on"),
    ],
)
def test_a_refit_neither_monitors_nor_folds(place, changes, message):
    with pytest.raises(ConfigError, match=message):
        load_config(Path("final.yaml"), changes)


def test_a_bundle_says_not_where_the_other_run_lay(place):
    config = load_config(Path("final.yaml"), ["train.refit=/home/somebody/runs/hearts"])
    assert portable(config).train.refit == Path("hearts")
