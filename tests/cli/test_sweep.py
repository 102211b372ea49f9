"""A sweep: its trials and their names, and the command, killed, resumed, with failing trials."""

import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from fetal_tf.analysis.sweep import best_first, point_lines
from fetal_tf.cli.sweep import main
from fetal_tf.data.phantom.writing import write_phantom
from fetal_tf.edge.errors import ConfigError, FetalTFError, UsageError
from fetal_tf.edge.extras import EXTRAS
from fetal_tf.edge.io.lock import only_writer
from fetal_tf.reporting.plots.sweep import parallel_coordinates
from fetal_tf.training.sweep import make_trials, read_grid

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
extends: quickstart
name: tiny
data: {root: phantom, image_size: [32, 48]}
split: {val: 0.25, test: 0.2}
augment: []
model: {name: unet, base: 4, depth: 1, convs_per_block: 1}
schedule: {name: constant}
train: {epochs: 2, batch_size: 8, workers: 1}
"""
RATES = "optimizer.learning_rate=4e-3,1e30"  # the second one ends in NaN
RUNS = [f"tiny-learning_rate-{rate}-fold{fold}" for rate in ("4e-3", "1e30") for fold in (0, 1)]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a config and phantom images."""
    folder = tmp_path_factory.mktemp("sweep")
    write_phantom("hc18", folder / "phantom", count=20, seed=1)
    (folder / "tiny.yaml").write_text(CONFIG)
    return folder


