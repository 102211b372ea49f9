"""A table grows by whole rows, and gives back what was put into it."""

import errno
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetal_tf.edge.errors import DataError, FetalTFError
from fetal_tf.edge.io.foreign_text import printable
from fetal_tf.edge.io.growing_table import GrowingTable

COLUMNS = ("file", "hc_mm", "error")


@pytest.fixture
def started(tmp_path):
    return GrowingTable.begin(tmp_path / "t.csv", COLUMNS)


def test_each_row_is_a_line_at_once(started):
    assert started.path.read_text() == "file,hc_mm,error\n"
    started.append({"file": "=a,b.png", "hc_mm": 265.123456})
    started.append({"error": "two\nlines"})
    assert started.path.read_text().splitlines()[1:] == ['"\'=a,b.png",265.123,', r",,two\nlines"]
    assert GrowingTable.reopen(started.path, COLUMNS) == started and started.count == 2


@given(st.lists(st.text(st.characters(codec=None))))
def test_rows_come_back(tmp_path_factory, texts):
    table = GrowingTable.begin(tmp_path_factory.mktemp("t") / "t.csv", COLUMNS)
    for text in texts:
        table.append({"file": text, "error": text})
    again = GrowingTable.reopen(table.path, COLUMNS)
    assert again == table and [row["file"] for row in again.rows()] == list(map(printable, texts))


def test_a_row_without_space_leaves_the_table_as_it_was(started, monkeypatch):
    started.append({"file": "a"})
    before = started.path.read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch, pytest.raises(FetalTFError, match="No space left"):
        patch.setattr(os, "fsync", full)
        started.append({"file": "b"})
    assert started.path.read_bytes() == before
    started.append({"file": "c"})
    assert [row["file"] for row in GrowingTable.reopen(started.path, COLUMNS).rows()] == ["a", "c"]


def test_a_table_that_was_taken_away_is_not_begun_anew(started):
    started.path.unlink()
    with pytest.raises(FetalTFError, match=r"t\.csv: cannot be written: No such file"):
        started.append({"file": "a"})
    assert not started.path.exists()


@pytest.mark.parametrize("cut", range(1, 11))
def test_a_row_that_was_cut_off_is_gone(started, cut):
    started.append({"file": "first", "hc_mm": 1.0})
    started.append({"file": "second", "error": "x"})
    started.path.write_bytes(started.path.read_bytes()[:-cut])
    again = GrowingTable.reopen(started.path, COLUMNS)
    assert [row["file"] for row in again.rows()] == ["first"]
    again.append({"file": "third"})
    assert started.path.read_text() == "file,hc_mm,error\nfirst,1.0,\nthird,,\n"


@pytest.mark.parametrize(
    "content, said",
    [
        (b"", "other columns"),
        (b"file,hc_mm,error", "other columns"),
        (b"file,bpd_mm,error\n", "other columns"),
        (b"file,hc_mm,error\na,1,,\n", "line 2 has 4 cells, 3 are expected"),
        (b"file,hc_mm,error\n\n", "line 2 has 0 cells"),
        (b"file,hc_mm,error\n\xff,1,\n", "cannot be gone on with"),
        (b'file,hc_mm,error\n"a,1,\n', "cannot be gone on with"),
    ],
)
def test_a_spoilt_table_does_not_go_on_and_stays(tmp_path, content, said):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"t\.csv: .*{said}"):
        GrowingTable.reopen(path, COLUMNS)
    assert path.read_bytes() == content
