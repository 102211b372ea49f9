"""`python -m tools.download`: terms first, then the data, checked by its own reader."""

import dataclasses
import shutil

import pytest

from fetal_tf.cli import download as command
from fetal_tf.data.phantom.writing import write_phantom
from fetal_tf.data.sources.download import SOURCES
from tests.data.sources.record_server import serving


@pytest.fixture
def served_hc18(tmp_path, monkeypatch):
    """A phantom, packed and served as HC18's record is."""
    made = tmp_path / "made"
    write_phantom("hc18", made, 3, seed=1)
    (made / "test_set").mkdir()
    (made / "test_set" / "000_HC.png").write_bytes(b"not read")
    files = {
        "training_set_pixel_size_and_HC.csv": (
            made / "training_set_pixel_size_and_HC.csv"
        ).read_bytes(),
        "test_set_pixel_size.csv": b"filename,pixel size(mm)\n",
    }
    for name in ("training_set", "test_set"):
        packed = shutil.make_archive(str(tmp_path / name), "zip", made, name)
        with open(packed, "rb") as archive:
            files[f"{name}.zip"] = archive.read()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(files) as server:
        source = dataclasses.replace(SOURCES["hc18"], record_url=server.record_url)
        monkeypatch.setitem(SOURCES, "hc18", source)
        yield server


def test_it_prints_the_terms_and_what_the_reader_finds(tmp_path, capsys, served_hc18):
    root = tmp_path / "hc18"
    assert command.main(["hc18", "--root", str(root)]) == 0
    printed = capsys.readouterr().out
    assert "CC BY 4.0" in printed and "van den Heuvel" in printed
    assert "fetched: training_set_pixel_size_and_HC.csv, test_set_pixel_size.csv, train" in printed
    assert f"{root}: 3 annotated images of" in printed
    assert sorted(path.name for path in root.iterdir()) == [
        "test_set",
        "test_set_pixel_size.csv",
        "training_set",
        "training_set_pixel_size_and_HC.csv",
    ]
    assert command.main(["hc18", "--root", str(root)]) == 0
    assert "fetched: nothing, all was there" in capsys.readouterr().out


def test_an_error_is_one_line_and_exit_code_2(tmp_path, capsys, served_hc18):
    served_hc18.files["test_set.zip"] = b"no archive"
    assert command.main(["hc18", "--root", str(tmp_path / "hc18")]) == 2
    assert "test_set.zip: damaged" in capsys.readouterr().err.splitlines()[-1]
