"""Many images, measured by several processes: the same rows, and nothing left behind."""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fetal_tf.edge.bundle.workers import IMAGES_A_WORKER, useful_workers
from fetal_tf.edge.io.images import write_png
from fetal_tf.predict import main
from tests.edge.bundle.tiny_bundle import bright_head
from tests.many_images import assert_same_results, table, write_scans

ROOT = Path(__file__).resolve().parents[1]
MM = ["--mm-per-pixel", "0.8"]
COUNT = 12


@pytest.fixture
def place(tmp_path, monkeypatch):
    write_scans(tmp_path, COUNT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


@pytest.mark.parametrize("workers", [2, 3, 200])
def test_workers_write_the_same_rows_and_pictures_in_the_same_order(place, workers, capsys):
    assert main(["bundle", "scans", *MM, "--out", "one", "--workers", "1", "--json"]) == 3
    expected = capsys.readouterr()
    assert main(["bundle", "scans", *MM, "--out", "many", "--workers", f"{workers}", "--json"]) == 3
    said = capsys.readouterr()
    assert said.out.replace("many", "one") == expected.out
    assert said.err.splitlines() == expected.err.splitlines()
    assert_same_results(place / "one", place / "many", pictures=COUNT - 1)
    assert multiprocessing.active_children() == [], "all are joined"


def test_a_program_that_calls_it_need_not_guard_its_main_module(place):
    (place / "script.py").write_text(
        "import fetal_tf.predict\n"
        f"print(fetal_tf.predict.main(['bundle', 'scans', *{MM}, '--workers', '2']))\n"
    )
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "3" and len(table("predictions")) == COUNT
    assert "Traceback" not in done.stderr


def test_without_pictures_there_are_none(place, capsys):
    assert main(["bundle", "scans", *MM, "--out", "bare", "--no-overlays", "--workers", "2"]) == 3
    assert main(["bundle", "scans", *MM, "--out", "drawn"]) == 3
    assert not (place / "bare" / "overlays").exists()
    drop = ("overlay",)
    bare, drawn = (
        [{k: v for k, v in row.items() if k not in drop} for row in table(folder)]
        for folder in ("bare", "drawn")
    )
    assert bare == drawn and not any(row["overlay"] for row in table("bare"))
    said = capsys.readouterr().out
    assert "without a picture" not in said and "table: bare/measurements.csv\n" in said


def test_subfolders_where_asked_for(place, capsys):
    write_png(place / "archive" / "2024" / "a.png", bright_head())
    write_png(place / "archive" / "2025" / "deep" / "a.png", bright_head())
    write_png(place / "archive" / ".trash" / "b.png", bright_head())
    assert main(["bundle", "archive", *MM]) == 2
    assert "no image in this folder" in (said := capsys.readouterr().err) and "--recursive" in said
    assert main(["bundle", "archive", *MM, "--recursive", "--out", "archive/out"]) == 0
    rows = table("archive/out")
    assert [row["file"] for row in rows] == ["archive/2024/a.png", "archive/2025/deep/a.png"]
    assert len({row["overlay"] for row in rows}) == 2
    assert main(["bundle", "archive", *MM, "--recursive", "--out", "again"]) == 0
    assert len(table("again")) == 2, "pictures of an earlier run are no images"


def test_as_many_workers_as_are_worth_it():
    assert [useful_workers(n, cores=4) for n in (0, 1, IMAGES_A_WORKER, 2 * IMAGES_A_WORKER)] == [
        1, 1, 1, 2,
    ]  # fmt: skip
    assert useful_workers(10**6, cores=4) == 4


@pytest.mark.parametrize("value", ["0", "-1", "2.5", "many", "257"])
def test_numbers_of_workers_that_cannot_be(place, value, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["bundle", "scans", "--workers", value])
    assert stopped.value.code == 2 and "workers from 1 to 256" in capsys.readouterr().err


# --- what ends them ---

# Each worker measures two images, says so in a file of its own, and then takes its time.
SLOW = """
import os, sys, time
from pathlib import Path

def slow():
    import fetal_tf.edge.bundle.workers as module

    measure, calls = module.predict_file, []

    def slowly(*arguments, **named):
        calls.append(arguments)
        if len(calls) > 2:
            Path(f"waiting-{os.getpid()}").touch()
            time.sleep(float(os.environ["TAKES_S"]))
        return measure(*arguments, **named)

    module.predict_file = slowly

if "WORKER" in os.environ:
    slow()
"""
START = """
import os, sys
import fetal_tf.predict

os.environ["WORKER"] = "1"
sys.exit(fetal_tf.predict.main(sys.argv[1:]))
"""


@pytest.fixture
def start(place, monkeypatch):
    """Start the command with two workers that are busy when this returns; gives their numbers."""
    started, workers = [], []
    (place / "site").mkdir()
    (place / "site" / "sitecustomize.py").write_text(SLOW)
    monkeypatch.setenv("PYTHONPATH", f"{place / 'site'}{os.pathsep}{ROOT}")

    def run(takes_s):
        monkeypatch.setenv("TAKES_S", str(takes_s))
        command = ["bundle", "scans", *MM, "--out", "out", "--workers", "2"]
        process = subprocess.Popen(
            [sys.executable, "-c", START, *command],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        started.append(process)
        while len(found := list(place.glob("waiting-*"))) < 2:
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        workers.extend(int(path.name.removeprefix("waiting-")) for path in found)
        return process, workers

    yield run
    for process in started:
        process.kill()
        process.communicate()
    for worker in workers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)


def running(worker):
    try:
        return Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def ended(workers, within_s=30):
    until = time.monotonic() + within_s
    while any(map(running, workers)) and time.monotonic() < until:
        time.sleep(0.05)
    return not any(map(running, workers))


@pytest.mark.parametrize("whole_group", [False, True], ids=["kill PID", "Ctrl-C"])
@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_all_in_one_line_and_leaves_whole_rows(
    place, start, number, code, whole_group
):
    process, workers = start(takes_s=1)
    (os.killpg if whole_group else os.kill)(process.pid, number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code and "Traceback" not in said
    assert said.splitlines()[-1].startswith("interrupted after ")
    assert ended(workers)
    rows = table("out")
    assert [row["file"] for row in rows] == [f"scans/{n:02d}.png" for n in range(len(rows))]
    assert main(["bundle", "scans", *MM, "--out", "out", "--resume", "--workers", "2"]) == 3
    assert [row["file"] for row in table("out")] == [f"scans/{n:02d}.png" for n in range(COUNT)]


def test_workers_end_when_their_command_was_killed(start):
    process, workers = start(takes_s=1)
    process.kill()
    process.wait()
    assert ended(workers)


def test_a_worker_that_is_killed_ends_the_command_and_nothing_is_lost(place, start, capsys):
    process, workers = start(takes_s=3)
    os.kill(workers[0], signal.SIGKILL)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2 and "Traceback" not in said
    assert "a worker process has ended by signal 9" in said and "--resume" in said
    assert ended(workers)
    assert main(["bundle", "scans", *MM, "--out", "out", "--resume"]) == 3
    assert [row["file"] for row in table("out")] == [f"scans/{n:02d}.png" for n in range(COUNT)]
