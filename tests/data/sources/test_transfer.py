"""Transfers against a local server: resumed, verified, and never half under their own name."""

import hashlib
import random
from collections.abc import Iterator

import pytest

from fetal_tf.data.sources import transfer
from fetal_tf.data.sources.transfer import fetch, get
from fetal_tf.edge.errors import DataError
from tests.data.sources.record_server import Server, serving

BODY = random.Random(1).randbytes(900_000)


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setattr(transfer, "_pause_s", lambda fruitless: 0.0)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving({"data.bin": BODY}) as server:
        yield server


def test_a_file_comes_whole_and_is_not_fetched_twice(server, tmp_path):
    path = tmp_path / "data.bin"
    assert fetch(server.remote("data.bin"), path)
    assert path.read_bytes() == BODY
    assert not fetch(server.remote("data.bin"), path)
    assert server.asked == [None]
    assert [p.name for p in tmp_path.iterdir()] == ["data.bin"]


def test_a_cut_connection_is_taken_up_where_it_broke(server, tmp_path):
    server.cuts = [300_000, 200_000]
    assert fetch(server.remote("data.bin"), tmp_path / "data.bin")
    assert (tmp_path / "data.bin").read_bytes() == BODY
    assert server.asked == [None, "bytes=300000-", "bytes=500000-"]
    assert server.sent == len(BODY)


def test_a_later_run_goes_on_with_what_an_earlier_one_left(server, tmp_path):
    (tmp_path / "data.bin.part").write_bytes(BODY[:123_456])
    assert fetch(server.remote("data.bin"), tmp_path / "data.bin")
    assert (tmp_path / "data.bin").read_bytes() == BODY
    assert server.asked == ["bytes=123456-"]
    assert server.sent == len(BODY) - 123_456


def test_a_server_without_ranges_starts_the_file_over(server, tmp_path):
    server.ranges = False
    (tmp_path / "data.bin.part").write_bytes(BODY[:123_456])
    assert fetch(server.remote("data.bin"), tmp_path / "data.bin")
    assert (tmp_path / "data.bin").read_bytes() == BODY


def test_a_range_that_starts_elsewhere_is_not_appended(server, tmp_path):
    server.shift = 5
    (tmp_path / "data.bin.part").write_bytes(BODY[:123_456])
    assert fetch(server.remote("data.bin"), tmp_path / "data.bin")
    assert (tmp_path / "data.bin").read_bytes() == BODY
    assert server.asked == ["bytes=123456-", None]


def test_a_part_that_is_too_long_is_dropped(server, tmp_path):
    (tmp_path / "data.bin.part").write_bytes(BODY + b"more")
    assert fetch(server.remote("data.bin"), tmp_path / "data.bin")
    assert (tmp_path / "data.bin").read_bytes() == BODY


def test_a_complete_part_is_verified_without_a_request(server, tmp_path):
    (tmp_path / "data.bin.part").write_bytes(BODY)
    assert fetch(server.remote("data.bin"), tmp_path / "data.bin")
    assert server.asked == []


def test_more_bytes_than_announced_are_not_taken(server, tmp_path):
    shorter = server.remote(
        "data.bin", size=1000, checksum=f"md5:{hashlib.md5(BODY[:1000]).hexdigest()}"
    )
    assert fetch(shorter, tmp_path / "data.bin")
    assert (tmp_path / "data.bin").read_bytes() == BODY[:1000]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_connection_that_never_gets_further_is_given_up_and_the_part_kept(
    server, tmp_path, ranges
):
    server.ranges = ranges
    server.cuts = [300_000] + ([0] * 20 if ranges else [200_000, 300_000] * 20)
    with pytest.raises(DataError, match=r"cut, 5 times in a row\. 0\.\d of 0\.9 MB are kept"):
        fetch(server.remote("data.bin"), tmp_path / "data.bin")
    assert len(server.asked) == 6
    server.cuts, server.ranges = [], True
    assert fetch(server.remote("data.bin"), tmp_path / "data.bin")
    assert (tmp_path / "data.bin").read_bytes() == BODY


def test_a_wrong_checksum_is_named_and_the_bytes_removed(server, tmp_path):
    wrong = server.remote("data.bin", checksum="md5:" + "0" * 32)
    found = hashlib.md5(BODY).hexdigest()
    with pytest.raises(DataError, match=f"md5 is {found}, the record says 0000.*start afresh"):
        fetch(wrong, tmp_path / "data.bin")
    assert list(tmp_path.iterdir()) == []


def test_another_file_of_that_name_is_left_alone(server, tmp_path):
    (tmp_path / "data.bin").write_bytes(b"mine")
    with pytest.raises(DataError, match=r"data\.bin: md5 is .* Remove it"):
        fetch(server.remote("data.bin"), tmp_path / "data.bin")
    assert (tmp_path / "data.bin").read_bytes() == b"mine"


def test_sha256_is_understood_and_an_unknown_checksum_refused(server, tmp_path):
    good = server.remote("data.bin", checksum=f"sha256:{hashlib.sha256(BODY).hexdigest()}")
    assert fetch(good, tmp_path / "good.bin")
    with pytest.raises(DataError, match="'crc:1' is of an unknown kind"):
        fetch(server.remote("data.bin", checksum="crc:1"), tmp_path / "bad.bin")


def test_passing_failures_are_tried_again_others_are_not(server, tmp_path):
    server.statuses = [503, 429]
    assert fetch(server.remote("data.bin"), tmp_path / "data.bin")
    server.asked.clear()
    server.statuses = [403]
    with pytest.raises(DataError, match="answers 403 Forbidden"):
        fetch(server.remote("data.bin"), tmp_path / "again.bin")
    assert len(server.asked) == 1


def test_a_disk_without_room_is_noticed_before_the_download(server, tmp_path, monkeypatch):
    class Usage:
        free = 100_000

    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda path: Usage)
    with pytest.raises(DataError, match=r"0\.9 MB are to come, .* has 0\.1 MB free"):
        fetch(server.remote("data.bin"), tmp_path / "data.bin")
    assert server.asked == []


def test_no_server_is_said_so(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(DataError, match=r"127\.0\.0\.1:9/records/1: no connection"):
        get("http://127.0.0.1:9/records/1", 100)
