"""The command itself, on a small phantom: what it writes, refuses, survives and repeats."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fetal_tf.checkpoint import load_model, load_state
from fetal_tf.data.phantom import write_phantom
from fetal_tf.run import read_history
from fetal_tf.train import main

REPOSITORY = Path(__file__).resolve().parent.parent

CONFIG = """
name: trial
seed: 3
data: {dataset: hc18, root: phantom, image_size: [32, 48]}
split: {val: 0.2, test: 0.2}
task: {name: segmentation, classes: [head], measurement: head}
augment: [{name: HorizontalFlip, p: 0.5}, {name: Affine, rotate: [-20, 20], p: 0.8}]
model: {name: unet, base: 4, depth: 2, dropout: 0.2}
loss: {name: bce_dice}
optimizer: {name: adamw, learning_rate: 5e-3, clip_norm: 1.0}
schedule: {name: cosine, warmup_epochs: 1.0}
train: {epochs: 4, batch_size: 4, monitor: loss, ema_decay: 0.9, deterministic: true}
"""


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "phantom"
    write_phantom("hc18", root, count=24, seed=1)
    return root


@pytest.fixture
def workplace(tmp_path, phantom, monkeypatch):
    """A folder with config and data, made the current one."""
    (tmp_path / "phantom").symlink_to(phantom)
    (tmp_path / "trial.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train(*arguments):
    return main(["--config", "trial.yaml", *arguments])


# A training process that kills itself, as `kill -9` would, at the n-th call of a function.
KILLED = """
import os, signal, sys
sys.path.insert(0, {repository!r})
import fetal_tf.callbacks
from fetal_tf.train import main

calls = 0
owner, name = {place}
original = getattr(owner, name)

def counted(*args, **kwargs):
    global calls
    calls += 1
    if calls == {call}:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*args, **kwargs)

setattr(owner, name, counted)
sys.exit(main(["--config", "trial.yaml", *{arguments!r}]))
"""
KILLS = {
    "in the middle of an epoch": ("fetal_tf.callbacks.StopAtNaN, 'on_train_batch_end'", 5),
    "before a checkpoint": ("fetal_tf.callbacks, 'save_checkpoint'", 2),
    "between checkpoint and best model": ("fetal_tf.callbacks.EpochEnd, '_write_derived'", 2),
    "between best model and table": ("fetal_tf.callbacks, 'write_history'", 2),
}


def train_process(folder, *arguments, place="os, 'getpid'", call=-1):
    program = KILLED.format(repository=str(REPOSITORY), place=place, call=call, arguments=arguments)
    return subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=600
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory, phantom):
    """A run that nothing disturbs, to compare with."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "phantom").symlink_to(phantom)
    (folder / "trial.yaml").write_text(CONFIG)
    done = train_process(folder)
    assert done.returncode == 0, done.stderr
    return folder / "runs" / "trial"


def test_a_run_killed_anywhere_ends_like_one_that_was_not(workplace, whole):
    """SIGKILL at four places, resumed each time: weights, history and averages are the same."""
    run = workplace / "runs" / "trial"
    finished = []
    for n, (moment, (place, call)) in enumerate(KILLS.items()):
        resume = ["--resume"] if n else []
        done = train_process(workplace, *resume, place=place, call=call)
        assert done.returncode == -signal.SIGKILL, f"{moment}: {done.stderr}"
        finished.append(load_state(run / "last.keras").finished_epochs)
    assert finished == sorted(finished)
    assert finished[-1] < 4, "the last kill came too late to prove anything"
    assert train_process(workplace, "--resume").returncode == 0

    histories = [read_history(path / "metrics.csv") for path in (whole, run)]
    assert [row["epoch"] for row in histories[1]] == [1, 2, 3, 4]
    for one, other in zip(*histories, strict=True):
        for name in one.keys() - {"seconds"}:
            assert one[name] == pytest.approx(other[name], abs=1e-5), name
    for file in ("last.keras", "best.keras"):
        models = [load_model(path / file) for path in (whole, run)]
        for mine, theirs in zip(models[0].weights, models[1].weights, strict=True):
            np.testing.assert_allclose(mine.numpy(), theirs.numpy(), atol=1e-5)
    averages = [load_state(path / "last.keras").average for path in (whole, run)]
    assert averages[0].keys() == averages[1].keys() != set()
    for name, value in averages[0].items():
        np.testing.assert_allclose(value, averages[1][name], atol=1e-5)


