"""What a net has seen of the frames that it is judged on, and which figures are to be quoted."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from fetal_tf.data.sample import Sample
from fetal_tf.data.splits import SplitRow
from fetal_tf.evaluate import main as evaluate
from fetal_tf.evaluation.seen import seen_by, seen_section, seen_warning, with_seen
from fetal_tf.runs.lineage import write_inherited
from fetal_tf.scores.rows import image_frame
from tests.evaluation.target_fakes import fake_config


def samples(*ids):
    return [Sample(id, f"/nowhere/{id}.png", id) for id in ids]


def target(tmp_path, splits, own=False, inherited=(), **sections):
    config = fake_config("net", tmp_path / "data", **sections)
    if inherited:
        (tmp_path / "config.yaml").write_text(json.dumps(config.model_dump(mode="json")))
        write_inherited(tmp_path, set(inherited))
    return SimpleNamespace(
        config=config,
        splits={id: SplitRow(id, id, split) for id, split in splits.items()},
        folder=tmp_path if inherited else None,
        experiment=SimpleNamespace(data=SimpleNamespace(is_own=lambda *_: own)),
    )


SPLITS = {"a": "train", "b": "val", "c": "test"}


def test_the_split_tells_it(tmp_path):
    net = target(tmp_path, SPLITS, own=True)
    found = seen_by(net, samples("a", "b", "c", "d"))
    assert found == ["learnt", "chosen_on", "held_out", "unknown"]


def test_another_copy_of_the_data_is_known_by_its_names(tmp_path):
    net = target(tmp_path, SPLITS)
    assert seen_by(net, samples("a", "c"), tmp_path) == ["learnt", "held_out"]


def test_a_few_names_in_common_are_chance(tmp_path):
    net = target(tmp_path, SPLITS)
    assert seen_by(net, samples("a", "x", "y", "z"), tmp_path) == ["unknown"] * 4


def test_what_an_ancestor_has_learnt_is_learnt(tmp_path):
    net = target(tmp_path, SPLITS, own=True, inherited=[("hc18", "c"), ("focus", "d")])
    assert seen_by(net, samples("b", "c", "d")) == ["chosen_on", "learnt", "unknown"]


def test_a_dataset_that_only_an_ancestor_has_learnt(tmp_path):
    net = target(tmp_path, SPLITS, inherited=[("focus", "a"), ("focus", "b")])
    found = seen_by(net, samples("a", "b", "c"), tmp_path, "focus")
    assert found == ["learnt", "learnt", "unknown"]


def test_labels_on_another_datasets_images_are_that_datasets_frames(tmp_path):
    net = target(tmp_path, SPLITS)
    assert seen_by(net, samples("a", "c"), tmp_path, "landmarks") == ["learnt", "held_out"]


def test_the_section_counts_and_averages_each_part_alone():
    rows = image_frame(
        [
            {"id": "a", "group": "1", "dice": 0.99, "flags": "", "refused": "", "error": ""},
            {"id": "b", "group": "1", "dice": 0.95, "flags": "x: y", "refused": "", "error": ""},
            {"id": "c", "group": "2", "dice": 0.90, "flags": "", "refused": "", "error": ""},
        ]
    )
    task = SimpleNamespace(
        metric_names=["dice"], summarise=lambda rows, seed: {"own": [*rows["id"]]}
    )
    seen = with_seen(rows, ["learnt", "learnt", "held_out"])
    found = seen_section(seen, task, 0, {})["seen"]
    assert found["learnt"]["own"] == ["a", "b"] and found["held_out"]["own"] == ["c"]
    assert list(found) == ["held_out", "learnt"]  # the one to quote comes first
    assert found["learnt"]["images"] == {
        "n": 2, "measured": 2, "flagged": 1, "refused": 0, "failed": 0,
    }  # fmt: skip
    assert found["learnt"]["groups"] == 1
    assert found["learnt"]["metrics"]["dice"]["mean"] == pytest.approx(0.97)
    assert found["held_out"]["metrics"]["dice"]["mean"] == pytest.approx(0.90)


@pytest.mark.parametrize(
    "parts, said",
    [
        ({"held_out": 3}, ""),
        ({"unknown": 3}, ""),
        ({"learnt": 3}, "learnt from all of these 3 images"),
        ({"held_out": 1, "learnt": 2}, "learnt from 2 of these 3 images"),
    ],
)
def test_the_warning(parts, said):
    summary = {
        "images": {"n": 3},
        "seen": {key: {"images": {"n": n}} for key, n in parts.items()},
    }
    warning = seen_warning(summary)
    assert said in warning and bool(said) == bool(warning)


def test_rows_of_nothing_stay_nothing():
    assert with_seen(pd.DataFrame(), []).empty


def test_the_net_that_ships_says_which_of_hc18_it_has_learnt(
    real_data, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    command = ["zoo:hc18", "--data-root", str(real_data / "hc18"), "--split", "all"]
    assert evaluate(command) == 0
    said = capsys.readouterr().out
    summary = json.loads((tmp_path / "evaluation/hc18-all-int8-hc18/summary.json").read_text())
    assert summary["evaluated"]["subject"] == "hc18", "by the shelf, not by the run that made it"
    page = (tmp_path / "evaluation/hc18-all-int8-hc18/report.html").read_text(encoding="utf-8")
    assert "<h1>hc18" in page and "over 472 landmarks" in page, "of the 118 held out, everywhere"
    sizes = summary["seen"]["held_out"]["subgroups"]["size"]
    assert sum(group["n"] for group in sizes.values()) == 118
    seen = {key: part["images"]["n"] for key, part in summary["seen"].items()}
    assert seen["learnt"] > 500 and seen["held_out"] == 118 and sum(seen.values()) == 787
    assert f"learnt from {seen['learnt']} of these 787 images" in said
    with (tmp_path / "evaluation/hc18-all-int8-hc18/per_image.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    held_out = [float(r["hc_abs_error_mm"]) for r in rows if r["seen"] == "held_out"]
    mean_mm = summary["seen"]["held_out"]["metrics"]["hc_abs_error_mm"]["mean"]
    assert np.mean(held_out) == pytest.approx(mean_mm, abs=1e-4)
    assert mean_mm > summary["metrics"]["hc_abs_error_mm"]["mean"] + 0.2
