"""Landmarks from config to tablet, on phantoms: train, evaluate, export, predict, both outputs."""

import csv
import functools
import json
from pathlib import Path

import keras
import numpy as np
import pytest
from keras.src.applications.efficientnet import DEFAULT_BLOCKS_ARGS, EfficientNet

from fetal_tf.data.phantom.writing import write_phantom
from fetal_tf.data.readers.landmarks import TABLE_NAME
from fetal_tf.edge.geometry.landmarks import LANDMARKS
from fetal_tf.evaluate import main as evaluate
from fetal_tf.predict import main as predict
from fetal_tf.train import main as train
from tests.exporting.test_export_command import export_untimed

RECIPES = Path(__file__).parents[2] / "configs"
IMAGES = 16
ENDS = [f"{name}_{axis}_px" for name in LANDMARKS for axis in "xy"]
MASKED = """
name: masked
seed: 3
data: {dataset: hc18, root: labels/hc18, image_size: [48, 64]}
split: {val: 0.2, test: 0.2}
task:
  name: landmarks
  classes: [head, ofd_1, ofd_2, bpd_1, bpd_2]
  measurement: landmarks
  sigma_px: 3
augment: [{name: HorizontalFlip, p: 0.5}, {name: Affine, rotate: [-15, 15], p: 0.5}]
model: {name: unet, base: 8, depth: 3, convs_per_block: 1}
loss: {name: head_and_landmarks}
optimizer: {name: adamw, learning_rate: 5e-3}
train: {epochs: 8, batch_size: 1, monitor: val_radial_error, overlay_every: 99}
export: {formats: [float32, int8], calibration_images: 4}
"""
# The published recipe's shape at a hundredth of its size, on the labels as they are.
NOISY = """
name: noisy
seed: 3
data: {dataset: landmarks, root: labels, image_size: [32, 48], options: {labels: noisy}}
split: {val: 0.2, test: 0.2}
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
    """The current folder of all these tests; one phantom is HC18 and carries the noisy table."""
    folder = tmp_path_factory.mktemp("landmarks")
    write_phantom("landmarks", folder / "labels", IMAGES, seed=3)
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
def evaluation(run):
    assert evaluate([str(run), "--split", "all"]) == 0
    return run / "evaluation" / "all-keras"


@pytest.fixture(scope="module")
def bundle(run):
    export_untimed([str(run)])  # whether so small a net keeps int8's limits is not the question
    return run / "bundle"


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_evaluation_scores_every_image_in_pixels_and_millimetres(evaluation):
    rows = rows_of(evaluation / "per_image.csv")
    assert len(rows) == IMAGES
    for row in rows:
        points, truth = (
            np.array([[float(row[f"{n}_{a}_{end}"]) for a in "xy"] for n in LANDMARKS])
            for end in ("px", "true_px")
        )
        apart = [  # the better order of the ends of each axis
            min(np.linalg.norm(points[p] - truth[t], axis=1).mean() for p in (t, t[::-1]))
            for t in (np.array([0, 1]), np.array([2, 3]))
        ]
        assert float(row["radial_error_px"]) == pytest.approx(np.mean(apart), rel=1e-3)
        assert bool(row["hc_error_mm"]) is not bool(row["refused"])
    summary = json.loads((evaluation / "summary.json").read_text())
    found = summary["landmarks"]
    assert found["success"]["200px"]["n"] == 4 * IMAGES
    assert found["landmarks"]["all"]["mean"] == pytest.approx(
        summary["metrics"]["radial_error_px"]["mean"], rel=1e-3
    )
    assert 0 < found["span_share_true"] < 1
    assert "Radial error" in (evaluation / "report.html").read_text()


def test_a_few_epochs_find_the_head(evaluation):
    summary = json.loads((evaluation / "summary.json").read_text())
    assert summary["metrics"]["mask_dice"]["median"] > 0.6
    assert summary["landmarks"]["landmarks"]["all"]["median"] < 200  # frames are 800 px wide
    assert summary["images"]["measured"] >= 2


def test_the_bundle_holds_its_formats_against_keras(bundle):
    parity = json.loads((bundle / "parity.json").read_text())
    float32, int8 = (parity["formats"][name] for name in ("float32", "int8"))
    for end in ENDS:
        delta = f"{end.removesuffix('_px')}_abs_delta_mean_px"
        assert float32["deltas"][delta] < 0.01
    assert float32["deltas"]["unpaired_share"] == 0
    assert int8["deltas"]["probability_abs_delta_max"] > 1e-4, "int8 that equals Keras is Keras"


def test_radial_errors_are_held_to_their_limit(bundle):
    formats = json.loads((bundle / "parity.json").read_text())["formats"]
    assert formats["int8"]["deltas"]["radial_error_abs_delta_mean_px"] is not None
    checks = {c["metric"]: c for c in formats["float32"]["checks"]}
    assert checks["radial_error_abs_delta_mean_px"]["passed"]


def test_the_tablet_measures_or_refuses_as_the_evaluation_did(bundle, evaluation, place):
    rows = rows_of(evaluation / "per_image.csv")
    measured = [row for row in rows if not row["refused"]][:2]
    refused = [row for row in rows if row["refused"]][:1]
    frames = [place / "labels/hc18/training_set" / f"{r['id']}.png" for r in measured + refused]
    out = place / "predictions"
    options = ["--mm-per-pixel", "0.2", "--format", "float32", "--out", str(out)]
    assert predict([str(bundle), *map(str, frames), *options]) == 0
    found = rows_of(out / "measurements.csv")
    assert len(found) == len(frames) > 1
    for row, expected in zip(found, measured + refused, strict=True):
        assert bool(row["refused"]) is bool(expected["refused"])
        if row["refused"]:
            assert not any(row[end] for end in ENDS)
            continue
        for end in ENDS:
            assert float(row[end]) == pytest.approx(float(expected[end]), abs=0.05)
        assert float(row["ofd_mm"]) == pytest.approx(0.2 * float(row["ofd_px"]), rel=1e-4)


@pytest.fixture
def shallow(monkeypatch):
    """An EfficientNet of two blocks: what costs time here is its number of layers."""
    stages = DEFAULT_BLOCKS_ARGS[:2]
    net = functools.partial(EfficientNet, 0.5, 0.1, 224, blocks_args=stages)  # width, depth
    monkeypatch.setattr(keras.applications, "EfficientNetB0", net)


def test_a_regressor_learns_the_labels_as_they_are(place, shallow):
    assert train(["--config", "noisy.yaml"]) == 0
    run = place / "runs" / "noisy"
    assert evaluate([str(run), "--split", "test"]) == 0
    table = {row["image_name"]: row for row in rows_of(place / "labels/landmarks" / TABLE_NAME)}
    rows = rows_of(run / "evaluation" / "test-keras" / "per_image.csv")
    assert rows and all(row["radial_error_px"] for row in rows)
    for row in rows:
        label = table[f"{row['id']}.png"]
        for end in ENDS:  # names and order of the ends too
            name = end.removesuffix("_px")
            assert float(row[f"{name}_true_px"]) == float(label[name])

    heads = ["--dataset", "hc18", "--data-root", "labels/hc18", "--out", "heads"]
    assert evaluate([str(run), "--split", "all", *heads]) == 0
    clean = {row["id"]: row for row in rows_of(place / "heads" / "per_image.csv")}
    assert len(clean) == IMAGES
    for row in rows:
        own = clean[row["id"]]
        assert all(float(own[end]) == pytest.approx(float(row[end]), abs=0.01) for end in ENDS)
        assert any(own[name] != row[name] for name in row if name.endswith("_true_px"))


def test_the_recipe_for_ends_without_an_order_trains(place, shallow, capsys):
    recipe = ["--config", str(RECIPES / "landmarks_wing.yaml"), "--set", "data.root=labels"]
    assert train([*recipe, "--dry-run"]) == 0
    assert "target (8, 4, 3) float32" in capsys.readouterr().out
    assert not (place / "runs" / "landmarks_wing").exists()
    assert train([*recipe, "--set", "train.epochs=1"]) == 0
    run = place / "runs" / "landmarks_wing"
    loss = json.loads((run / "loss.json").read_text())
    assert loss["name"] == "wing" and loss["order_invariant"] and loss["geometry_weight"] > 0
    (epoch,) = rows_of(run / "metrics.csv")
    assert np.isfinite(float(epoch["loss"])) and float(epoch["val_radial_error"]) > 0