def test_a_resumed_run_lists_every_epoch_once_in_tensorboard(workplace, whole):
    copy = Path(shutil.copytree(whole, workplace / "runs" / "trial"))
    assert train("--set", "train.epochs=5", "--resume") == 0
    scalars = events(copy / "tensorboard" / "scalars")
    assert [event.step for event in scalars.Tensors("validation/dice")] == [1, 2, 3, 4, 5]


def events(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    return log.Reload()


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory, phantom):
    folder = tmp_path_factory.mktemp("finished")
    (folder / "phantom").symlink_to(phantom)
    (folder / "trial.yaml").write_text(CONFIG)
    done = train_process(folder, "--set", "train.epochs=2")
    assert done.returncode == 0, done.stderr
    return folder / "runs" / "trial"


@pytest.fixture
def finished(workplace, finished_run):
    """A copy, free to be damaged, of one run of two epochs."""
    return Path(shutil.copytree(finished_run, workplace / "runs" / "trial"))


def test_what_a_run_leaves_and_what_it_refuses(finished, capsys):
    names = {path.name for path in finished.iterdir()}
    assert names == {
        "config.yaml", "environment.json", "metrics.csv", "best.keras", "last.keras",
        "tensorboard", "splits.csv", "loss.json",
    }  # fmt: skip
    environment = json.loads((finished / "environment.json").read_text())
    assert environment["seeds"] == {"training": 3, "split": 0}
    assert environment["versions"]["keras"]
    assert str(Path.home()) not in (finished / "environment.json").read_text()

    before = (finished / "last.keras").read_bytes()
    assert train("--set", "train.epochs=2") == 2
    assert "this run exists; continue it with --resume" in capsys.readouterr().err
    assert train("--set", "train.epochs=2", "--set", "seed=4", "--resume") == 2
    assert "seed was 3 when the run started and is 4 now" in capsys.readouterr().err
    assert train("--set", "train.epochs=1", "--resume") == 2
    assert (finished / "last.keras").read_bytes() == before

    assert train("--set", "train.epochs=3", "--resume") == 0
    assert [row["epoch"] for row in read_history(finished / "metrics.csv")] == [1, 2, 3]
    environment = json.loads((finished / "environment.json").read_text())
    assert len(environment["resumed"]) == 1, "the refused attempts are no resumptions"


def test_tensorboard_holds_scalars_and_pictures(finished):
    scalars = events(finished / "tensorboard" / "scalars")
    assert {"training/loss", "validation/dice", "training/learning_rate"} <= set(
        scalars.Tags()["tensors"]
    )
    pictures = events(finished / "tensorboard" / "pictures")
    assert set(pictures.Tags()["tensors"]) == {"validation/fixed", "validation/worst"}
    assert [event.step for event in scalars.Tensors("validation/dice")] == [1, 2]


def test_resuming_what_is_finished_trains_nothing(finished):
    before = (finished / "last.keras").read_bytes()
    assert train("--set", "train.epochs=2", "--resume") == 0
    assert (finished / "last.keras").read_bytes() == before


def test_resuming_a_run_that_stopped_early_trains_nothing(workplace, capsys):
    options = (
        "--set", "train.early_stopping.patience=1", "--set", "train.early_stopping.min_delta=1.0",
        "--set", "train.monitor=val_loss",
    )  # fmt: skip
    assert train(*options) == 0
    assert "stopped early after 2 epochs" in capsys.readouterr().out
    before = (workplace / "runs" / "trial" / "last.keras").read_bytes()
    assert train(*options, "--resume") == 0
    assert "stopped early after 2 epochs" in capsys.readouterr().out
    assert (workplace / "runs" / "trial" / "last.keras").read_bytes() == before


def test_data_may_move_between_start_and_resumption(finished, workplace):
    (workplace / "phantom").rename(workplace / "moved")
    moved = ("--set", "data.root=moved", "--set", "train.workers=1")
    assert train("--set", "train.epochs=3", *moved, "--resume") == 0


def test_a_broken_frame_leaves_no_run_behind(workplace, phantom, capsys):
    (workplace / "phantom").unlink()
    copy = Path(shutil.copytree(phantom, workplace / "phantom"))
    for image in (copy / "training_set").glob("*HC.png"):
        image.write_bytes(image.read_bytes()[:3000])
    for _ in range(2):  # and the next attempt meets no half-made run
        assert train() == 2
        assert "frames cannot be used" in capsys.readouterr().err
        assert not (workplace / "runs").exists()


def test_a_best_model_lost_between_two_writes_comes_back(finished):
    """Killed after last.keras and before best.keras and metrics.csv: both are derived again."""
    best = load_model(finished / "best.keras")
    (finished / "metrics.csv").unlink()
    (finished / "best.keras").unlink()
    assert train("--set", "train.epochs=2", "--resume") == 0
    assert len(read_history(finished / "metrics.csv")) == 2
    again = load_model(finished / "best.keras")
    for mine, theirs in zip(best.weights, again.weights, strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), atol=1e-6)


