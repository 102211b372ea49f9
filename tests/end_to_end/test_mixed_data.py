"""Two datasets in one run: `data: [..., ...]`, from the config to what `evaluate` judges."""

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from fetal_tf.config.loading import dump_config, load_config
from fetal_tf.config.portable import portable
from fetal_tf.data.configured import negative_ids
from fetal_tf.data.phantom.writing import write_phantom
from fetal_tf.data.splits import PARTS, read_splits, write_splits
from fetal_tf.edge.errors import ConfigError
from fetal_tf.edge.geometry.letterbox import Letterbox, letterboxed
from fetal_tf.edge.io.images import read_gray
from fetal_tf.evaluate import main as evaluate
from fetal_tf.experiment import open_experiment
from fetal_tf.runs.run import open_run
from fetal_tf.scores.rows import csv_text, read_rows
from fetal_tf.train import main as train
from fetal_tf.training.frames import load_frames

CONFIG = """
name: mixed
seed: 3
data:
  - {dataset: hc18, root: first, image_size: [32, 48]}
  - {dataset: hc18, root: second, weight: 3.0}
split: {val: 0.25, test: 0.25}
task: {name: segmentation, classes: [head], measurement: head}
model: {name: unet, base: 4, depth: 1, convs_per_block: 1}
loss: {name: bce_dice}
optimizer: {name: adamw, learning_rate: 5e-3}
train: {epochs: 1, batch_size: 4, monitor: val_loss}
"""
NAMED = CONFIG.replace(
    "  - {dataset: hc18, root: first, image_size: [32, 48]}\n"
    "  - {dataset: hc18, root: second, weight: 3.0}\n",
    "  dataset: hc18\n  root: first\n  image_size: [32, 48]\n"
    "  mixed_with: {other: {dataset: hc18, root: second, weight: 3.0}}\n",
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mixed")
    write_phantom("hc18", folder / "first", 12, seed=1)
    write_phantom("hc18", folder / "second", 8, seed=2)
    (folder / "mixed.yaml").write_text(NAMED)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def run(place):
    assert train(["--config", "mixed.yaml"]) == 0
    return place / "runs" / "mixed"


def written(tmp_path, text):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    return path


def test_a_list_is_short_for_the_section(tmp_path):
    text = CONFIG.replace("dataset: hc18, root: second", "dataset: focus, root: second")
    config = load_config(written(tmp_path, text))
    assert list(config.data.sources) == ["", "focus"]
    assert config.data.readers == {"": "hc18", "focus": "focus"}
    assert config.data.names == "hc18 + focus"
    assert config.data.sources["focus"].weight == 3.0
    assert load_config(written(tmp_path, dump_config(config))) == config
    moved = load_config(written(tmp_path, text), ["data.mixed_with.focus.root=/else/where"])
    assert str(moved.data.sources["focus"].root) == "/else/where"
    assert str(portable(moved).data.mixed_with["focus"].root) == "where"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (CONFIG, r"hc18 is there twice; name the second one yourself, data\.mixed_with\.NAME"),
        (CONFIG.replace("dataset: hc18, root: second", "root: second"), "each with its dataset"),
        (
            NAMED.replace("weight: 3.0", "wieght: 3.0"),
            r"data\.mixed_with\.other\.wieght: unknown key \(did you mean weight\?\)",
        ),
        (NAMED.replace("weight: 3.0", "weight: 0"), r"data\.mixed_with\.other\.weight: "),
    ],
)
def test_a_wrong_mixture_is_refused_by_key(tmp_path, text, expected):
    with pytest.raises(ConfigError, match=expected):
        load_config(written(tmp_path, text))


def test_an_unknown_reader_or_a_missing_folder_is_named_by_its_key(tmp_path, place):
    unknown = load_config(place / "mixed.yaml", ["data.mixed_with.other.dataset=hc81"])
    with pytest.raises(ConfigError, match=r"data\.mixed_with\.other\.dataset: .*mean hc18"):
        open_experiment(unknown)
    nowhere = load_config(place / "mixed.yaml", ["data.mixed_with.other.root=nowhere"])
    with pytest.raises(ConfigError, match=r"data\.mixed_with\.other\.root: nowhere is not"):
        open_experiment(nowhere).data.read()


