"""The benchmark of the input pipeline measures the pipeline that training uses."""

import numpy as np
import pytest

from fetal_tf.benchmarks.pipeline import (
    StepTimes,
    batches,
    pipeline_seconds,
    reading_seconds,
    stage_seconds,
    step_times,
    transform_seconds,
)
from fetal_tf.cli.benchmark import main
from fetal_tf.config.loading import load_config
from fetal_tf.data.phantom.writing import write_phantom
from fetal_tf.experiment import open_experiment
from fetal_tf.training.frames import load_frames, training_batches

CONFIG = """
name: trial
data: {dataset: hc18, root: phantom, image_size: [32, 48]}
split: {val: 0.2, test: 0.2}
task: {name: segmentation, classes: [head], measurement: head}
augment: [{name: HorizontalFlip, p: 0.5}, {name: Affine, rotate: [-20, 20], p: 0.8}]
model: {name: unet, base: 4, depth: 1, convs_per_block: 1}
loss: {name: bce_dice}
optimizer: {name: adamw, learning_rate: 5e-3}
schedule: {name: constant}
train: {epochs: 2, batch_size: 4, monitor: loss}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pipeline")
    write_phantom("hc18", folder / "phantom", count=12, seed=1)
    (folder / "trial.yaml").write_text(CONFIG)
    return folder


@pytest.fixture(scope="module")
def opened(place):
    experiment = open_experiment(
        load_config(place / "trial.yaml", [f"data.root={place / 'phantom'}"])
    )
    return experiment, load_frames(experiment)


def test_each_stage_and_each_augmentation_is_timed(opened):
    experiment, frames = opened
    stages = stage_seconds(experiment, frames.train, 6)
    assert list(stages) == ["decode", "letterbox", "target", "augment", "encode"]
    assert min(stages.values()) > 0
    costs = transform_seconds(experiment, frames.train, 6)
    assert {*costs} == {"of any recipe", "1. HorizontalFlip", "2. Affine"}
    assert list(costs.values()) == sorted(costs.values(), reverse=True)


def test_its_batches_are_those_of_training(opened):
    experiment, frames = opened
    found = batches(experiment, frames)
    for (image, target), (own, truth) in zip(
        training_batches(experiment, frames, 0, 2), found, strict=False
    ):
        np.testing.assert_array_equal(image, own)
        np.testing.assert_array_equal(target, truth)
    assert pipeline_seconds(experiment, frames, 2) > 0
    assert reading_seconds(experiment, frames.train) > 0


def test_steps_are_timed_with_and_without_the_pipeline(opened):
    experiment, frames = opened
    times = step_times(experiment, frames, steps=2, rounds=2)
    assert [len(each) for each in (times.real, times.waits, times.cached)] == [4, 4, 4]
    assert all(0 <= wait <= real for wait, real in zip(times.waits, times.real, strict=True))


def test_what_a_pipeline_adds_is_told_by_medians_and_the_wait_by_sums():
    times = StepTimes(real=[1.1, 1.1, 9.0], waits=[0.0, 0.1, 1.02], cached=[1.0, 1.0, 5.0])
    assert times.added == pytest.approx(0.1) and times.waiting == pytest.approx(0.1)


def test_each_way_of_training_is_timed_and_sees_the_same_frames(place, capsys):
    command = ["training", "--config", str(place / "trial.yaml")]
    command += ["--set", f"data.root={place / 'phantom'}", "--steps", "2", "--rounds", "2"]
    ways = ["precision=float32", "precision=float32,steps_per_execution=2"]
    for way in ways:
        command += ["--way", way]
    assert main(command) == 0
    rows = [line.rsplit(maxsplit=4) for line in capsys.readouterr().out.splitlines()[-2:]]
    assert [row[0].strip() for row in rows] == ["precision=float32", ways[1].replace(",", ", ")]
    assert rows[0][3] == "1.00"
    assert float(rows[0][4]) == pytest.approx(float(rows[1][4]), abs=2e-3)


def test_a_way_that_does_not_train_is_named(place, capsys):
    command = ["training", "--config", str(place / "trial.yaml"), "--way", "precision=float31"]
    assert main([*command, "--set", f"data.root={place / 'phantom'}"]) == 2
    assert "train.precision" in capsys.readouterr().err


def test_the_command_prints_what_the_pipeline_adds(place, capsys):
    command = ["pipeline", "--config", str(place / "trial.yaml")]
    command += ["--set", f"data.root={place / 'phantom'}", "--frames", "4"]
    assert main([*command, "--steps", "2", "--rounds", "1"]) == 0
    said = capsys.readouterr().out
    for text in (
        "decode",
        "frames from memory",
        "2. Affine",
        "the pipeline adds",
        "of its time a step waits",
    ):
        assert text in said
