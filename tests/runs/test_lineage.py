"""What a net inherits from those that it starts from or learns from."""

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

import fetal_tf.training.frames
from fetal_tf.config.loading import load_config, save_config
from fetal_tf.config.portable import portable
from fetal_tf.data.credit import HC18, PHANTOM, read_credits, write_credits
from fetal_tf.data.phantom.writing import write_phantom
from fetal_tf.data.splits import SplitRow, write_splits
from fetal_tf.edge.bundle.bundle import Bundle
from fetal_tf.edge.errors import ConfigError, FetalTFError
from fetal_tf.edge.io.files import sha256_of
from fetal_tf.experiment import open_experiment
from fetal_tf.exporting.bundle_folder import write_checksums
from fetal_tf.runs.history import read_history
from fetal_tf.runs.lineage import (
    INHERITED_NAME,
    check_ancestors,
    inherited,
    learnt_by,
    read_inherited,
    write_inherited,
)
from fetal_tf.train import main as train
from fetal_tf.training.frames import load_frames
from tests.evaluation.test_negatives import HEADS
from tests.exporting.test_export_command import export_untimed

QUICKSTART = Path(__file__).parents[2] / "configs" / "quickstart.yaml"
MIXED = "data.mixed_with={heads: {root: h, dataset: hc18}}"


def write_source(run, dataset, parts, *changes):
    """A run that has learnt from what `parts` calls train."""
    run.mkdir(parents=True, exist_ok=True)
    config = load_config(QUICKSTART, [f"data.dataset={dataset}", *changes])
    save_config(config, run / "config.yaml")
    write_splits(run / "splits.csv", rows(parts))


def rows(parts):
    return {id: SplitRow(id, id, split) for id, split in parts.items()}


def starting_from(init, *changes):
    return load_config(QUICKSTART, ["data.dataset=hc18", f"model.init={init}", *changes])


def taught_by(*bundles):
    return load_config(QUICKSTART, [f"teacher.bundles=[{', '.join(map(str, bundles))}]"])


def test_weights_that_know_the_held_out_images_are_refused(tmp_path):
    first = tmp_path / "first"
    write_source(first, "hc18", {"a": "train", "b": "val", "c": "train"})
    check_ancestors(starting_from(first), rows({"a": "train", "b": "val", "c": "train"}))
    other_fold = rows({"a": "train", "b": "train", "c": "val"})
    message = r"^model\.init: .*1 images that this run holds out \(first: c\)"
    for init in (first, first / "best.keras"):
        with pytest.raises(ConfigError, match=message):
            check_ancestors(starting_from(init), other_fold)
    # Other images under like names, and weights of which nothing is known.
    check_ancestors(starting_from(first, "data.dataset=focus"), other_fold)
    check_ancestors(starting_from(tmp_path / "nowhere.keras"), other_fold)


def test_images_are_known_again_where_they_are_mixed_with_others(tmp_path):
    first = tmp_path / "first"
    write_source(first, "hc18", {"a": "train", "b": "val"})
    config = starting_from(first, "data.dataset=focus", MIXED)
    check_ancestors(config, rows({"heads:a": "train", "a": "val"}))
    with pytest.raises(ConfigError, match=r"holds out \(first: heads:a\)"):
        check_ancestors(config, rows({"heads:a": "val", "a": "train"}))
    check_ancestors(config, rows({":heads:a": "val"}))  # FOCUS' own, whose file is called heads:a


def test_what_an_ancestors_ancestor_has_learnt_is_known_too(tmp_path):
    grandmother, mother = tmp_path / "grandmother", tmp_path / "mother"
    write_source(grandmother, "planes", {"p": "train", "q": "test"})
    write_source(mother, "hc18", {"a": "train", "b": "val"})
    write_inherited(mother, inherited(starting_from(grandmother)))
    assert learnt_by(mother) == {("planes", "p"), ("hc18", "a")}
    config = starting_from(mother, "data.dataset=planes")
    check_ancestors(config, rows({"p": "train", "q": "val", "b": "test"}))
    with pytest.raises(ConfigError, match=r"holds out \(first: p\)"):
        check_ancestors(config, rows({"p": "test", "q": "train"}))


def test_of_a_run_without_such_a_list_the_first_weights_are_asked(tmp_path):
    """As runs have none that were trained before there were such lists."""
    grandmother, mother = tmp_path / "grandmother", tmp_path / "mother"
    write_source(grandmother, "planes", {"p": "train"})
    write_source(mother, "hc18", {"a": "train"}, f"model.init={grandmother}")
    assert learnt_by(mother) == {("planes", "p"), ("hc18", "a")}
    write_inherited(mother, set())
    assert learnt_by(mother) == {("hc18", "a")}


def test_another_readers_view_of_the_same_images_is_known(tmp_path):
    first = tmp_path / "first"
    write_source(first, "hc18", {"a": "train"})
    with pytest.raises(ConfigError, match="holds out"):
        check_ancestors(starting_from(first, "data.dataset=landmarks"), rows({"a": "test"}))


