"""Many images, measured on a Ray cluster: the same rows, and nothing left behind."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from fetal_tf.edge.extras import EXTRAS
from fetal_tf.predict import main
from tests.many_images import assert_same_results, table, write_scans

ROOT = Path(__file__).resolve().parents[1]
MM = ["--mm-per-pixel", "0.8"]
COUNT = 40


@pytest.fixture
def place(tmp_path, monkeypatch):
    write_scans(tmp_path, COUNT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty home folder."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def files(folder):
    return [row["file"] for row in table(folder)]


def test_this_machine_writes_the_same_rows_and_pictures_in_the_same_order(place, home, capfd):
    before = signal.getsignal(signal.SIGTERM)
    assert main(["bundle", "scans", *MM, "--out", "one", "--workers", "1", "--json"]) == 3
    expected = capfd.readouterr()
    assert main(["bundle", "scans", *MM, "--out", "many", "--ray", "local", "--json"]) == 3
    said = capfd.readouterr()
    assert said.out.replace("many", "one") == expected.out
    assert said.err == expected.err, "not a word of Ray's"
    assert_same_results(place / "one", place / "many", pictures=COUNT - 1)
    assert list(home.iterdir()) == [], "nothing is left in the home folder"
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_cluster_of_two_machines_by_its_address(place, home, capfd, monkeypatch):
    from ray.cluster_utils import Cluster

    assert main(["bundle", "scans", *MM, "--out", "one", "--workers", "1", "--json"]) == 3
    files = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # a socket's path has to be short
    monkeypatch.setenv("RAY_TMPDIR", files)  # there the cluster notes its address, in `ray`
    (Path(files) / "ray").mkdir()
    options = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    head = options | {"include_dashboard": False, "temp_dir": files}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        cluster.add_node(**options)
        address = ["--ray", cluster.address]
        assert main(["bundle", "scans", *MM, "--out", "many", *address, "--json"]) == 3
        assert main(["missing", "scans", "--out", "none", *address]) == 2
    finally:
        cluster.shutdown()
        shutil.rmtree(files, ignore_errors=True)
    assert_same_results(place / "one", place / "many", pictures=COUNT - 1)
    assert not Path("none").exists()


def test_without_the_extra_the_pip_line(place, monkeypatch, capsys):
    monkeypatch.setitem(EXTRAS, "ray", ("surely_not_installed",))
    assert main(["bundle", "scans", *MM, "--ray", "local"]) == 2
    said = capsys.readouterr().err
    assert 'pip install "fetal-tf[ray]"' in said and said.count("\n") == 1
    assert not Path("predictions").exists()
    assert main(["bundle", "scans", *MM]) == 3, "nothing else needs it"


def test_an_address_where_nobody_answers_is_one_line(place, capsys):
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert main(["bundle", "scans", *MM, "--ray", address]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {address}: no Ray cluster answers there") and not said[
        :-1
    ].count("\n")
    assert not Path("predictions").exists()


@pytest.mark.parametrize("address", ["nonsense", "host:", ":1", "ray://host:10001"])
def test_what_is_no_address_is_refused(place, address, capsys):
    assert main(["bundle", "scans", *MM, "--ray", address]) == 2
    assert f"--ray {address}: " in capsys.readouterr().err


# --- what ends it ---

# A worker of the cluster measures a block of images, says so in a file, and then takes its time.
SLOW = """
import os, sys, time
from pathlib import Path

def slow():
    import fetal_tf.edge.bundle.workers as module

    measure, calls = module.predict_file, []

    def slowly(*arguments, **named):
        calls.append(arguments)
        if len(calls) > 8:
            Path(f"waiting-{os.getpid()}").touch()
            time.sleep(0.4)
        return measure(*arguments, **named)

    module.predict_file = slowly

if any("default_worker.py" in word for word in sys.orig_argv):
    slow()
"""


@pytest.fixture
def start(place, monkeypatch):
    """Start the command with a worker that is busy when this returns; gives both numbers."""
    started = []
    (place / "site").mkdir()
    (place / "site" / "sitecustomize.py").write_text(SLOW)

    def run():
        command = ["bundle", "scans", *MM, "--out", "out", "--ray", "local", "--workers", "1"]
        process = subprocess.Popen(
            [sys.executable, "-m", "fetal_tf.predict", *command],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
            env=os.environ | {"PYTHONPATH": f"{place / 'site'}{os.pathsep}{ROOT}"},
        )  # fmt: skip
        started.append(process)
        table = place / "out" / "measurements.csv"
        while not (found := list(place.glob("waiting-*"))) or table.read_bytes().count(b"\n") < 2:
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        return process, int(found[0].name.removeprefix("waiting-"))

    yield run
    for process in started:
        process.kill()
        process.communicate()


def ended(worker, within_s=30):
    until = time.monotonic() + within_s
    while Path(f"/proc/{worker}").exists() and time.monotonic() < until:
        time.sleep(0.05)
    return not Path(f"/proc/{worker}").exists()


def test_ctrl_c_leaves_whole_rows_and_resume_goes_on(place, start):
    process, worker = start()
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in said
    assert said.splitlines()[-1].startswith("interrupted after ")
    assert ended(worker)
    measured = files("out")
    assert measured == [f"scans/{n:02d}.png" for n in range(len(measured))] and measured
    assert main(["bundle", "scans", *MM, "--out", "out", "--resume"]) == 3
    assert sorted(files("out")) == [f"scans/{n:02d}.png" for n in range(COUNT)]


def test_a_worker_that_is_killed_ends_the_command_in_one_line(place, start):
    process, worker = start()
    os.kill(worker, signal.SIGKILL)
    printed, said = process.communicate(timeout=60)
    assert process.returncode == 2 and printed == ""
    assert said.splitlines()[-1].startswith("error: a worker of the cluster has ended: ")
    assert "worker process has died" in said and "--resume goes on after them." in said
    assert "Traceback" not in said
    assert files("out") == [f"scans/{n:02d}.png" for n in range(len(files("out")))]
