import dataclasses
import datetime
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from fetal_tf.data.phantom.writing import MARKER_NAME
from fetal_tf.data.splits import SplitRow
from fetal_tf.edge.bundle.gate import GatedPredictor
from fetal_tf.evaluation.provenance import describe
from fetal_tf.experiment import open_experiment
from tests.evaluation.evaluation_fakes import BrightnessPredictor, write_samples
from tests.evaluation.target_fakes import fake_config


@pytest.fixture
def data(tmp_path):
    images = tmp_path / "machine" / "heads" / "training_set"
    images.mkdir(parents=True)
    return images.parent, write_samples(images, [10, 20, 30])


def target_of(root, splits):
    config = fake_config("net", root)
    return SimpleNamespace(
        name="net",
        format="keras",
        config=config,
        experiment=open_experiment(config),
        splits=splits,
        predictor=BrightnessPredictor(),
    )


def test_phantom_is_known_by_the_mark_of_its_folder(data):
    root, samples = data
    assert not describe(target_of(root, {}), samples, "all", None, None, None).phantom
    (root / MARKER_NAME).write_text("{}")
    assert describe(target_of(root, {}), samples, "all", None, None, None).phantom


def test_training_images_are_counted_through_another_spelling_of_the_own_root(data):
    root, samples = data
    splits = {s.id: SplitRow(s.id, s.group, "train") for s in samples[:2]}
    target = target_of(root, splits)
    spelt = root / ".." / root.name
    assert describe(target, samples, "all", spelt, None, None).trained_on == 2
    assert describe(target, samples, "all", root.parent, None, None).trained_on is None
    assert describe(target_of(root, {}), samples, "all", None, None, None).trained_on is None


def test_no_path_of_the_machine_is_told(data):
    root, samples = data
    evaluated = describe(target_of(root, {}), samples, "test", None, None, "flip")
    assert evaluated.data_root == "heads"
    assert str(Path(root).parent) not in json.dumps(dataclasses.asdict(evaluated))
    assert {"fetal_tf", "Python", "numpy"} <= set(evaluated.versions)


def test_two_evaluations_of_a_day_are_told_apart(data):
    root, samples = data
    before = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    date = describe(target_of(root, {}), samples, "all", None, None, None).date
    assert before <= datetime.datetime.fromisoformat(date) <= datetime.datetime.now(datetime.UTC)
    assert len(date) == len("2026-01-31T11:22:33+00:00") and date.endswith("+00:00")


def test_a_gate_is_named(data):
    root, samples = data
    target = target_of(root, {})
    assert describe(target, samples, "all", None, None, None).gate is None
    target.predictor = GatedPredictor(target.predictor, "gatekeeper", lambda image: None)
    assert describe(target, samples, "all", None, None, None).gate == "gatekeeper"
