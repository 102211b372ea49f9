import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fetal_tf.edge.errors import FetalTFError
from fetal_tf.edge.io import folders
from fetal_tf.edge.io.folders import new_folder, staged_entries, staged_folder

ROOT = Path(__file__).resolve().parents[3]


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("staged", [staged_folder, staged_entries])
def test_a_failure_changes_nothing_and_leaves_nothing(tmp_path, staged):
    target = tmp_path / "out"
    target.mkdir()
    (target / "old.txt").write_text("old")
    with pytest.raises(FetalTFError, match="out: cannot be written: No"), staged(target) as folder:
        (folder / "old.txt").write_text("half")
        raise OSError(28, "No space left on device")
    assert contents(tmp_path) == {"out/old.txt": "old"}


def test_a_staged_folder_replaces_the_whole(tmp_path):
    target = tmp_path / "out"
    for text in ("first", "second"):
        with staged_folder(target) as folder:
            (folder / f"{text}.txt").write_text(text)
    assert contents(tmp_path) == {"out/second.txt": "second"}


def test_staged_entries_leave_the_neighbours_alone(tmp_path):
    target = tmp_path / "out"
    (target / "pictures").mkdir(parents=True)
    (target / "mine.txt").write_text("mine")
    (target / "pictures" / "stale.png").write_text("stale")
    with staged_entries(target) as folder:
        (folder / "pictures").mkdir()
        (folder / "pictures" / "new.png").write_text("new")
        (folder / "table.csv").write_text("table")
    assert contents(target) == {
        "mine.txt": "mine",
        "pictures/new.png": "new",
        "table.csv": "table",
    }


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "out").write_text("a file")
    staged = staged_entries(tmp_path / "out")
    with pytest.raises(FetalTFError, match="out: cannot be written"), staged as folder:
        (folder / "a.txt").write_text("a")
    assert contents(tmp_path) == {"out": "a file"}


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_whatever_stops_the_writing_leaves_the_older_folder(tmp_path, error):
    target = tmp_path / "out"
    target.mkdir()
    (target / "old.txt").write_text("old")
    with pytest.raises(error), staged_folder(target) as folder:
        (folder / "new.txt").write_text("half")
        raise error
    assert contents(tmp_path) == {"out/old.txt": "old"}


def test_a_failed_move_brings_the_older_folder_back(tmp_path, monkeypatch):
    target = tmp_path / "out"
    target.mkdir()
    (target / "old.txt").write_text("old")
    real = os.replace

    def replace(source, destination):
        if str(source).endswith("/new"):
            raise OSError(28, "No space left on device")
        real(source, destination)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(FetalTFError, match=r"No space left"), staged_folder(target) as folder:
        (folder / "new.txt").write_text("new")
    assert contents(tmp_path) == {"out/old.txt": "old"}


def test_each_gets_a_folder_of_its_own(tmp_path):
    (tmp_path / "p").touch()
    folders = [new_folder(tmp_path / "p"), new_folder(tmp_path / "p"), new_folder(tmp_path / "q")]
    assert [folder.name for folder in folders] == ["p-2", "p-3", "q"]
    with pytest.raises(FetalTFError, match="p/q: cannot be written: Not a directory"):
        new_folder(tmp_path / "p" / "q")


KILLED = """
import os, signal, sys
from pathlib import Path
from fetal_tf.edge.io import folders
moment, kind = sys.argv[1:]
real = os.replace
def replace(source, destination):
    if moment == "before" or (moment == "between" and Path(source).parent.name == "new"):
        os.kill(os.getpid(), signal.SIGKILL)
    if moment == "between" and Path(source).name == "new":
        os.kill(os.getpid(), signal.SIGKILL)
    real(source, destination)
os.replace = replace
with getattr(folders, kind)(Path("out")) as folder:
    (folder / "inner").mkdir()
    (folder / "inner" / "text.txt").write_text("new")
    if moment == "within":
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("kind", ["staged_folder", "staged_entries"])
@pytest.mark.parametrize("moment", ["within", "before", "between"])
def test_what_a_kill_leaves_is_cleaned_and_nothing_is_lost(tmp_path, moment, kind):
    (tmp_path / "out" / "inner").mkdir(parents=True)
    (tmp_path / "out" / "inner" / "text.txt").write_text("old")
    command = [sys.executable, "-c", KILLED, moment, kind]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / ".out.partial").is_dir()
    with pytest.raises(RuntimeError), getattr(folders, kind)(tmp_path / "out"):
        assert contents(tmp_path / "out") == {"inner/text.txt": "old"}
        raise RuntimeError
    assert contents(tmp_path) == {"out/inner/text.txt": "old"}


def test_a_second_writer_is_refused_and_told_who_is_there(tmp_path):
    with staged_folder(tmp_path / "out") as folder:
        (folder / "a.txt").write_text("first")
        code = (
            "from pathlib import Path; from fetal_tf.edge.io.folders import staged_folder\n"
            "with staged_folder(Path('out')): pass"
        )
        second = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert f"process {os.getpid()} on " in second.stderr and second.returncode != 0
    assert contents(tmp_path) == {"out/a.txt": "first"}
