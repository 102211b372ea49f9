"""The command itself, on a small phantom: what it writes, refuses, survives and repeats."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fetal_tf.data.phantom.writing import write_phantom
from fetal_tf.edge.errors import FetalTFError
from fetal_tf.losses.class_pixels import ClassPixels
from fetal_tf.models.saving import load_model
from fetal_tf.runs.history import read_history
from fetal_tf.train import main
from fetal_tf.training.checkpoint import load_state

REPOSITORY = Path(__file__).resolve().parent.parent

CONFIG = """
name: trial
seed: 3
data: {dataset: hc18, root: phantom, image_size: [32, 48]}
split: {val: 0.2, test: 0.2}
task: {name: segmentation, classes: [head], measurement: head}
augment: [{name: HorizontalFlip, p: 0.5}, {name: Affine, rotate: [-20, 20], p: 0.8}]
model: {name: unet, base: 4, depth: 1, convs_per_block: 1, dropout: 0.2}
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


# Imports everything once and forks a process for every training, which may kill itself at the n-th
# call of a function, as `kill -9` would. Threads do not survive a fork: TensorFlow starts its own
# with the first op, and only forked processes come to one.
FORKS = """
import json, os, pkgutil, signal, sys, threading, traceback
sys.path.insert(0, {repository!r})
import tensorboard.summary.v2, tensorflow
import fetal_tf.train, fetal_tf.tracking.tracker, fetal_tf.training.fit
import fetal_tf.training.fit_measurer
from tensorflow.python.eager import context

def kill_at(place, call):
    calls = 0
    owner, name = place.rsplit(".", 1)
    owner = pkgutil.resolve_name(owner)
    original = getattr(owner, name)

    def counted(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*args, **kwargs)

    setattr(owner, name, counted)

def train(folder, log, arguments, kill):
    os.chdir(folder)
    for descriptor in (1, 2):
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
    signal.alarm(600)
    if kill:
        kill_at(*kill)
    return fetal_tf.train.main(["--config", "trial.yaml", *arguments])

for line in sys.stdin:
    assert context._context is None and threading.active_count() == 1, "too late to fork"
    child = os.fork()
    if not child:
        code = 70
        try:
            code = train(**json.loads(line))
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
KILLS = {
    "before the first step": ("fetal_tf.training.callbacks.EpochEnd.on_train_begin", 1),
    "in the middle of an epoch": ("fetal_tf.training.callbacks.StopAtNaN.on_train_batch_end", 5),
    "in the middle of a checkpoint": ("fetal_tf.training.checkpoint._packed", 2),
    "between checkpoint and best model": ("fetal_tf.training.callbacks.EpochEnd._write_derived", 2),
    "between best model and table": ("fetal_tf.training.callbacks.write_history", 2),
}


@pytest.fixture(scope="module")
def train_process(tmp_path_factory):
    """Call it to train in a process of its own: returns the exit code and what was printed."""
    log = tmp_path_factory.mktemp("forks") / "log"
    forks = subprocess.Popen(
        [sys.executable, "-c", FORKS.format(repository=str(REPOSITORY))],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip

    def run(folder, *arguments, kill=None):
        log.unlink(missing_ok=True)
        request = dict(folder=str(folder), log=str(log), arguments=arguments, kill=kill)
        forks.stdin.write(json.dumps(request) + "\n")
        forks.stdin.flush()
        return int(forks.stdout.readline()), log.read_text()

    with forks:
        yield run


@pytest.fixture(scope="module")
def whole(tmp_path_factory, phantom, train_process):
    """A run that nothing disturbs, to compare with and to copy."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "phantom").symlink_to(phantom)
    (folder / "trial.yaml").write_text(CONFIG)
    code, log = train_process(folder)
    assert code == 0, log
    return folder / "runs" / "trial"


def test_a_run_killed_anywhere_ends_like_one_that_was_not(workplace, whole, train_process):
    """SIGKILL at five places, resumed each time: weights, history and averages are the same."""
    run = workplace / "runs" / "trial"
    finished = []
    for n, (moment, kill) in enumerate(KILLS.items()):
        code, log = train_process(workplace, *(["--resume"] if n else []), kill=kill)
        assert code == -signal.SIGKILL, f"{moment}: {log}"
        there = (run / "last.keras").is_file()
        finished.append(load_state(run / "last.keras").finished_epochs if there else 0)
    assert finished == [0, 1, 1, 2, 3], "each kill came when it was meant to"
    code, log = train_process(workplace, "--resume")
    assert code == 0, log

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


