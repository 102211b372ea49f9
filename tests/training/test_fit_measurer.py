"""What a run's measurer is fitted to is kept with the model, and used with no other."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

import fetal_tf.training.fit_measurer
from fetal_tf.edge.errors import FetalTFError
from fetal_tf.runs.measurement_settings import SETTINGS_NAME, read_settings, write_settings
from fetal_tf.training.fit_measurer import fit_measurer, with_fitted_measurer
from tests.evaluation.evaluation_fakes import BrightnessPredictor, write_samples

SETTINGS = {"reference": {"csp_area": {"median": -3.5, "scale": 0.25, "n": 9}}, "cleaning": None}


@pytest.fixture
def run_path(tmp_path):
    path = tmp_path / "run"
    path.mkdir()
    (path / "best.keras").write_bytes(b"the best so far")
    return path


def test_settings_come_back_with_the_model_they_were_fitted_to(run_path):
    assert read_settings(run_path) == {}
    write_settings(run_path, SETTINGS)
    assert read_settings(run_path) == SETTINGS


def test_a_better_epoch_makes_them_stale(run_path):
    write_settings(run_path, SETTINGS)
    (run_path / "best.keras").write_bytes(b"the best so far!")
    assert read_settings(run_path) == {}
    (run_path / "best.keras").write_bytes(b"the best so far")
    assert read_settings(run_path) == SETTINGS


def test_without_a_model_there_are_none(run_path):
    write_settings(run_path, SETTINGS)
    (run_path / "best.keras").unlink()
    assert read_settings(run_path) == {}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "5",
        "[1]",
        '{"settings": {}}',
        '{"fitted_to_sha256": "0", "settings": 5}',
        "\ufeff{}",
    ],
)
def test_a_damaged_file_is_named_with_the_way_out(run_path, content):
    (run_path / SETTINGS_NAME).write_text(content, encoding="utf-8")
    with pytest.raises(FetalTFError, match=rf"{SETTINGS_NAME}: damaged.*python -m export"):
        read_settings(run_path)


def test_a_number_that_json_does_not_know_leaves_what_was_there(run_path):
    write_settings(run_path, SETTINGS)
    with pytest.raises(ValueError):
        write_settings(run_path, {"thresholds": {"shape_score": float("nan")}})
    assert read_settings(run_path) == SETTINGS


class Doubling:
    """A measurer that looks at twice the net's output, and measures its mean and the pixel size."""

    def prepared(self, predictor):
        return SimpleNamespace(predict=lambda images: 2 * predictor.predict(images))

    def measure(self, output, letterbox, mm_per_pixel, ga_weeks=None):
        return float(output[letterbox.content].mean()), mm_per_pixel


class FittingTask:
    """Remembers what it is fitted to; `fits` is what it makes of it."""

    measurer = Doubling()

    def __init__(self, fits=SETTINGS):
        self.fits, self.training, self.validation = fits, None, None
        self.fits_measurer = bool(fits)

    def measurer_of(self, sample):
        return self.measurer

    def fit_measurer(self, training, validation):
        self.training = [sample.id for sample in training]
        if self.fits:
            self.validation = [(sample.id, measured) for sample, measured in validation]
        return self.fits


@pytest.fixture
def run(run_path, tmp_path):
    """Three gray frames: the first trains, the others validate. `opened` counts the nets made."""
    samples = write_samples(tmp_path, [50, 100, 150])
    asked = []

    def find(part, data_root):
        asked.append((part, data_root))
        return {"train": samples[:1], "val": samples[1:]}[part]

    def keras_predictor():
        fake.opened += 1
        return BrightnessPredictor()

    fake = SimpleNamespace(
        path=run_path, task=FittingTask(), samples=find, asked=asked, opened=0,
        input_shape=(24, 32, 1), keras_predictor=keras_predictor,
        config=SimpleNamespace(train=SimpleNamespace(refit=None)),
    )  # fmt: skip
    return fake


def test_training_truth_and_validation_measurements_are_fitted_to(run, tmp_path):
    assert fit_measurer(run, tmp_path / "elsewhere") == SETTINGS
    assert run.task.training == ["000_HC"]
    assert [id for id, _ in run.task.validation] == ["001_HC", "002_HC"]
    measured, mm_per_pixel = zip(*(m for _, m in run.task.validation), strict=True)
    np.testing.assert_allclose(measured, [200 / 255, 300 / 255], rtol=1e-6)
    assert mm_per_pixel == (0.1, 0.1)
    assert sorted(run.asked) == [("train", tmp_path / "elsewhere"), ("val", tmp_path / "elsewhere")]
    assert read_settings(run.path) == SETTINGS
    assert json.loads((run.path / SETTINGS_NAME).read_text())["settings"] == SETTINGS


def test_a_task_that_fits_nothing_opens_no_net_and_writes_nothing(run):
    run.task = FittingTask(fits={})
    assert fit_measurer(run) == {}
    assert run.opened == 0
    run.asked.clear()
    assert with_fitted_measurer(run) is run
    assert run.asked == [], "the dataset is not read for nothing"
    assert [path.name for path in run.path.iterdir()] == ["best.keras"]


def test_a_run_is_fitted_once_and_again_for_another_model(run, monkeypatch):
    reopened = []
    monkeypatch.setattr(
        fetal_tf.training.fit_measurer, "open_run", lambda path: reopened.append(path) or 5
    )
    assert with_fitted_measurer(run) == 5
    assert reopened == [run.path]
    assert with_fitted_measurer(run) is run, "it holds settings for this model"
    assert run.opened == 1
    (run.path / "best.keras").write_bytes(b"better")
    assert with_fitted_measurer(run) == 5
    assert run.opened == 2
    assert read_settings(run.path) == SETTINGS
