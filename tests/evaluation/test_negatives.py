"""Frames of something else: from the config to what `evaluate`, the report and the card say."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from fetal_tf.cli.export import main as export
from fetal_tf.config.loading import load_config
from fetal_tf.data.negatives import as_negatives
from fetal_tf.data.phantom.writing import write_phantom
from fetal_tf.edge.errors import ConfigError, DataError
from fetal_tf.edge.io.images import read_gray
from fetal_tf.evaluate import main as evaluate
from fetal_tf.evaluation.evaluate import evaluate_samples
from fetal_tf.evaluation.negatives import answer, negatives_section, negatives_text
from fetal_tf.evaluation.provenance import describe
from fetal_tf.evaluation.target import open_target
from fetal_tf.experiment import open_experiment
from fetal_tf.reporting.sections.negatives import answer_table, sentence
from fetal_tf.runs.run import open_run
from fetal_tf.scores.detection import wilson_interval
from fetal_tf.scores.rows import image_frame
from fetal_tf.train import main as train
from fetal_tf.training.frames import load_frames
from tests.evaluation.evaluation_fakes import BrightnessPredictor

HEADS = """
name: heads
seed: 3
data:
  dataset: hc18
  root: hc18
  image_size: [32, 48]
  mixed_with:
    planes: {root: planes}
    focus: {root: focus, weight: 2.0, negative: true}
split: {val: 0.25, test: 0.25}
task: {name: head_axis, classes: [head, axis_cos, axis_sin], measurement: head}
model: {name: unet, base: 4, depth: 1, convs_per_block: 1}
loss: {name: head_and_axis, ellipse_weight: 1.0}
optimizer: {name: adamw, learning_rate: 5e-3}
train: {epochs: 1, batch_size: 4, monitor: val_loss}
"""
HEARTS = """
name: hearts
data:
  dataset: focus
  root: focus
  image_size: [32, 48]
  mixed_with: {hc18: {root: hc18, negative: true}}
