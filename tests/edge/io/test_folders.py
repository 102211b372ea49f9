import os

import pytest

from fetal_tf.edge.errors import FetalTFError
from fetal_tf.edge.io.folders import new_folder, staged_entries, staged_folder


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
        if str(source).endswith(".partial"):
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
