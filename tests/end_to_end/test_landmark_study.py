"""The landmark study's two segmentation nets on a phantom: dry run, one step, scores, export."""

import subprocess
import sys
from pathlib import Path

import pytest

from fetal_tf.data.phantom.writing import write_phantom
from fetal_tf.edge.bundle.bundle import Bundle
from fetal_tf.evaluate import main as evaluate
from fetal_tf.train import main as train
from tests.exporting.test_export_command import export_untimed

pytest.importorskip("keras_cv", reason="needs the extra keras-cv")

RECIPES = Path(__file__).resolve().parents[2] / "configs"
SMALL = (
    "data.root=phantom",
    "data.image_size=[64, 96]",
    # One block a stage: tracing all of them takes a minute.
    "model.arguments={stackwise_blocks: [1, 1, 1, 1]}",
    "train.epochs=1",
    "train.batch_size=4",
    "train.precision=float32",
    "split={val: 0.25, test: 0.25}",
    "export.formats=[float32]",
    "export.calibration_images=1",
)


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    write_phantom("hc18", tmp_path / "phantom", count=8, seed=1)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def arguments(recipe):
    changes = [word for change in SMALL for word in ("--set", change)]
    return ["--config", str(RECIPES / f"{recipe}.yaml"), *changes]


@pytest.mark.parametrize("recipe", ["landmarks_resnet34_unet", "landmarks_deeplabv3plus"])
def test_dry_run_one_step_evaluation_and_export(recipe, workplace, capsys):
    assert train([*arguments(recipe), "--dry-run"]) == 0
    assert not Path("runs").exists()
    assert train(arguments(recipe)) == 0
    run = Path("runs") / recipe
    capsys.readouterr()
    assert evaluate([str(run), "--score", "diameters"]) == 0
    assert "Radial error (px)" in capsys.readouterr().out
    assert export_untimed([str(run)]) == 0
    assert Bundle.open(run / "bundle").formats == ("float32",)


def test_without_the_extra_one_line_names_its_pip_line(workplace):
    program = f"""
import importlib.util, runpy, sys
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name == "keras_cv" else real(name, *a)
sys.argv = ["fetal_tf.train", "--dry-run", *{arguments("landmarks_resnet34_unet")!r}]
runpy.run_module("fetal_tf.train", run_name="__main__", alter_sys=True)
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1:] == [
        'error: this needs keras_cv; install with `pip install "fetal-tf[keras-cv]"`, '
        'in a checkout `pip install -e ".[keras-cv]"`'
    ]