def events(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    return log.Reload()


@pytest.fixture
def finished(workplace, whole):
    """A copy, free to be damaged, of the run of four epochs."""
    return Path(shutil.copytree(whole, workplace / "runs" / "trial"))


def test_data_may_move_before_a_run_is_resumed_and_every_epoch_is_listed_once(finished, workplace):
    (workplace / "phantom").rename(workplace / "moved")
    moved = ("--set", "data.root=moved", "--set", "train.workers=1")
    assert train("--set", "train.epochs=5", *moved, "--resume") == 0
    assert [row["epoch"] for row in read_history(finished / "metrics.csv")] == [1, 2, 3, 4, 5]
    scalars = events(finished / "tensorboard" / "scalars")
    assert [event.step for event in scalars.Tensors("validation/dice")] == [1, 2, 3, 4, 5]
    assert len(json.loads((finished / "environment.json").read_text())["resumed"]) == 1


def test_what_a_run_leaves_and_what_it_refuses(finished, capsys):
    names = {path.name for path in finished.iterdir()}
    assert names == {
        "config.yaml", "environment.json", "metrics.csv", "best.keras", "last.keras",
        "tensorboard", "splits.csv", "loss.json", "credits.json", "measurement.json",
        "inherited.json",
    }  # fmt: skip
    environment = json.loads((finished / "environment.json").read_text())
    assert environment["seeds"] == {"training": 3, "split": 0}
    assert environment["versions"]["keras"]
    assert str(Path.home()) not in (finished / "environment.json").read_text()

    before = (finished / "last.keras").read_bytes()
    assert train() == 2
    assert "this run exists; continue it with --resume" in capsys.readouterr().err
    assert train("--set", "seed=4", "--resume") == 2
    assert "seed was 3 when the run started and is 4 now" in capsys.readouterr().err
    assert train("--set", "train.epochs=3", "--resume") == 2
    assert (finished / "last.keras").read_bytes() == before
    environment = json.loads((finished / "environment.json").read_text())
    assert "resumed" not in environment, "the refused attempts are no resumptions"


def test_tensorboard_holds_scalars_and_pictures(finished):
    scalars = events(finished / "tensorboard" / "scalars")
    assert {"training/loss", "validation/dice", "training/learning_rate"} <= set(
        scalars.Tags()["tensors"]
    )
    pictures = events(finished / "tensorboard" / "pictures")
    assert set(pictures.Tags()["tensors"]) == {"validation/fixed", "validation/worst"}
    assert [event.step for event in scalars.Tensors("validation/dice")] == [1, 2, 3, 4]


def test_resuming_what_is_finished_trains_nothing(finished):
    before = (finished / "last.keras").read_bytes()
    assert train("--resume") == 0
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
    assert train("--resume") == 0
    assert len(read_history(finished / "metrics.csv")) == 4
    again = load_model(finished / "best.keras")
    for mine, theirs in zip(best.weights, again.weights, strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), atol=1e-6)


def test_resuming_nothing_says_so(workplace, capsys):
    assert train("--resume") == 2
    assert "no run to resume" in capsys.readouterr().err


def test_a_lost_checkpoint_is_not_trained_over(finished, capsys):
    (finished / "last.keras").unlink()
    before = (finished / "best.keras").read_bytes()
    assert train("--resume") == 2
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
    assert train("--set", "train.epochs=5", "--resume") == 2
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
    options = ("--overfit-batch", "--set", "model.depth=2", "--set", "optimizer.learning_rate=0.02")
    assert train(*options) == 0
    assert train(*options, "--set", "optimizer.learning_rate=1e-12") == 1
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
        "--resume", "--set", "train.epochs=5", "--set", "optimizer.clip_norm=null",
        "--set", "optimizer.learning_rate=1.0e+30",
    )  # fmt: skip
    assert code == 2
    assert "last.keras holds the last good epoch" in capsys.readouterr().err
    assert (finished / "last.keras").read_bytes() == before


