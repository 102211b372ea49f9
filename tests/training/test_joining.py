"""Two processes train as one: JAX on this machine, `configs/quickstart.yaml` on the phantom."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fetal_tf.cli.export import main as export
from fetal_tf.data.phantom.writing import write_phantom
from fetal_tf.edge.errors import ConfigError, FetalTFError
from fetal_tf.evaluate import main as evaluate
from fetal_tf.runs.environment import read_environment
from fetal_tf.runs.history import read_history
from fetal_tf.training import folds, joining
from fetal_tf.training.joining import Job, job_of, run_inside

REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE_S = 300


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def start(place, log, *options):
    """`train` on the JAX backend, in a new process; what it says goes into a file."""
    environment = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": str(REPOSITORY)}
    with open(place / log, "w") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "fetal_tf.train", "--config", "quickstart", *options],
            cwd=place, env=environment, stdout=said, stderr=subprocess.STDOUT,
        )  # fmt: skip


def start_two(place, *options):
    job = ["--coordinator", f"127.0.0.1:{free_port()}", "--processes", "2"]
    return [
        start(place, f"{number}.log", *options, *job, "--process-id", str(number))
        for number in range(2)
    ]


def lines(file):
    return file.read_text().splitlines() if file.is_file() else []


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with runs/one and runs/two, of two epochs."""
    folder = tmp_path_factory.mktemp("joined")
    write_phantom("hc18", folder / "quickstart" / "phantom_hc18", count=32, seed=7)
    two_epochs = ["--set", "train.epochs=2"]
    alone = start(folder, "one.log", *two_epochs, "--name", "one")
    assert alone.wait(PATIENCE_S) == 0, (folder / "one.log").read_text()
    for process in start_two(folder, *two_epochs, "--name", "two"):
        assert process.wait(PATIENCE_S) == 0, "".join(
            (folder / f"{number}.log").read_text() for number in range(2)
        )
    return folder


def test_two_processes_have_the_losses_of_one(place):
    """Sums are taken in another order, which Adam amplifies step by step."""
    one, two = (read_history(place / "runs" / name / "metrics.csv") for name in ("one", "two"))
    assert len(one) == len(two) == 2
    for alone, joined in zip(one, two, strict=True):
        assert alone.keys() == joined.keys()
        for name in ("loss", "val_loss"):
            assert joined[name] == pytest.approx(alone[name], rel=1e-4), name
        assert joined["val_dice"] == pytest.approx(alone["val_dice"], abs=1e-3)


def test_process_0_alone_writes(place):
    assert "2 devices share each batch of 8" in (place / "0.log").read_text()
    assert lines(place / "1.log")[-1] == "finished; process 0 wrote the run"
    files = [{p.name for p in (place / "runs" / name).iterdir()} for name in ("one", "two")]
    assert files[0] == files[1]
    assert read_environment(place / "runs" / "two")["keras_backend"] == "jax"


def test_what_it_leaves_evaluates_and_exports_on_tensorflow(place, monkeypatch):
    monkeypatch.chdir(place)
    assert evaluate(["runs/two", "--split", "val"]) == 0
    # Parity of a net that learnt next to nothing may fail; the files are written in either case.
    assert export(["runs/two", "--formats", "float32,int8"]) in (0, 1)
    assert {"model_float32.tflite", "model_int8.tflite"} <= {
        path.name for path in (place / "runs" / "two" / "bundle").iterdir()
    }


def test_a_run_goes_on_and_a_killed_process_ends_the_job_in_words(place):
    history = place / "runs" / "two" / "metrics.csv"
    before = len(lines(history))
    first, second = start_two(place, "--set", "train.epochs=200", "--name", "two", "--resume")
    begun = time.monotonic()
    while len(lines(history)) <= before:
        assert first.poll() is None, (place / "0.log").read_text()
        assert time.monotonic() - begun < PATIENCE_S
        time.sleep(0.2)
    second.send_signal(signal.SIGKILL)
    assert first.wait(PATIENCE_S) == 2
    said = lines(place / "0.log")[-1]
    assert said.startswith("error: process 0 of 2") and "start all processes again" in said
    assert second.wait(PATIENCE_S) == -signal.SIGKILL
    assert len(lines(history)) > before


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("a:1", 2, None), "give all three, or none"),
        ((None, None, 0), "give all three, or none"),
        (("host", 2, 0), "HOST:PORT is expected"),
        ((":80", 2, 0), "HOST:PORT is expected"),
        (("host:0", 2, 0), "HOST:PORT is expected"),
        (("host:99999", 2, 0), "HOST:PORT is expected"),
        (("host:80", 2, 2), "found 2 of 2 processes"),
        (("host:80", 0, 0), "found 0 of 0 processes"),
        (("host:80", 2, -1), "found -1 of 2 processes"),
    ],
)
def test_options_that_name_no_job(given, words):
    with pytest.raises(ConfigError, match=words):
        job_of(*given)


def test_options_that_name_a_job_or_none():
    assert job_of(None, None, None) is None
    assert job_of("host:80", 2, 1) == Job("host:80", 2, 1)


def test_another_backend_is_refused_before_anything_is_started():
    with pytest.raises(ConfigError, match="set KERAS_BACKEND=jax"):
        run_inside(Job("host:80", 2, 0), [])


def test_the_runtimes_own_end_is_told_with_its_cause(monkeypatch):
    def aborted(module, *arguments, environment):
        Path(environment[joining._INSIDE]).write_text(
            "I0000 x.cc:1] well\nF0000 y.cc:2] all gone\n"
        )
        return -signal.SIGABRT

    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    monkeypatch.setattr(folds, "run_module", aborted)
    with pytest.raises(FetalTFError, match=r"process 1 of 2.*signal 6.*\(all gone\).*--resume"):
        run_inside(Job("host:80", 2, 1), [])
