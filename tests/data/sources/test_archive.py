"""Unpacking: what an archive may hold, and that a bad one leaves nothing behind."""

import random
import stat
import zipfile
from pathlib import Path

import pytest

from fetal_tf.data.sources.archive import extract_zip
from fetal_tf.edge.errors import DataError

LIMIT = 1_000_000


def _zip(path: Path, members: dict[str, bytes], modes: dict[str, int] | None = None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            if modes and name in modes:
                info.external_attr = modes[name] << 16
            archive.writestr(info, data)
    return path


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_only_top_folder_becomes_the_folder(tmp_path):
    archive = _zip(
        tmp_path / "set.zip",
        {"set/": b"", "set/a.png": b"A", "set/deep/b.png": b"B", "__MACOSX/set/._a.png": b"x"},
    )
    extract_zip(archive, tmp_path / "out", LIMIT)
    assert _files(tmp_path / "out") == {"a.png": b"A", "deep/b.png": b"B"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "set.zip"]


def test_members_without_a_top_folder_go_into_the_folder(tmp_path):
    archive = _zip(tmp_path / "set.zip", {"a.png": b"A", "deep\\b.png": b"B"})
    extract_zip(archive, tmp_path / "out", LIMIT)
    assert _files(tmp_path / "out") == {"a.png": b"A", "deep/b.png": b"B"}


@pytest.mark.parametrize(
    "name", ["../evil.png", "set/../../evil.png", "/etc/evil", "..\\evil.png", "C:\\evil.png"]
)
def test_a_member_that_would_land_outside_is_refused(tmp_path, name):
    folder = tmp_path / "inner"
    folder.mkdir()
    archive = _zip(folder / "set.zip", {"set/a.png": b"A", name: b"evil"})
    with pytest.raises(DataError, match=r"set\.zip: member .* outside the folder"):
        extract_zip(archive, folder / "out", LIMIT)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["inner", "set.zip"]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_are_refused(tmp_path, kind):
    archive = _zip(tmp_path / "set.zip", {"a.png": b"/etc/passwd"}, {"a.png": kind | 0o777})
    with pytest.raises(DataError, match="is a link or a device"):
        extract_zip(archive, tmp_path / "out", LIMIT)
    assert not (tmp_path / "out").exists()


def test_two_members_of_one_name_are_refused(tmp_path):
    archive = _zip(tmp_path / "set.zip", {"a.png": b"A", "A.PNG": b"B"})
    with pytest.raises(DataError, match=r"'A\.PNG' occurs twice"):
        extract_zip(archive, tmp_path / "out", LIMIT)


def test_a_bomb_is_refused_by_what_it_declares(tmp_path):
    archive = _zip(tmp_path / "set.zip", {f"{i}.bin": bytes(400_000) for i in range(3)})
    assert archive.stat().st_size < 5_000
    with pytest.raises(DataError, match=r"claim 1\.2 MB unpacked, at most 1\.0 MB"):
        extract_zip(archive, tmp_path / "out", LIMIT)
    assert not (tmp_path / "out").exists()


def test_an_archive_that_declares_less_than_it_holds_is_refused(tmp_path):
    archive = _zip(tmp_path / "set.zip", {"a.bin": bytes(400_000)})
    data = archive.read_bytes()
    declared, lie = (400_000).to_bytes(4, "little"), (10).to_bytes(4, "little")
    assert data.count(declared) == 2  # local and central header
    archive.write_bytes(data.replace(declared, lie))
    with pytest.raises(DataError, match="damaged or cut short"):
        extract_zip(archive, tmp_path / "out", LIMIT)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set.zip"]


def test_an_encrypted_member_is_refused(tmp_path):
    archive = _zip(tmp_path / "set.zip", {"a.png": b"A"})
    data = bytearray(archive.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(data)
    with pytest.raises(DataError, match="is encrypted"):
        extract_zip(archive, tmp_path / "out", LIMIT)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "text", "empty"])
def test_a_damaged_archive_leaves_nothing(tmp_path, damage):
    noise = random.Random(0).randbytes(5_000)
    archive = _zip(tmp_path / "set.zip", {"set/a.png": b"A", "set/b.png": noise})
    data = archive.read_bytes()
    middle = data.index(noise[:4]) if noise[:4] in data else len(data) // 2
    archive.write_bytes(
        {
            "truncated": data[: len(data) // 2],
            "flipped": data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :],
            "text": b"<html>not found</html>",
            "empty": b"",
        }[damage]
    )
    with pytest.raises(DataError, match=r"set\.zip: damaged or cut short"):
        extract_zip(archive, tmp_path / "out", LIMIT)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set.zip"]


def test_an_archive_without_files_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds no files"):
        extract_zip(_zip(tmp_path / "set.zip", {"set/": b""}), tmp_path / "out", LIMIT)


def test_a_folder_that_is_there_is_not_touched(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="is there already"):
        extract_zip(_zip(tmp_path / "set.zip", {"a": b"A"}), tmp_path / "out", LIMIT)
    assert _files(tmp_path / "out") == {"mine.txt": b"mine"}


def test_a_disk_without_room_is_noticed_before_writing(tmp_path, monkeypatch):
    class Usage:
        free = 10

    monkeypatch.setattr("fetal_tf.data.sources.archive.shutil.disk_usage", lambda path: Usage)
    with pytest.raises(DataError, match=r"needs 0\.4 MB unpacked, .* has 0\.0 MB free"):
        extract_zip(_zip(tmp_path / "set.zip", {"a": bytes(400_000)}), tmp_path / "out", LIMIT)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set.zip"]
