"""A run's folder as evaluation and export open it; nothing is trained here."""

import numpy as np
import pytest

from fetal_tf.config.loading import load_config, save_config
from fetal_tf.data.phantom.writing import write_phantom
from fetal_tf.data.sample import Sample
from fetal_tf.data.splits import SplitRow, select
from fetal_tf.edge.errors import FetalTFError
from fetal_tf.evaluation.target import open_target
from fetal_tf.experiment import open_experiment
from fetal_tf.models.predictor import KerasPredictor
from fetal_tf.runs.run import create_run, open_run

CONFIG = """
name: trial
data: {dataset: hc18, root: ROOT, image_size: [32, 48], exclude: [EXCLUDED]}
split: {val: 0.25, test: 0.25}
task: {name: segmentation, classes: [head], measurement: head}
model: {name: unet, base: 2, depth: 1}
loss: {name: bce}
optimizer: {name: adam, learning_rate: 1e-3}
train: {epochs: 1, batch_size: 4}
"""


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    write_phantom("hc18", root / "own", count=12, seed=1)
    write_phantom("hc18", root / "other", count=5, seed=2)
    return root


@pytest.fixture
def run_path(tmp_path, phantoms):
    """A run of an untrained model, as training would leave it."""
    config_file = tmp_path / "trial.yaml"
    config_file.write_text(
        CONFIG.replace("ROOT", str(phantoms / "own")).replace("EXCLUDED", "000_HC")
    )
    config = load_config(config_file)
    path = tmp_path / "runs" / "trial"
    experiment = open_experiment(config)
    create_run(path, config, experiment.data.split(experiment.data.read()), ["train"])
    experiment.build_model().save(path / "best.keras")
    return path


def test_the_parts_are_disjoint_and_make_up_the_whole(run_path):
    run = open_run(run_path)
    parts = [{s.id for s in run.samples(part)} for part in ("train", "val", "test")]
    everything = {s.id for s in run.samples("all")}
    assert sum(map(len, parts)) == len(everything) == 11
    assert set.union(*parts) == everything
    assert "000_HC" not in everything


def test_another_root_is_read_whole_and_not_thinned_by_this_ones_exclusions(run_path, phantoms):
    samples = open_run(run_path).samples("all", phantoms / "other")
    assert len(samples) == 5
    assert "000_HC" in {s.id for s in samples}


def test_a_part_of_another_root_is_refused(run_path, phantoms):
    with pytest.raises(FetalTFError, match=r"not in the run's splits\.csv .* --split all"):
        open_run(run_path).samples("test", phantoms / "other")


def test_a_missing_root_names_the_option(run_path, tmp_path):
    with pytest.raises(FetalTFError, match=r"--data-root: .* is not a folder"):
        open_run(run_path).samples("all", tmp_path / "gone")


def test_the_keras_predictor_takes_bytes_in_batches(run_path):
    predictor = open_run(run_path).keras_predictor()
    frames = np.random.default_rng(0).integers(0, 256, (11, 32, 48, 1), np.uint8)
    whole = predictor.predict(frames)
    assert whole.shape == (11, 32, 48, 1)
    assert whole.dtype == np.float32
    np.testing.assert_allclose(
        KerasPredictor(predictor.model, batch_size=3).predict(frames), whole, atol=1e-6
    )


def test_a_run_is_a_target_of_evaluation(run_path):
    target = open_target(str(run_path))
    assert (target.name, target.format) == ("trial", "keras")
    assert target.default_out("test") == run_path / "evaluation" / "test-keras"
    assert target.history == []


@pytest.mark.parametrize(
    ("damage", "format", "expected"),
    [
        (lambda run: (run / "best.keras").unlink(), None, "has no best.keras yet"),
        (lambda run: (run / "config.yaml").unlink(), None, "no config.yaml"),
        (lambda run: (run / "splits.csv").unlink(), None, r"splits\.csv"),
        (lambda run: None, "int8", "python -m export RUN"),
        (
            lambda run: (run / "best.keras").write_bytes(b"PK"),
            None,
            "damaged or incomplete",
        ),
    ],
)
def test_what_is_missing_is_named(run_path, damage, format, expected):
    damage(run_path)
    with pytest.raises(FetalTFError, match=expected):
        open_target(str(run_path), format).samples("test")


def test_nothing_there(tmp_path):
    with pytest.raises(FetalTFError, match="no such folder"):
        open_target(str(tmp_path / "gone"))


def test_a_written_config_opens_the_same_experiment(run_path, tmp_path):
    config = open_run(run_path).config
    save_config(config, tmp_path / "again.yaml")
    assert load_config(tmp_path / "again.yaml") == config


def test_an_official_test_set_may_be_added_after_training(tmp_path):
    """FOCUS without testing/ is trained on; later testing/ is there and belongs to test."""
    seen = [Sample("training_001", tmp_path / "a.png", "a", official_split="train")]
    added = Sample("testing_001", tmp_path / "b.png", "b", official_split="test")
    splits = {"training_001": SplitRow("training_001", "a", "train")}
    assert select([*seen, added], splits, "test", "data") == [added]
    assert select([*seen, added], splits, "train", "data") == seen
    with pytest.raises(FetalTFError, match="no sample belongs to the split 'val'"):
        select([*seen, added], splits, "val", "data")


def test_the_copy_of_a_training_image_is_not_tested_on(tmp_path):
    """Byte-identical images are one group, and the run has trained on one of them."""
    seen = Sample("training_108", tmp_path / "a.png", "testing_007", official_split="test")
    copy = Sample("testing_007", tmp_path / "b.png", "testing_007", official_split="test")
    other = Sample("testing_008", tmp_path / "c.png", "testing_008", official_split="test")
    splits = {"training_108": SplitRow("training_108", "training_108", "train")}
    assert select([seen, copy, other], splits, "test", "data") == [other]