BRAIN = """
name: brain
data: {dataset: fetal_head_biometry, root: brain_phantom, image_size: [64, 64]}
split: {val: 0.25, test: 0.25, stratify: true}
task: {name: structures, classes: [background, brain, csp, lv], measurement: brain}
model: {name: attention_unet, base: 8, depth: 2, convs_per_block: 1}
loss: {name: weighted_cross_entropy}
optimizer: {name: adam, learning_rate: 1e-3}
train: {epochs: 1, batch_size: 2}
"""
BRAINS = 12
RED, BLUE = (255, 0, 0), (0, 0, 255)


@pytest.fixture(scope="module")
def brain_phantom(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "brain_phantom"
    write_phantom("fetal_head_biometry", root, count=BRAINS, seed=3)
    return root


@pytest.fixture
def brains(tmp_path, brain_phantom, monkeypatch):
    """A folder with a config and a copy of the brain phantom; the masks' paths."""
    (tmp_path / "brain.yaml").write_text(BRAIN)
    copy = Path(shutil.copytree(brain_phantom, tmp_path / "brain_phantom"))
    monkeypatch.chdir(tmp_path)
    return sorted(copy.glob("**/SegmentationClass/*.png"))


def train_brain(*arguments):
    return main(["--config", "brain.yaml", *arguments])


def repaint(path, old, new, pixels=None):
    """Give the pixels of one colour another one; the first `pixels` of them, or all."""
    mask = np.array(Image.open(path))
    where = np.argwhere((mask == old).all(axis=-1))[:pixels]
    mask[where[:, 0], where[:, 1]] = new
    Image.fromarray(mask).save(path)
    return len(where)


def test_a_foreign_colour_is_refused_unless_tolerated(brains, tmp_path, capsys):
    assert repaint(brains[0], RED, (200, 30, 10), pixels=5) == 5
    assert train_brain("--dry-run") == 2
    error = capsys.readouterr().err
    assert brains[0].name in error and "tolerant" in error
    with pytest.warns(UserWarning, match="5 pixels in 1 masks .*nearest"):
        assert train_brain("--dry-run", "--tolerant") == 0
    assert "tolerant: true" in capsys.readouterr().out
    assert not (tmp_path / "runs").exists()


def test_tolerance_is_an_option_of_datasets_with_colours(workplace, capsys):
    assert train("--dry-run", "--tolerant") == 2
    assert "data.options.tolerant: unknown parameter of hc18" in capsys.readouterr().err


def test_a_run_keeps_what_its_training_frames_hold(brains, tmp_path, monkeypatch, capsys):
    """Counted before the first step; a training that stops there leaves it behind."""

    def stop(*args, **kwargs):
        raise FetalTFError("stopped before the first step")

    monkeypatch.setattr("fetal_tf.training.fit.train", stop)
    assert train_brain("--set", "data.image_size=[256, 256]") == 2
    assert "stopped before the first step" in capsys.readouterr().err
    run = tmp_path / "runs" / "brain"
    counted = ClassPixels.from_record(json.loads((run / "class_pixels.json").read_text()))
    with (run / "splits.csv").open(newline="") as file:
        training = [row["id"] for row in csv.DictReader(file) if row["split"] == "train"]
    colours = {"background": (0, 0, 0), "brain": RED, "csp": (0, 255, 0), "lv": BLUE}
    assert counted.classes == tuple(colours)
    assert sum(counted.pixels) == len(training) * 256 * 256
    masks = [np.asarray(Image.open(path)) for path in brains if path.stem in training]
    scales = [(256 / max(mask.shape[:2])) ** 2 for mask in masks]
    for name, pixels, images in zip(counted.classes, counted.pixels, counted.images, strict=True):
        areas = [(mask == colours[name]).all(axis=-1).sum() for mask in masks]
        assert images == np.count_nonzero(areas)
        if name != "background":  # which the letterbox's padding joins
            expected = sum(a * scale for a, scale in zip(areas, scales, strict=True))
            assert pixels == pytest.approx(expected, rel=0.05), name


def test_a_class_that_no_training_image_holds_is_refused_with_the_counts(brains, tmp_path, capsys):
    assert sum(repaint(path, BLUE, RED) > 0 for path in brains) > 0
    for oversample in ("{}", "{csp: 3, lv: 3}"):
        assert train_brain("--set", f"sampler.oversample={oversample}") == 2
        error = capsys.readouterr().err
        assert "task.classes: no training image holds lv, so it cannot be learnt" in error
        assert "lv in 0 (0 pixels)" in error and "brain in " in error
        assert "Leave the class out, or add images" in error
        assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("sampler.oversample={cps: 3}", "sampler.oversample.cps: no training frame shows it"),
        ("task.classes=[background, brain, csp]", "data.options.structures and task.classes"),
        ("data.options.structures=[csp]", "data.options.structures and task.classes"),
        ("loss={name: hybrid, alpha: 0.9, beta: 0.3}", "loss.alpha: alpha 0.9 + beta 0.3"),
        ("loss={name: weighted_dice, class_weights: [1.0, 2.0]}", "loss.class_weights"),
        ("task.measurement=head", "task.measurement"),
        ("task.cleaning={min_aera: 0.1}", "task.cleaning"),
        ("model.head=sigmod", "model.head"),
    ],
)
def test_a_brain_config_that_cannot_run_leaves_no_run(brains, tmp_path, capsys, override, expected):
    assert train_brain("--set", override) == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_oversampling_what_the_dataset_does_not_tell_is_refused(workplace, capsys):
    assert train("--set", "sampler.oversample={head: 2}") == 2
    assert "sampler.oversample: the dataset does not say" in capsys.readouterr().err
    assert not (workplace / "runs").exists()


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


