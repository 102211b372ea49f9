"""A run on two devices is that of one: the same losses, resumed alike, exported alike."""

import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from fetal_tf.config.tree import TrainConfig
from fetal_tf.data.phantom.writing import write_phantom
from fetal_tf.edge.errors import ConfigError
from fetal_tf.models.saving import load_model
from fetal_tf.runs.history import read_history
from fetal_tf.runs.run import open_run
from fetal_tf.training.distribution import (
    ONE_DEVICE,
    Mirrored,
    of_one_device,
    open_distribution,
)

CONFIG = """
name: trial
seed: 3
data: {dataset: hc18, root: phantom, image_size: [32, 48]}
split: {val: 0.3, test: 0.2}
task: {name: segmentation, classes: [head], measurement: head}
augment: [{name: HorizontalFlip, p: 0.5}]
model: {name: unet, base: 4, depth: 1, convs_per_block: 1, dropout: 0.0}
loss: {name: bce_dice}
optimizer: {name: adamw, learning_rate: 1e-3, clip_norm: 1.0}
schedule: {name: constant}
train: {epochs: 3, batch_size: 4, monitor: val_dice, ema_decay: 0.9, deterministic: true}
export: {formats: [float32, int8], calibration_images: 4}
"""
# Two devices of one CPU, before TensorFlow has begun.
TRAIN = """
import sys
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from fetal_tf.train import main

mirrored = ["--set", "train.distribute=mirrored"]
for options in (
    ["--name", "one"],
    ["--name", "two", *mirrored],
    ["--name", "resumed", *mirrored, "--set", "train.epochs=2"],
    ["--name", "resumed", *mirrored, "--resume"],
    ["--name", "odd", *mirrored, "--set", "train.batch_size=5"],
    ["--name", "dry", *mirrored, "--dry-run"],
):
    print(options[1], main(["--config", "trial.yaml", *options]), flush=True)
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The runs, and what was said; an odd number of frames validates them."""
    place = tmp_path_factory.mktemp("devices")
    write_phantom("hc18", place / "phantom", count=24, seed=1)
    (place / "trial.yaml").write_text(CONFIG)
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(root)!r})\n{TRAIN}"],
        cwd=place, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return place / "runs", done


def test_two_devices_have_the_losses_and_metrics_of_one(runs):
    """Sums are taken in another order, which Adam amplifies."""
    folder, done = runs
    one, two = (read_history(folder / name / "metrics.csv") for name in ("one", "two"))
    assert "2 devices share each batch of 4" in done.stdout
    assert len(one) == len(two) == 3
    for alone, shared in zip(one, two, strict=True):
        assert alone.keys() == shared.keys()
        for name in ("loss", "val_loss", "dice", "val_dice", "pixel_accuracy"):
            assert shared[name] == pytest.approx(alone[name], rel=1e-3), name


def test_it_was_validated_on_an_odd_number_of_frames(runs):
    assert "val 7 images" in runs[1].stdout or "val 5 images" in runs[1].stdout


def test_a_run_on_two_devices_is_resumed_as_if_nothing_had_been(runs):
    folder, _ = runs
    whole, resumed = (read_history(folder / name / "metrics.csv") for name in ("two", "resumed"))
    assert len(resumed) == 3
    for expected, found in zip(whole, resumed, strict=True):
        for name in ("loss", "val_loss", "dice"):
            assert found[name] == pytest.approx(expected[name], rel=1e-5), name


def test_a_batch_that_cannot_be_shared_is_refused_and_leaves_no_run(runs):
    folder, done = runs
    assert "odd 2" in done.stdout and not (folder / "odd").exists()
    assert "train.batch_size: 5 frames cannot be shared evenly by 2 devices" in done.stderr


def test_a_dry_run_trains_nothing(runs):
    folder, done = runs
    assert "would train dry" in done.stdout and not (folder / "dry").exists()


def test_what_two_devices_leave_is_a_model_like_any_other(runs):
    """It loads on any backend: `synchronized` would be refused by all but TensorFlow."""
    folder, _ = runs
    for name in ("best", "last"):
        with zipfile.ZipFile(folder / "two" / f"{name}.keras") as archive:
            assert b'"synchronized": true' not in archive.read("config.json")
    image = np.random.default_rng(0).uniform(0, 255, (1, 32, 48, 1)).astype(np.float32)
    shared, alone = (load_model(folder / name / "best.keras") for name in ("two", "one"))
    assert shared.to_json() == alone.to_json()
    np.testing.assert_allclose(shared(image), alone(image), atol=0.02)


def test_its_export_is_that_of_one_device(runs, monkeypatch):
    from fetal_tf.cli.export import main

    folder, _ = runs
    monkeypatch.chdir(folder.parent)
    written = []
    for name in ("one", "two"):
        assert main([f"runs/{name}"]) in (0, 1)  # parity of a net that learnt next to nothing
        bundle = folder / name / "bundle"
        written.append({path.name for path in bundle.iterdir()})
    assert written[0] == written[1]
    assert open_run(folder / "two").keras_predictor().input_shape == (32, 48, 1)


def test_one_device_shares_nothing():
    options = TrainConfig(epochs=1, batch_size=5)
    assert open_distribution(options, None) is ONE_DEVICE and ONE_DEVICE.devices == 1
    model = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization()])
    ONE_DEVICE.share(model)
    assert not model.layers[0].synchronized
    assert ONE_DEVICE.leads and ONE_DEVICE.leaders({"a": 1.0}) == {"a": 1.0}


def test_a_shared_model_is_described_as_that_of_one_device_only_while_it_is_saved():
    model = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization()])
    model.layers[0].synchronized = True
    with of_one_device(model):
        assert model.get_config()["layers"][1]["config"]["synchronized"] is False
    assert model.layers[0].synchronized


def test_other_backends_do_not_mirror(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    options = TrainConfig(epochs=1, batch_size=4, distribute="mirrored")
    with pytest.raises(ConfigError, match="mirrored needs the TensorFlow backend, this is jax"):
        Mirrored(options)
