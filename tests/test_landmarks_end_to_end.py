"""Landmarks from config to tablet, on phantoms: train, evaluate, export, predict, both outputs."""

import csv
import json
from pathlib import Path

import pytest

from export.__main__ import main as export
from fetal_tf.data.phantom import write_phantom
from fetal_tf.edge.landmarks import LANDMARKS
from fetal_tf.evaluate import main as evaluate
from fetal_tf.predict import main as predict
from fetal_tf.train import main as train

MASKED = """
name: masked
seed: 3
data: {dataset: hc18, root: heads, image_size: [48, 64]}
split: {val: 0.2, test: 0.2}
task: {name: landmarks, classes: [head, ofd_1, ofd_2, bpd_1, bpd_2], measurement: landmarks}
augment: [{name: HorizontalFlip, p: 0.5}, {name: Affine, rotate: [-15, 15], p: 0.5}]
model: {name: unet, base: 8, depth: 3, convs_per_block: 1}
loss: {name: head_and_landmarks}
optimizer: {name: adamw, learning_rate: 5e-3}
train: {epochs: 6, batch_size: 2, monitor: val_radial_error, overlay_every: 99}
export: {formats: [float32, int8]}
"""
# The published recipe's shape at a hundredth of its size, on the labels as they are.
NOISY = """
name: noisy
seed: 3
data: {dataset: landmarks, root: labels, image_size: [64, 96], options: {labels: noisy}}
split: {val: 0.25, test: 0.25}
task:
  name: landmarks
  classes: [ofd_1, ofd_2, bpd_1, bpd_2]
  measurement: landmarks
  output: coordinates
  sort_ends: false
model: {name: efficientnetb3_regressor, backbone: b0}
loss: {name: l1_smooth_l1}
optimizer: {name: adamw, learning_rate: 1e-4, weight_decay: 1e-5, clip_norm: 1.0}
train: {epochs: 1, batch_size: 4, monitor: val_radial_error, overlay_every: 99}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("landmarks")
    write_phantom("hc18", folder / "heads", 30, seed=3)
    write_phantom("landmarks", folder / "labels", 12, seed=3)
    (folder / "masked.yaml").write_text(MASKED)
    (folder / "noisy.yaml").write_text(NOISY)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def run(place):
    assert train(["--config", "masked.yaml"]) == 0
    return place / "runs" / "masked"


@pytest.fixture(scope="module")
def bundle(run):
    export([str(run)])  # whether so small a net keeps its limits is not the question here
    return run / "bundle"


def rows_of(path):
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


def test_evaluation_scores_every_image_in_pixels_and_millimetres(run):
    assert evaluate([str(run), "--split", "all"]) == 0
    folder = run / "evaluation" / "all-keras"
    rows = rows_of(folder / "per_image.csv")
    assert len(rows) == 30
    assert all(float(row["radial_error_px"]) >= 0 for row in rows)
    summary = json.loads((folder / "summary.json").read_text())
    found = summary["landmarks"]
    assert found["success"]["200px"]["n"] == 120
    assert found["landmarks"]["all"]["mean"] == pytest.approx(
        summary["metrics"]["radial_error_px"]["mean"], rel=1e-3
    )
    assert 0 < found["span_share_true"] < 1
    page = (folder / "report.html").read_text()
    assert "Radial error" in page


def test_a_few_epochs_find_the_head(run):
    evaluate([str(run), "--split", "train"])
    summary = json.loads((run / "evaluation" / "train-keras" / "summary.json").read_text())
    assert summary["metrics"]["mask_dice"]["median"] > 0.6
    assert summary["landmarks"]["landmarks"]["all"]["median"] < 200  # frames are 800 px wide


def test_the_bundle_holds_its_formats_against_keras(bundle):
    parity = json.loads((bundle / "parity.json").read_text())
    float32 = parity["formats"]["float32"]
    assert float32["passed"], float32
    assert "radial_error_abs_delta_mean_px" in float32["deltas"]
    assert "radial_error_abs_delta_mean_px" in parity["formats"]["int8"]["deltas"]


def test_the_tablet_measures_or_refuses(bundle, place, capsys):
    frames = sorted((place / "heads" / "training_set").glob("*_HC.png"))[:3]
    out = place / "predictions"
    options = ["--mm-per-pixel", "0.2", "--out", str(out), "--json"]
    assert predict([str(bundle), *map(str, frames), *options]) == 0
    rows = rows_of(out / "measurements.csv")
    assert len(rows) == 3
    for row in rows:
        ends = [row[f"{name}_{axis}_px"] for name in LANDMARKS for axis in "xy"]
        assert all(ends) or row["refused"]


def test_a_regressor_learns_the_labels_as_they_are(place):
    assert train(["--config", "noisy.yaml"]) == 0
    run = place / "runs" / "noisy"
    assert evaluate([str(run), "--split", "test"]) == 0
    rows = rows_of(run / "evaluation" / "test-keras" / "per_image.csv")
    assert rows and all(row["radial_error_px"] for row in rows)
    assert evaluate([str(run), "--split", "all", "--dataset", "hc18", "--data-root", "heads"]) == 0