def test_a_second_trainer_of_a_run_is_refused_and_told_who_is_there(finished, capsys):
    lock = "from pathlib import Path; from fetal_tf.edge.io.lock import only_writer\n"
    hold = f"with only_writer(Path({str(finished)!r}), ''): print('held', flush=True); input()"
    other = subprocess.Popen(
        [sys.executable, "-c", lock + hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    try:
        assert other.stdout.readline() == "held\n"
        before = sorted(finished.rglob("*"))
        assert train("--resume") == 2
        error = capsys.readouterr().err
        assert f"process {other.pid} on " in error and "One process trains a run" in error
        assert sorted(finished.rglob("*")) == before
    finally:
        other.communicate("\n")


def test_what_a_killed_trainer_left_is_removed(finished):
    (finished / ".last.0123abcd.keras").write_bytes(b"half")
    (finished / ".notes.keras").write_bytes(b"mine")
    assert train("--resume") == 0
    assert not (finished / ".last.0123abcd.keras").exists() and not (finished / ".lock").exists()
    assert (finished / ".notes.keras").read_bytes() == b"mine"


def test_the_head_that_ships_is_trained_on_by_one_command(workplace, phantom, capsys):
    """On names of frames that it has not learnt: it refuses to hold out any of its own."""
    own = workplace / "own" / "training_set"
    own.mkdir(parents=True)
    for file in (phantom / "training_set").iterdir():
        (own / f"P{file.name}").symlink_to(file)
    table = "training_set_pixel_size_and_HC.csv"
    header, *rows = (phantom / table).read_text().splitlines()
    (own.parent / table).write_text("\n".join([header, *(f"P{row}" for row in rows)]) + "\n")
    command = ["--config", "head_finetune", "--set", "data.root=own", "--dry-run"]
    assert main(command) == 0
    said = capsys.readouterr()
    assert "layers start with the weights of" in said.out + said.err
    assert "zoo/hc18/model.keras" in said.out + said.err


@pytest.mark.parametrize("terminal", [True, False])
def test_within_an_epoch_a_terminal_shows_how_far_it_is_and_a_log_does_not(
    workplace, capsys, monkeypatch, terminal
):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    assert train("--set", "train.epochs=1") == 0
    out = capsys.readouterr().out
    bars = re.findall(r"[12]/3.*\d+s.*\d+m?s/step", out)  # step, seconds left, time of a step
    assert bool(bars) == terminal
    assert terminal or not {"\r", "\b", "\x1b"} & set(out)
