"""Files are whole or absent, whatever stops the writing."""

import errno
import hashlib
import os
import subprocess
import sys

import pytest

from fetal_tf.edge.errors import FetalTFError
from fetal_tf.edge.io.files import (
    make_writable_folder,
    remove_leftovers,
    replaced_atomically,
    sha256_of,
    write_bytes_atomic,
    write_text_atomic,
)


def test_text_is_written_as_given_and_folders_are_made(tmp_path):
    path = tmp_path / "a" / "b.txt"
    write_text_atomic(path, "Ä\r\nβ\n")
    assert path.read_bytes() == "Ä\r\nβ\n".encode()
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("name", ["last.keras", "measurements", "a.b c.png", "frame.\n.png"])
def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path, name):
    killed = (
        "import os, sys; from pathlib import Path; "
        "from fetal_tf.edge.io.files import replaced_atomically\n"
        "with replaced_atomically(Path(sys.argv[1])) as path:\n"
        "    path.write_bytes(b'half'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", killed, str(tmp_path / name)])
    (left,) = tmp_path.iterdir()
    assert left.name != name
    others = [".hidden.png", ".x.0123456.png", ".x.0123456z.png", "x.01234567.png", ".lock", name]
    for other in others:
        (tmp_path / other).touch()
    (tmp_path / ".folder.01234567").mkdir()
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*others, ".folder.01234567"}
    remove_leftovers(tmp_path / "absent")


def test_a_full_disk_leaves_the_old_file_and_no_rest(tmp_path, monkeypatch):
    path = tmp_path / "model.bin"
    write_bytes_atomic(path, b"old")

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FetalTFError, match=r"model\.bin.*No space left") as caught:
        write_bytes_atomic(path, b"new and longer")
    assert isinstance(caught.value.__cause__, OSError)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_really_full_device_is_named(tmp_path):
    """/dev/full refuses every byte: the error comes from the operating system itself."""
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full on this system")
    path = tmp_path / "x.bin"
    with pytest.raises(FetalTFError, match="No space left"), replaced_atomically(path) as temporary:
        temporary.symlink_to("/dev/full")
        with temporary.open("wb") as file:
            file.write(b"1")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EFBIG])
def test_space_is_asked_for_only_where_it_is_missing(tmp_path, monkeypatch, number):
    def fails(_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fails)
    path = tmp_path / "a.csv"
    with pytest.raises(FetalTFError) as caught:
        write_bytes_atomic(path, b"1")
    said = f"{path}: cannot be written: {os.strerror(number)}. Nothing was changed there; "
    assert str(caught.value).startswith(said) and "choose another folder" in str(caught.value)
    full = number in (errno.ENOSPC, errno.EDQUOT)
    assert ("free some space" in str(caught.value)) == full


def test_a_folder_is_made_and_tried_before_the_work(tmp_path):
    make_writable_folder(tmp_path / "a" / "b")
    assert not list((tmp_path / "a" / "b").iterdir())
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "a", tmp_path / ("n" * 300)):
        with pytest.raises(FetalTFError, match=rf"{path.name}: cannot be written: "):
            make_writable_folder(path)


def test_another_error_in_the_block_passes_through_and_cleans_up(tmp_path):
    with pytest.raises(KeyError), replaced_atomically(tmp_path / "x.keras") as temporary:
        temporary.write_bytes(b"half")
        raise KeyError("x")
    assert not list(tmp_path.iterdir())


def test_the_temporary_file_keeps_the_suffix_and_the_folder(tmp_path):
    with replaced_atomically(tmp_path / "best.keras") as temporary:
        assert temporary.suffix == ".keras"
        assert temporary.parent == tmp_path
        temporary.write_bytes(b"1")
    assert [p.name for p in tmp_path.iterdir()] == ["best.keras"]


def test_a_folder_that_is_a_file_is_an_error_with_the_path(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(FetalTFError, match="out"):
        write_text_atomic(tmp_path / "out" / "a.csv", "x")


def test_sha256_matches_hashlib(tmp_path):
    data = bytes(range(256)) * 999
    (tmp_path / "f").write_bytes(data)
    assert sha256_of(tmp_path / "f") == hashlib.sha256(data).hexdigest()