def test_each_dataset_is_divided_as_if_it_were_alone(place):
    experiment = open_experiment(load_config(place / "mixed.yaml"))
    samples = experiment.data.read()
    rows = experiment.data.split(samples)
    alone = open_experiment(load_config(place / "mixed.yaml", ["data.mixed_with={}"]))
    own = alone.data.read()
    assert {id: row for id, row in rows.items() if ":" not in id} == alone.data.split(own)
    other = Counter(row.split for id, row in rows.items() if id.startswith("other:"))
    assert set(other) == {"train", "val", "test"} and sum(other.values()) == 8


def test_the_heavier_dataset_is_drawn_more_often(place):
    frames = load_frames(open_experiment(load_config(place / "mixed.yaml")))
    sources = np.array([sample.source for sample in frames.train.samples])
    assert set(frames.weights[sources == ""]) == {1.0}
    assert set(frames.weights[sources == "other"]) == {3.0}


def test_a_single_training_frame_cannot_be_mixed(place):
    alone = ["data.mixed_with={}", "mix.mixup=0.5"]
    experiment = open_experiment(load_config(place / "mixed.yaml", alone))
    ids = [sample.id for sample in experiment.data.read()]
    rows = experiment.data.split(experiment.data.read())
    spare = [id for id in ids if rows[id].split == "train"][1:]
    few = load_config(place / "mixed.yaml", [*alone, f"data.exclude={spare}"])
    with pytest.raises(ConfigError, match="mix: found one training frame"):
        load_frames(open_experiment(few), rows)


def test_each_dataset_can_be_judged_alone_or_both_together(run, capsys):
    opened = open_run(run)
    held_out = [id for id, row in opened.splits.items() if row.split == "test"]
    judged = {}
    for options in ([], ["--dataset", "other"], ["--data-root", "first"]):
        assert evaluate([str(run), "--split", "test", *options]) == 0
        folder = capsys.readouterr().out.split("summary.json")[0].split()[-1]
        lines = Path(folder, "per_image.csv").read_text().splitlines()[1:]
        judged[" ".join(options)] = {line.split(",")[0] for line in lines}
    assert judged[""] == set(held_out)
    assert judged["--dataset other"] == {id for id in held_out if id.startswith("other:")}
    assert judged["--data-root first"] == {id for id in held_out if ":" not in id}
    assert len({frozenset(ids) for ids in judged.values()}) == 3


def rename_frame(root, new):
    """Give the first frame of an HC18 phantom another id."""
    table = root / "training_set_pixel_size_and_HC.csv"
    old = table.read_text().splitlines()[1].split(".png")[0]
    table.write_text(table.read_text().replace(f"{old}.png", f"{new}.png"))
    for ending in (".png", "_Annotation.png"):
        (root / "training_set" / f"{old}{ending}").rename(root / "training_set" / f"{new}{ending}")


@pytest.mark.parametrize("name", ["other:900_HC", "scan:900_HC"])
@pytest.mark.parametrize("mixed", [True, False])
def test_an_image_with_a_colon_in_its_name_stays_in_its_dataset(place, tmp_path, name, mixed):
    shutil.copytree(place / "first", tmp_path / "first")
    rename_frame(tmp_path / "first", name)
    changes = [f"data.root={tmp_path / 'first'}", *([] if mixed else ["data.mixed_with={}"])]
    config = load_config(place / "mixed.yaml", changes)
    experiment = open_experiment(config)
    samples = experiment.data.read()
    (sample,) = (s for s in samples if s.image_path.stem == name)
    assert sample.source == "" and (sample.id == name or mixed)
    write_splits(tmp_path / "splits.csv", experiment.data.split(samples))
    splits = read_splits(tmp_path / "splits.csv", samples)
    parts = [s for part in PARTS for s in experiment.data.samples_of(part, splits)]
    assert sorted(s.id for s in parts) == sorted(s.id for s in samples)

    rows = []
    for s in parts:
        letterbox = Letterbox(*s.load_mask().shape, 32, 48)
        truth = experiment.task.encode(experiment.task.target(s, letterbox))
        rows.append({"id": s.id, "group": s.group} | experiment.task.evaluate(truth, s, letterbox))
    (tmp_path / "rows.csv").write_text(csv_text(rows))
    found = experiment.task.summarise(read_rows(tmp_path / "rows.csv"), seed=0)["subgroups"]
    if mixed:
        counts = {source: figures["n"] for source, figures in found["source"].items()}
        assert counts == {"first": 12, "other": 8}
        negative = load_config(place / "mixed.yaml", ["data.mixed_with.other.negative=true"])
        others = {s.id for s in samples if s.source == "other"}
        assert len(others) == 8 and negative_ids(negative.data, splits) == others
    else:
        assert "source" not in found