@pytest.fixture
def here(place, monkeypatch):
    """That folder as the working folder, also of trials."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return place


# --- trials ---


def test_a_grid_keeps_values_as_they_are_typed():
    grid = read_grid(["data.image_size=[32,48],[64, 96]", "model.name=unet,mobile_unet"])
    assert grid == {
        "data.image_size": ["[32,48]", "[64, 96]"],
        "model.name": ["unet", "mobile_unet"],
    }


@pytest.mark.parametrize("texts, message", [
    (["train.epochs"], "write it as key.path=value,value"),
    (["train.epochs=1,"], "write it as key.path=value,value"),
    (["seed=1,2"], "use --seeds"),
    (["split.folds=2"], "use --folds"),
    (["a.b=1", "a.b=2"], "a.b is there twice"),
])  # fmt: skip
def test_what_is_no_grid_is_refused(texts, message):
    with pytest.raises(UsageError, match=message):
        read_grid(texts)


def test_trials_are_all_values_with_all_seeds_on_all_folds(here):
    grid = {"model.base": ["4", "8"], "data.image_size": ["[32,48]", "[64,96]"]}
    trials = make_trials(Path("tiny.yaml"), ["train.epochs=3"], "mine", grid, [1, 2], 2)
    assert len(trials) == 2 * 2 * 2 * 2
    last = trials[-1]
    assert last.config.name == "mine-base-8-image_size-64_96-seed2-fold1"
    assert last.run == Path("runs") / last.config.name
    assert (last.config.seed, last.config.split.fold, last.config.train.epochs) == (2, 1, 3)
    assert last.config.data.image_size == (64, 96) and last.config.model.spec()["base"] == 8
    assert len({trial.config.split.seed for trial in trials}) == 1, "all see one split"


def test_names_take_whole_keys_where_their_last_parts_are_the_same(here):
    grid = {"model.name": ["unet"], "schedule.name": ["constant", "cosine"]}
    names = [
        trial.config.name for trial in make_trials(Path("tiny.yaml"), [], None, grid, [], None)
    ]
    assert names == [f"tiny-model.name-unet-schedule.name-{how}" for how in ("constant", "cosine")]


@pytest.mark.parametrize("grid, message", [
    ({"train.learning_rate": ["1"]}, "train.learning_rate: unknown key"),
    ({"model.base": ["4", "many"]}, "model.base"),
    ({"model.bass": ["4"]}, "bass"),
    ({"train.monitor": ["val_dice", "val_loss"]}, "one has to judge all trials"),
    ({"train.monitor": ["val_nonsense"]}, "val_nonsense"),
    ({"model.base": ["4", "04"]}, "are the same trial"),
    ({"data.image_size": ["[32, 48]", "[32,48]"]}, "would be called"),
])  # fmt: skip
def test_trials_that_cannot_be_are_refused_before_any_begins(here, grid, message):
    with pytest.raises(ConfigError, match=message):
        make_trials(Path("tiny.yaml"), [], None, grid, [], None)


# --- what is found ---


def point(mean, **values):
    return {"values": values, "mean": mean, "sd": None, "n": int(mean is not None), "failed": 0}


def record(points, falls=False, **grid):
    found = {"monitor": "val_x", "lower_is_better": falls, "grid": grid, "points": points}
    return {**found, "phantom": False}


@pytest.mark.parametrize("falls, order", [(True, [0, 2, 1]), (False, [2, 0, 1])])
def test_points_are_listed_from_the_best_to_those_without_a_value(falls, order):
    points = [point(0.0, a="1"), point(None, a="2"), point(0.5, a="3")]
    found = record(points, falls, a=["1", "2", "3"])
    assert best_first(found) == [points[n] for n in order]
    assert point_lines(found)[0]["val_x_mean"] == points[order[0]]["mean"]


@pytest.mark.parametrize("falls", [True, False])
def test_the_plot_has_a_line_a_point_and_the_best_ends_on_top(falls):
    grid = {"a": ["1", "2"], "b": ["x", "y"]}
    points = [point(n / 10, a=a, b=b) for n, (a, b) in enumerate(("1x", "1y", "2x", "2y"))]
    figure = parallel_coordinates(record([*points, point(None, a="1", b="x")], falls, **grid))
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata()) > 2]
    assert len(lines) == 4
    assert {text.get_text() for text in figure.axes[0].texts} >= {"a", "b", "1", "2", "x", "y"}
    thick = max(lines, key=lambda line: line.get_linewidth())
    assert thick.get_ydata()[-1] == 1
    best = points[0 if falls else -1]["values"]
    bands = [{"1": (0, 0.5), "2": (0.5, 1)}[best["a"]], {"x": (0, 0.5), "y": (0.5, 1)}[best["b"]]]
    for (low, high), height in zip(
        bands, (thick.get_ydata()[0], thick.get_ydata()[40]), strict=True
    ):
        assert low < height < high


def test_the_plot_says_where_it_is_of_phantoms():
    found = record([point(0.1, a="1"), point(0.2, a="2")], a=["1", "2"])
    plain, marked = (
        [
            text.get_text()
            for text in parallel_coordinates({**found, "phantom": is_one}).axes[0].texts
        ]
        for is_one in (False, True)
    )
    assert not any("PHANTOM" in text for text in plain)
    assert any("PHANTOM" in text for text in marked)


def test_there_is_no_plot_where_nothing_varies_or_nothing_is_known():
    assert parallel_coordinates(record([point(0.5)])) is None
    assert parallel_coordinates(record([point(None, a="1")], a=["1"])) is None


# --- the command ---


@pytest.mark.parametrize("options, message", [
    (["--grid", "train.epoch=1,2"], "train.epoch: unknown key"),
    ([], "nothing varies"),
    (["--grid", RATES, "--ray", "nonsense"], "--ray nonsense: no address"),
])  # fmt: skip
def test_a_usage_error_is_one_line_and_nothing_is_trained(here, options, message, capsys):
    assert main(["--config", "tiny.yaml", "--name", "bad", *options]) == 2
    said = capsys.readouterr().err
    assert message in said and len(said.splitlines()) == 1
    assert not list(Path("runs").glob("bad-[!s]*"))


def test_without_the_extra_the_pip_line(here, monkeypatch, capsys):
    monkeypatch.setitem(EXTRAS, "ray", ("surely_not_installed",))
    assert main(["--config", "tiny.yaml", "--grid", RATES]) == 2
    assert 'pip install "fetal-tf[ray]"' in capsys.readouterr().err


@pytest.fixture(scope="module")
def killed(place):
    """A sweep that was killed as soon as its second trial had begun."""
    home, files = place / "home", Path(tempfile.mkdtemp(prefix="t-", dir="/tmp"))
    home.mkdir()
    command = ["--config", "tiny.yaml", "--grid", RATES, "--folds", "2", "--parallel", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tools.sweep", *command], cwd=place, start_new_session=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "HOME": str(home), "RAY_TMPDIR": str(files)},
    )  # fmt: skip
    try:
        while not (place / "runs" / RUNS[1] / "config.yaml").is_file():
            assert process.poll() is None
            time.sleep(0.1)
    finally:
        process.kill()
        process.wait()
    assert not list(home.glob("*ray*")), "nothing of Ray's is in the home folder"
    yield command
    shutil.rmtree(files, ignore_errors=True)


def test_trials_end_when_the_sweep_was_killed(here, killed):
    until = time.monotonic() + 60
    while True:
        try:
            with only_writer(Path("runs") / RUNS[1], ""):
                return
        except FetalTFError:
            assert time.monotonic() < until, "its trainer goes on"
            time.sleep(0.2)


def test_a_killed_sweep_goes_on_and_lists_what_has_failed(here, killed, capfd):
    before = (Path("runs") / RUNS[0] / "best.keras").stat().st_mtime_ns
    assert main(killed) == 2
    assert f"runs/{RUNS[0]}: this run exists" in capfd.readouterr().err
    assert main([*killed[:-1], "2", "--resume"]) == 1
    said = capfd.readouterr()
    assert (Path("runs") / RUNS[0] / "best.keras").stat().st_mtime_ns == before
    assert "4 trials, 1 of them finished" in said.out and "PHANTOM" in said.out
    assert "2 of 4 trials failed:" in said.out and "ray" not in said.out.lower()

    out = Path("runs/tiny-sweep")
    with (out / "sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["run"] for row in rows] == RUNS
    assert [row["state"] for row in rows] == ["finished"] * 2 + ["failed"] * 2
    for row in rows[:2]:
        with (Path("runs") / row["run"] / "metrics.csv").open() as file:
            dice = [float(epoch["val_dice"]) for epoch in csv.DictReader(file)]
        assert float(row["val_dice"]) == max(dice) == dice[int(row["best_epoch"]) - 1]
        assert float(row["seconds"]) > 0 and row["error"] == ""
    for row in rows[2:]:
        assert "val_loss is nan" in row["error"] and f"  {row['run']}: {row['error']}" in said.out
        assert row["val_dice"] == row["best_epoch"] == ""
    found = json.loads((out / "sweep.json").read_text())
    good, bad = found["points"]
    values = [float(row["val_dice"]) for row in rows[:2]]
    assert good["mean"] == pytest.approx(sum(values) / 2, abs=1e-5)
    assert good["sd"] == pytest.approx(abs(values[0] - values[1]) / 2**0.5, abs=1e-5)
    assert (good["n"], bad["n"], bad["failed"], found["phantom"]) == (2, 0, 2, True)
    assert (out / "sweep.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "points.csv").read_text().startswith("optimizer.learning_rate,val_dice_mean,")
    assert not (out / ".tune").exists() and len(list((out / "logs").iterdir())) == 4


def test_a_finished_sweep_is_told_again_without_training(here, killed, capfd):
    good = RATES.removesuffix(",1e30")
    command = ["--config", "tiny.yaml", "--grid", good, "--folds", "2", "--resume"]
    assert main(command) == 0
    assert "2 trials, 2 of them finished" in capfd.readouterr().out