task: {name: four_chamber, classes: [thorax, heart], measurement: four_chamber}
model: {name: unet, base: 4, depth: 1, convs_per_block: 1}
loss: {name: bce_dice}
optimizer: {name: adamw, learning_rate: 5e-3}
train: {epochs: 1, batch_size: 4}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("negatives")
    for name, count in (("hc18", 12), ("planes", 8), ("focus", 12)):
        write_phantom(name, folder / name, count, seed=1)
    (folder / "heads.yaml").write_text(HEADS)
    (folder / "hearts.yaml").write_text(HEARTS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def run(place):
    assert train(["--config", "heads.yaml"]) == 0
    return place / "runs" / "heads"


def opened(path, *changes):
    return open_experiment(load_config(path, changes))


def row(flags="", refused="", error="", numbers=0):
    if error:
        return {"id": "a", "group": "a", "error": error}
    kept = {"numbers": numbers, "flags": flags, "refused": refused}
    return {"id": "a", "group": "a", **kept, "error": ""}


def test_nothing_is_left_of_what_their_own_dataset_annotates(place):
    heads = opened("heads.yaml").data.read(dataset="planes")
    for own, negative in zip(heads, as_negatives(heads), strict=True):
        assert (negative.id, negative.group, negative.mm_per_pixel) == (
            own.id,
            own.group,
            own.mm_per_pixel,
        )
        assert own.mm_per_pixel and own.load_mask().any()
        mask = negative.load_mask()
        assert mask.shape == read_gray(negative.image_path).shape and not mask.any()
        assert np.isnan(negative.load_landmarks()).all()
        assert negative.labels is None and not negative.present
        assert negative.negative and not own.negative


@pytest.mark.parametrize(("config", "source"), [("heads.yaml", "focus"), ("hearts.yaml", "hc18")])
def test_they_are_learnt_as_empty_and_validate_nothing(place, config, source):
    experiment = opened(config)
    frames = load_frames(experiment)
    negative = np.array([sample.negative for sample in frames.train.samples])
    sources = np.array([sample.source for sample in frames.train.samples])
    assert negative.any() and np.array_equal(negative, sources == source)
    assert not any(sample.negative for sample in frames.val.samples)
    names = experiment.task.classes
    masks = [k for k, name in enumerate(names) if not name.startswith("axis")]
    for index, is_negative in enumerate(negative):
        encoded = frames.train.encode(frames.train[index].target)
        assert encoded.shape == (32, 48, len(names))
        assert encoded[..., masks].any() != is_negative
        if is_negative and "axis_cos" in names:
            assert (encoded[..., 1:] == 0.5).all()  # no direction at all


def test_their_loss_falls_as_the_net_grows_silent(place):
    experiment = opened("heads.yaml")
    model = experiment.build_model()
    experiment.compile(model, 1)
    truth = np.zeros((2, 32, 48, 3), np.float32)
    truth[..., 1:] = 0.5
    silent, loud = (np.full_like(truth, level) for level in (1e-4, 0.6))
    losses = [float(model.loss(truth, answers)) for answers in (silent, loud)]
    assert np.isfinite(losses).all() and losses[0] < 0.9 < losses[1]


def test_a_task_without_an_answer_refuses_them(place):
    text = HEADS.replace(
        "name: head_axis, classes: [head, axis_cos, axis_sin], measurement: head",
        "name: reconstruction, classes: [four_chamber], measurement: plane",
    )
    (place / "wrong.yaml").write_text(text.replace("head_and_axis, ellipse_weight: 1.0", "mse"))
    with pytest.raises(ConfigError, match=r"data\.mixed_with\.focus\.negative: the task recon"):
        opened("wrong.yaml")


def test_a_convention_of_negatives_is_refused(place):
    with pytest.raises(ConfigError, match=r"task\.conventions: found 'focus'; .*has planes"):
        opened("heads.yaml", "task.conventions={focus: {ofd: 1.1, bpd: 1.1}}")


def test_validation_and_test_are_both_all_that_is_held_out(place, run):
    opened_run = open_run(run)
    parts = {part: {s.id for s in opened_run.negatives(part)} for part in ("train", "val", "test")}
    of_focus = {id: row.split for id, row in opened_run.splits.items() if id.startswith("focus:")}
    assert set(of_focus) == parts["train"] | parts["test"] and parts["val"] == parts["test"]
    assert parts["train"] == {id for id, split in of_focus.items() if split == "train"}
    assert parts["test"] and not parts["train"] & parts["test"]
    assert {s.id for s in opened_run.negatives("all")} == set(of_focus)


def test_they_are_judged_beside_the_heads_and_in_no_mean(run, capsys):
    assert evaluate([str(run), "--split", "test"]) == 0
    screen = capsys.readouterr().out
    folder = run / "evaluation" / "test-keras"
    summary = json.loads((folder / "summary.json").read_text())
    found = summary["negatives"]
    with (folder / "negatives.csv").open() as file:
        rows = list(csv.DictReader(file))
    held_out = {s.id for s in open_run(run).negatives("test")}
    assert {row["id"] for row in rows} == held_out and found["n"] == len(held_out)
    assert found["refused"] + found["flagged"] + found["passed"] == found["n"]
    assert found["trained_on"] == 0 and found["failed"] == 0
    assert f"negatives, {found['n']} frames that show something else" in screen
    judged = (folder / "per_image.csv").read_text()
    assert "focus:" not in judged and summary["images"]["n"] == judged.count("\n") - 1
    page = (folder / "report.html").read_text()
    assert 'id="negatives"' in page and "<code>negatives.csv</code>" in page


@pytest.mark.parametrize(
    "where", [["--split", "train"], ["--split", "all", "--data-root", "focus"]]
)
def test_they_can_be_judged_alone(run, tmp_path, capsys, where):
    out = tmp_path / "out"
    assert evaluate([str(run), "--dataset", "focus", *where, "--out", str(out)]) == 0
    summary = json.loads((out / "summary.json").read_text())
    learnt = len(open_run(run).negatives("train"))
    assert summary["images"]["n"] == 0 and summary["negatives"]["trained_on"] == learnt > 0
    assert f"the net has learnt {learnt} of them" in capsys.readouterr().out
    page = (out / "report.html").read_text()
    assert 'id="negatives"' in page and 'id="metrics"' not in page and "flatters" in page
    assert "of these 0" not in page


def test_a_frame_that_cannot_be_read_is_counted_as_failed(place, tmp_path):
    samples = as_negatives(opened("heads.yaml").data.read(dataset="hc18", data_root=place / "hc18"))
    broken = tmp_path / "broken.png"
    broken.write_bytes(samples[0].image_path.read_bytes()[:200])
    spoilt = [
        *samples[:2],
        samples[2].__class__(id="b", image_path=broken, group="b", negative=True),
    ]
    task = opened("heads.yaml").task

    class Net(BrightnessPredictor):
        def predict(self, images):
            return np.repeat(super().predict(images), 3, axis=-1)

    rows = evaluate_samples(Net((32, 48, 1)), spoilt, task)
    found = negatives_section(rows, spoilt, 0)["negatives"]
    assert (found["n"], found["failed"]) == (2, 1) and "broken.png" in rows["error"][2]
    assert "1 failed" in negatives_text(found) and "1 frame could not be read" in sentence(found)


def test_a_missing_pixel_size_is_no_doubt_about_the_picture():
    unit = "no_pixel_size: measured in pixels only"
    assert answer(row(refused="no_head: nothing")) == "refused"
    assert answer(row(flags=f"{unit}; uncertain: HC 5 %")) == "flagged"
    assert answer(row(flags=unit)) == answer(row()) == "passed"


def test_a_refusal_that_keeps_a_number_is_none():
    """A chest without a heart keeps the circumference of its thorax."""
    assert answer(row(refused="no_heart: nothing", numbers=4)) == "flagged"
    assert answer(row(refused="no_heart: nothing", numbers=0)) == "refused"


def test_shares_come_with_their_intervals():
    rows = [row(refused="no_head: nothing")] * 7 + [row(flags="uncertain: a")] * 2 + [row()]
    rows.append(row(error="x.png: truncated"))
    found = negatives_section(image_frame(rows), [], trained_on=3)["negatives"]
    assert (found["n"], found["refused"], found["flagged"], found["passed"]) == (10, 7, 2, 1)
    assert found["passed_ci95"] == wilson_interval(1, 10)
    assert found["refusals"] == {"no_head": 7} and found["flags"] == {"uncertain": 2}
    assert negatives_text(found).endswith("1 failed; the net has learnt 3 of them")
    assert answer_table(found).rows[0][:3] == ["refused", "7", "70.0% [39.7% to 89.2%]"]
    assert negatives_section(image_frame([]), [], 0) == {}


def test_the_bundle_keeps_their_figures_and_the_card_says_them(place, run, capsys):
    assert export([str(run), "--formats", "int8"]) in (0, 1)
    bundle = run / "bundle"
    parity = json.loads((bundle / "parity.json").read_text())
    held_out = len(open_run(run).negatives("test"))
    for summary in (parity["keras"], parity["formats"]["int8"]["measured"]):
        assert summary["negatives"]["n"] == held_out
        assert summary["negatives"]["trained_on"] == 0
    card = (bundle / "MODEL_CARD.md").read_text()
    learnt = len(open_run(run).negatives("train"))
    assert "## Frames that show something else" in card
    assert f"Beside them {learnt} frames of focus were learnt as negatives" in card
    alone = open_target(str(bundle))
    assert {s.id for s in alone.negatives("all", place / "focus", "focus")} == {
        s.id for s in open_run(run).negatives("all")
    }
    assert alone.samples("all", place / "focus", "focus") == []


def test_a_dataset_is_divided_as_where_it_is_learnt(place):
    """Or a net that starts from that run would be judged on frames that it knows."""
    hearts = opened("hearts.yaml")
    alone = opened("heads.yaml", "data.mixed_with={}", "split={}").data.read()
    own = opened("heads.yaml", "data.mixed_with={}", "split={}").data.split(alone)
    mixed = hearts.data.split(hearts.data.read())
    assert {id.removeprefix("hc18:"): r.split for id, r in mixed.items() if "hc18:" in id} == {
        id: r.split for id, r in own.items()
    }
    assert {r.split for r in own.values()} == {"train", "val", "test"}
    assert all(r.group.startswith("hc18:") for id, r in mixed.items() if "hc18:" in id)


def test_without_a_frame_to_validate_on_training_does_not_start(place):
    with pytest.raises(DataError, match="no sample belongs to the split 'val'"):
        load_frames(opened("heads.yaml", "split.val=0.0"))


def test_all_heads_failing_is_an_error_whatever_the_negatives(run, monkeypatch, tmp_path):
    def fail(*_):
        raise DataError("mask is empty")

    monkeypatch.setattr("fetal_tf.tasks.segmentation.SegmentationTask.evaluate", fail)
    assert evaluate([str(run), "--split", "test", "--out", str(tmp_path / "out")]) == 2


def test_any_frames_can_be_judged_as_negatives(run, capsys):
    """Also by a net that has learnt none of their dataset, and a number of its own is wrong."""
    for _ in range(2):  # a folder of its own, which replaces itself
        assert evaluate([str(run), "--dataset", "planes", "--split", "test", "--negative"]) == 0
    assert "negatives, " in capsys.readouterr().out
    folder = run / "evaluation" / "test-keras-planes-negative"
    summary = json.loads((folder / "summary.json").read_text())
    planes = {id for id, r in open_run(run).splits.items() if "planes:" in id and r.split == "test"}
    assert summary["negatives"]["n"] == len(planes) and summary["images"]["n"] == 0
    assert summary["evaluated"]["data_root"] == "planes"


def test_an_older_table_does_not_stay_beside_figures_without_them(run):
    folder = run / "evaluation" / "test-keras"
    assert evaluate([str(run), "--split", "test"]) == 0
    assert (folder / "negatives.csv").is_file()
    assert evaluate([str(run), "--split", "test", "--data-root", "hc18"]) == 0  # hc18 alone
    assert not (folder / "negatives.csv").exists()
    assert "negatives" not in json.loads((folder / "summary.json").read_text())


def test_generated_negatives_beside_real_heads_are_said(place, run):
    target = open_target(str(run))
    samples, negatives = target.samples("test"), target.negatives("test")
    real = [replace(s, image_path=place / "real" / s.image_path.name) for s in samples]
    assert not describe(target, real, "test", None, None, None).phantom
    found = describe(target, real, "test", None, None, None, negatives)
    assert found.phantom and found.dataset == "hc18 + planes"