def test_a_moved_dataset_does_not_hinder_resuming(run, place):
    (place / "second").rename(place / "moved")
    more = ["--resume", "--set", "train.epochs=2", "--set", "data.mixed_with.other.root=moved"]
    try:
        assert train(["--config", "mixed.yaml", *more]) == 0
    finally:
        (place / "moved").rename(place / "second")
    assert "moved" in (run / "config.yaml").read_text()


TWO_CENTRES = """
name: centres
seed: 3
data:
  dataset: hc18
  root: first
  image_size: [32, 48]
  mixed_with: {planes: {root: planes}}
split: {val: 0.25, test: 0.25}
task:
  name: head_axis
  classes: [head, axis_cos, axis_sin]
  measurement: head
  conventions: {planes: {ofd: 1.1, bpd: 1.05}}
model: {name: unet, base: 4, depth: 1, convs_per_block: 1}
loss: {name: head_and_axis, ellipse_weight: 1.0}
optimizer: {name: adamw, learning_rate: 5e-3}
train: {epochs: 1, batch_size: 4, monitor: val_loss}
"""


def test_centres_of_different_conventions_are_trained_and_judged_together(place):
    """Masks of one convention to learn from; the expert's own ellipse to be judged by."""
    write_phantom("planes", place / "planes", 10, seed=4)
    (place / "centres.yaml").write_text(TWO_CENTRES)
    experiment = open_experiment(load_config(place / "centres.yaml"))
    frames = load_frames(experiment, experiment.data.split(experiment.data.read()))
    task, cache = experiment.task, frames.train
    for index, sample in enumerate(cache.samples):
        letterbox = letterboxed(read_gray(sample.image_path), (32, 48, 1))[1]
        own = letterbox.apply_coverage(sample.load_mask()).sum() / 255
        encoded = task.encode(cache[index].target)
        grown = encoded[..., 0].sum() / own
        expected = 1.1 * 1.05 if sample.source == "planes" else 1.0
        assert grown == pytest.approx(expected, abs=0.02)
        row = task.evaluate(encoded, sample, letterbox)
        assert row["dice"] > 0.97 and abs(row["hc_error_percent"]) < 2
    assert {sample.source for sample in cache.samples} == {"", "planes"}

    assert train(["--config", "centres.yaml"]) == 0
    run = open_run(place / "runs" / "centres")
    assert run.task.measurement_settings["conventions"] == {"planes": {"ofd": 1.1, "bpd": 1.05}}
    assert evaluate(["runs/centres", "--split", "all", "--out", "judged"]) == 0
    summary = json.loads((place / "judged" / "summary.json").read_text())
    sources = summary["subgroups"]["source"]
    assert {name: group["n"] for name, group in sources.items()} == {"first": 12, "planes": 10}
    assert 'id="subgroups"' in (place / "judged" / "report.html").read_text()


def test_a_convention_of_a_dataset_that_is_not_there_is_refused(tmp_path):
    text = TWO_CENTRES.replace("conventions: {planes:", "conventions: {plane:")
    with pytest.raises(ConfigError, match=r"task\.conventions: found 'plane'.*planes"):
        open_experiment(load_config(written(tmp_path, text)))
    alone = TWO_CENTRES.replace("  mixed_with: {planes: {root: planes}}\n", "")
    with pytest.raises(ConfigError, match=r"data\.mixed_with has no dataset"):
        open_experiment(load_config(written(tmp_path, alone)))
