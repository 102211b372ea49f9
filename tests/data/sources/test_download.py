"""Datasets from a record: listed, fetched, unpacked, and then left alone."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fetal_tf.data.sources.download import SOURCES, Source, download, read_record
from fetal_tf.edge.errors import DataError
from tests.data.sources.record_server import Server, serving


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving({"data.bin": b"data"}) as server:
        yield server


def test_an_answer_that_is_no_record_is_said_so(server):
    for answer in (b"<html>maintenance</html>", b"[]", b'{"files": [{"key": "a"}]}'):
        server.record = answer
        with pytest.raises(DataError, match="a Zenodo record with files is expected"):
            read_record(server.record_url)


def _source(server: Server, **changes) -> Source:
    described = {
        "record_url": server.record_url,
        "files": ("table.csv", "set.zip"),
        "max_unpacked_bytes": 10_000,
        "licence": "CC BY 4.0",
        "citation": "Somebody",
    }
    return Source(**{**described, **changes})


def _serve_set(server: Server, tmp_path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(tmp_path / "made.zip", "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    server.files = {"table.csv": b"a,b\n", "set.zip": (tmp_path / "made.zip").read_bytes()}


def test_a_dataset_is_fetched_unpacked_and_then_left_alone(server, tmp_path):
    _serve_set(server, tmp_path, {"set/1.png": b"1"})
    root = tmp_path / "new" / "root"
    assert download(_source(server), root) == ["table.csv", "set.zip"]
    assert (root / "set" / "1.png").read_bytes() == b"1"
    assert sorted(path.name for path in root.iterdir()) == ["set", "table.csv"]
    server.record = b"gone"  # a second run does not even ask
    assert download(_source(server), root) == []


def test_a_hostile_archive_leaves_nothing_unpacked(server, tmp_path):
    _serve_set(server, tmp_path, {"set/1.png": b"1", "../../evil": b"2"})
    with pytest.raises(DataError, match="outside the folder"):
        download(_source(server), tmp_path / "root")
    assert not (tmp_path / "evil").exists() and not (tmp_path / "root" / "set").exists()


def test_an_archive_larger_than_the_dataset_is_refused(server, tmp_path):
    _serve_set(server, tmp_path, {"set/1.png": bytes(20_000)})
    with pytest.raises(DataError, match=r"at most 0\.0 MB are"):
        download(_source(server), tmp_path / "root")
    assert not (tmp_path / "root" / "set").exists()


def test_a_file_that_the_record_lacks_is_named(server, tmp_path):
    with pytest.raises(DataError, match=r"lists no table\.csv, set\.zip; found: data\.bin"):
        download(_source(server), tmp_path / "root")


def test_the_published_sources_name_their_terms():
    for source in SOURCES.values():
        assert source.record_url.startswith("https://zenodo.org/api/records/")
        assert source.licence and "doi.org" in source.citation