def test_every_ancestor_is_asked(tmp_path, place):
    first = tmp_path / "first"
    write_source(first, "focus", {"z": "train"})
    config = load_config(place / "taught.yaml", [f"model.init={first}"])
    bundle = place / "runs" / "heads" / "bundle"
    learnt = next(id for dataset, id in sorted(learnt_by(bundle)) if dataset == "hc18")
    with pytest.raises(ConfigError, match=r"^teacher\.bundles: "):
        check_ancestors(config, rows({learnt: "val"}))


@pytest.mark.parametrize("content", ["{", "[1]", '{"hc18": 3}', '{"hc18": "abc"}'])
def test_a_damaged_list_of_what_is_inherited_is_named(tmp_path, content):
    (tmp_path / INHERITED_NAME).write_text(content)
    with pytest.raises(
        FetalTFError, match=rf"{INHERITED_NAME}: (damaged|cannot be read|found list)"
    ):
        read_inherited(tmp_path)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a run that has been exported, and a config of one that it teaches."""
    folder = tmp_path_factory.mktemp("taught")
    for name, count in (("hc18", 12), ("planes", 8), ("focus", 12)):
        write_phantom(name, folder / name, count, seed=1)
    (folder / "heads.yaml").write_text(HEADS)
    (folder / "taught.yaml").write_text(
        "extends: heads.yaml\nname: taught\nteacher: {bundles: [runs/heads], share: 0.5}\n"
        "train: {epochs: 2, overlay_every: 99}\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        # Nets of one epoch measure nothing well, in any format: parity is not the point.
        patch.setattr(Bundle, "failed_parity", lambda self, format: False)
        assert train(["--config", "heads.yaml"]) == 0
        assert export_untimed(["runs/heads", "--formats", "int8"]) in (0, 1)
        assert train(["--config", "taught.yaml"]) == 0
        yield folder


def test_who_taught_is_on_record_and_credited(place):
    model, run = place / "runs/heads/bundle/model_int8.tflite", place / "runs" / "taught"
    record = json.loads((run / "environment.json").read_text())
    (teacher,) = record["teachers"]
    assert teacher == {"file": "heads/model_int8.tflite", "sha256": sha256_of(model)}
    credits = read_credits(run)
    assert credits[0] == read_credits(place / "runs" / "heads")[0]
    assert all(credit.phantom for credit in credits)


def test_a_teachers_answers_change_what_is_learnt(place):
    plain = ["--config", "taught.yaml", "--name", "alone", "--set", "teacher=null"]
    assert train(plain) == 0
    taught, alone = (
        [row["loss"] for row in read_history(place / "runs" / name / "metrics.csv")]
        for name in ("taught", "alone")
    )
    assert taught != pytest.approx(alone, rel=1e-2)


def test_a_teacher_may_move(place):
    """From its run to its bundle, or with the whole project."""
    moved = ["--set", "teacher.bundles=[runs/heads/bundle]"]
    assert train(["--config", "taught.yaml", *moved, "--resume"]) == 0


def test_before_its_first_epoch_is_over_a_run_goes_on_with_the_same_weights_alone(place, capsys):
    start = ["--config", "heads.yaml", "--name", "started"]
    for name in ("one", "two"):
        assert train(["--config", "heads.yaml", "--name", name, "--set", "seed=7"]) == 0
    assert train([*start, "--set", "model.init=runs/one"]) == 0
    run = place / "runs" / "started"
    for name in ("last.keras", "best.keras", "metrics.csv", "measurement.json"):
        (run / name).unlink(missing_ok=True)
    other = keras.saving.load_model(place / "runs" / "two" / "best.keras", compile=False)
    other.layers[-1].set_weights([w + 1 for w in other.layers[-1].get_weights()])
    other.save(place / "runs" / "two" / "best.keras")
    assert train([*start, "--set", "model.init=runs/two", "--resume"]) == 2
    assert "model.init: another model lies there than when" in capsys.readouterr().err
    assert train([*start, "--set", "model.init=runs/one", "--resume"]) == 0


def test_it_goes_on_with_the_same_teacher_alone(place, capsys):
    more = ["--config", "taught.yaml", "--resume", "--set", "train.epochs=3"]
    bundle, kept = place / "runs" / "heads" / "bundle", place / "kept"
    shutil.copytree(bundle, kept)
    otherwise = ["--set", "optimizer.learning_rate=1e-2"]
    assert train(["--config", "heads.yaml", "--name", "second", *otherwise]) == 0
    assert export_untimed(["runs/second", "--formats", "int8"]) in (0, 1)
    shutil.rmtree(bundle)
    shutil.copytree(place / "runs" / "second" / "bundle", bundle)
    try:
        assert train(more) == 2
        assert "teacher.bundles: another model lies there" in capsys.readouterr().err
    finally:
        shutil.rmtree(bundle)
        kept.rename(bundle)
    assert train(more) == 0
    assert len((place / "runs" / "taught" / "metrics.csv").read_text().splitlines()) == 4


def test_a_net_that_was_taught_is_shipped_with_the_names_of_its_teachers(place):
    assert export_untimed(["runs/taught", "--formats", "int8"]) in (0, 1)
    card = (place / "runs" / "taught" / "bundle" / "MODEL_CARD.md").read_text()
    assert "`runs/heads` (`teacher.bundles`), exported: 50 % of the targets are its answers" in card
    assert "by the nets that it descends from" not in card, "it is of the same data"
    heads, taught = (place / "runs" / name / "bundle" for name in ("heads", "taught"))
    assert read_inherited(taught) == learnt_by(heads) and not read_inherited(heads)


def test_a_teacher_that_is_not_there_is_named_with_its_key(place, capsys):
    gone = ["--set", "teacher.bundles=[runs/gone]", "--name", "other"]
    assert train(["--config", "taught.yaml", *gone]) == 2
    assert "teacher.bundles: runs/gone: no such folder" in capsys.readouterr().err


def test_a_teacher_of_one_fold_is_refused_for_the_others(place, capsys):
    fold = ["--set", "split.folds=2", "--set", "split.fold=0", "--set", "split.test=0"]
    assert train(["--config", "heads.yaml", "--name", "fold", *fold]) == 0
    assert export_untimed(["runs/fold", "--formats", "int8", "--parity-split", "val"]) in (0, 1)
    capsys.readouterr()
    taught = ["--set", "teacher.bundles=[runs/fold]", "--set", "split.test=0", "--dry-run"]
    assert train(["--config", "taught.yaml", "--folds", "2", *taught]) == 2
    assert "teacher.bundles: runs/fold/bundle was trained on" in capsys.readouterr().err


@pytest.mark.parametrize("how", [["--name", "other"], ["--name", "other", "--dry-run"]])
def test_a_teacher_that_knows_the_held_out_frames_is_refused(place, capsys, how):
    assert train(["--config", "taught.yaml", "--set", "split.seed=5", *how]) == 2
    assert "teacher.bundles: runs/heads/bundle was trained on" in capsys.readouterr().err
    assert not (place / "runs" / "other").exists()


def test_a_teacher_of_another_size_is_refused_before_a_run_is_made(place, capsys):
    change = ["--set", "data.image_size=[64, 96]"]
    assert train(["--config", "taught.yaml", "--name", "other", *change]) == 2
    assert "teacher.bundles: runs/heads/bundle has other frames" in capsys.readouterr().err
    assert not (place / "runs" / "other").exists()


def test_channels_in_which_nothing_is_known_are_the_experts(place):
    """The axis of a negative: of a frame without a head there is none to learn."""
    experiment = open_experiment(load_config(Path("taught.yaml")))
    teacher = load_frames(experiment).teacher
    target = np.full((32, 48, 3), 0.5, np.float32)
    blended = teacher.blend(np.zeros((32, 48, 1), np.uint8), target)
    assert (blended[..., 1:] == 0.5).all() and (blended[..., 0] != 0.5).any()


def test_a_target_that_is_no_output_cannot_be_blended(place, monkeypatch):
    """An autoencoder's says where the frame is, a regressor's which ends are in it."""

    class Fake:
        def answer(self, image):
            return np.zeros((32, 48, 1), np.float32)

    monkeypatch.setattr(fetal_tf.training.frames, "check_bundles", lambda *arguments: None)
    monkeypatch.setattr(fetal_tf.training.frames, "Teacher", lambda *arguments: Fake())
    changes = [
        "data.mixed_with={}",
        "task={name: reconstruction, classes: [head], measurement: plane}",
        "loss={name: mse}",
    ]
    with pytest.raises(ConfigError, match=r"^teacher: answers with an array \(32, 48, 1\)"):
        load_frames(open_experiment(load_config(Path("taught.yaml"), changes)))


def test_credits_of_a_teacher_are_due_as_those_of_first_weights_are(place):
    known = place / "known"
    known.mkdir()
    bundle = Bundle.open(place / "runs" / "heads" / "bundle")
    for file in bundle.path.iterdir():
        (known / file.name).write_bytes(file.read_bytes())
    credit = HC18.attribution[0]
    write_credits(known, [HC18])
    write_checksums(known)  # a file that the seal does not name would be refused
    changes = ["--set", "teacher.bundles=[known]", "--set", "train.epochs=1"]
    assert train(["--config", "taught.yaml", "--name", "credited", *changes]) == 0
    found = read_credits(place / "runs" / "credited")
    assert HC18 in found and credit in found[-1].attribution
    assert PHANTOM.trained_on in found[0].trained_on


def test_of_a_teacher_elsewhere_the_last_name_ships():
    config = portable(taught_by("/home/somebody/heads/bundle", "zoo:hc18", "runs/heads", "bundle"))
    assert config.teacher is not None
    assert config.teacher.bundles == [
        Path("heads"), Path("zoo:hc18"), Path("runs/heads"), Path("bundle"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("teacher.bundles=[]", "teacher.bundles"),
        ("teacher={share: 0.5}", "teacher.bundles"),
        ("teacher={bundles: [a], share: 1.5}", "teacher.share"),
    ],
)
def test_a_teacher_that_says_nothing_is_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        load_config(QUICKSTART, [change])