def test_resuming_nothing_says_so(workplace, capsys):
    assert train("--resume") == 2
    assert "no run to resume" in capsys.readouterr().err


def test_a_run_killed_before_its_first_epoch_can_be_resumed(finished):
    for name in ("last.keras", "best.keras", "metrics.csv"):
        (finished / name).unlink()
    assert train("--set", "train.epochs=2", "--resume") == 0
    assert (finished / "best.keras").is_file()


def test_a_lost_checkpoint_is_not_trained_over(finished, capsys):
    (finished / "last.keras").unlink()
    before = (finished / "best.keras").read_bytes()
    assert train("--set", "train.epochs=2", "--resume") == 2
    assert "last.keras is gone" in capsys.readouterr().err
    assert (finished / "best.keras").read_bytes() == before


@pytest.mark.parametrize("name", ["my run", "a/../../escaped", "/abs", ""])
def test_a_name_that_cannot_be_a_folder_is_refused_at_once(workplace, capsys, name):
    assert train("--name", name) == 2
    assert "cannot name a folder" in capsys.readouterr().err
    assert not (workplace / "runs").exists()


def test_a_damaged_checkpoint_is_named_and_left_alone(finished, capsys):
    content = (finished / "last.keras").read_bytes()[:5000]
    (finished / "last.keras").write_bytes(content)
    assert train("--set", "train.epochs=3", "--resume") == 2
    assert "last.keras: not a readable training checkpoint" in capsys.readouterr().err
    assert (finished / "last.keras").read_bytes() == content


def test_dry_run_shows_everything_and_writes_nothing(workplace, capsys):
    assert train("--dry-run") == 0
    out = capsys.readouterr().out
    assert "learning_rate: 0.005" in out
    assert "train " in out
    assert "one batch: image (4, 32, 48, 1) float32" in out
    assert "Trainable params" in out
    assert not (workplace / "runs").exists()


def test_one_batch_is_learnt_and_a_dead_model_is_caught(workplace, capsys):
    assert train("--overfit-batch") == 0
    assert train("--overfit-batch", "--set", "optimizer.learning_rate=1e-12") == 1
    assert "NOT learnt" in capsys.readouterr().out
    assert not (workplace / "runs").exists()


def test_a_diverging_run_stops_and_keeps_its_last_epoch(finished, capsys):
    config = (finished / "config.yaml").read_text()
    rising = config.replace("clip_norm: 1.0", "clip_norm: null").replace(
        "learning_rate: 0.005", "learning_rate: 1.0e+30"
    )
    assert rising != config
    (finished / "config.yaml").write_text(rising)
    before = (finished / "last.keras").read_bytes()
    code = train(
        "--resume", "--set", "train.epochs=4", "--set", "optimizer.clip_norm=null",
        "--set", "optimizer.learning_rate=1.0e+30",
    )  # fmt: skip
    assert code == 2
    assert "last.keras holds the last good epoch" in capsys.readouterr().err
    assert (finished / "last.keras").read_bytes() == before


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_trains_and_resumes(workplace, precision):
    options = ["--set", f"train.precision={precision}", "--set", "train.deterministic=false"]
    assert train(*options, "--set", "train.epochs=1") == 0
    assert train(*options, "--set", "train.epochs=2", "--resume") == 0
    history = read_history(workplace / "runs" / "trial" / "metrics.csv")
    assert len(history) == 2
    assert all(np.isfinite(row["loss"]) for row in history)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("model.bse=8", "model.bse: unknown parameter of unet (did you mean base?)"),
        ("model.name=unett", "model.name: unknown model 'unett' (did you mean unet?)"),
        ("data.root=nowhere", "data.root: nowhere is not a folder"),
        ("data.dataset=hc81", "data.dataset: unknown dataset 'hc81' (did you mean hc18?)"),
        ("data.options={line: 3}", "data.options.line: unknown parameter of hc18"),
        ("data.image_size=[33, 48]", "data.image_size"),
        (
            "task.measurement=hed",
            "task.measurement: unknown measurement 'hed' (did you mean head?)",
        ),
        ("task.classes=[]", "task.classes"),
        ("train.monitor=val_dise", "train.monitor: val_dise is not measured"),
    ],
)
def test_a_config_that_cannot_run_is_one_line_and_leaves_no_run(
    workplace, capsys, override, expected
):
    assert train("--set", override) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert expected in error
    assert not (workplace / "runs").exists()
