"""Download public datasets: their addresses, licences and citations."""

import json
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from fetal_tf.data.sources.archive import extract_zip
from fetal_tf.data.sources.transfer import RemoteFile, fetch, get
from fetal_tf.edge.errors import DataError

_MAX_RECORD_BYTES = 10_000_000


@dataclass(frozen=True)
class Source:
    """Where a dataset comes from and on what terms.

    Attributes:
        record_url: Zenodo API address of the record, which lists the files and their checksums.
        files: the names to fetch; a `.zip` is unpacked to a folder of its name and then removed.
        max_unpacked_bytes: the most that one archive may claim to hold.
        licence: its name.
        citation: whom to cite.
    """

    record_url: str
    files: tuple[str, ...]
    max_unpacked_bytes: int
    licence: str
    citation: str


SOURCES = {
    "hc18": Source(
        record_url="https://zenodo.org/api/records/1327317",
        files=(
            "training_set_pixel_size_and_HC.csv",
            "test_set_pixel_size.csv",
            "training_set.zip",
            "test_set.zip",
        ),
        max_unpacked_bytes=4_000_000_000,
        licence="CC BY 4.0",
        citation=(
            "van den Heuvel, de Bruijn, de Korte, van Ginneken: Automated measurement of fetal "
            "head circumference using 2D ultrasound images. PLoS ONE 13(8):e0200412, 2018; "
            "https://doi.org/10.5281/zenodo.1327317"
        ),
    ),
}


def download(source: Source, root: Path, *, progress: bool = False) -> list[str]:
    """Download all files of `source` to `root`; files that are there stay.

    Returns:
        The names that were fetched; empty where all were there.

    Raises:
        DataError: no connection, not enough space, a wrong checksum, an archive that is not what
            it should be. What was received stays in `NAME.part`, and the next call goes on there.
    """
    _make_folder(root)
    missing = [name for name in source.files if not _is_there(root, name)]
    if not missing:
        return []
    listed = read_record(source.record_url)
    absent = [name for name in missing if name not in listed]
    if absent:
        raise DataError(
            f"{source.record_url}: lists no {', '.join(absent)}; found: {', '.join(listed)}."
        )
    fetched = []
    for name in missing:
        path = root / name
        if fetch(listed[name], path, progress=progress):
            fetched.append(name)
        if path.suffix == ".zip":
            extract_zip(path, path.with_suffix(""), source.max_unpacked_bytes, progress=progress)
            path.unlink()
    return fetched


def _is_there(root: Path, name: str) -> bool:
    """Whether a file is there; files and folders get their names only when they are complete."""
    path = root / name
    return path.with_suffix("").is_dir() if path.suffix == ".zip" else path.is_file()


def read_record(url: str) -> dict[str, RemoteFile]:
    """The files of a Zenodo record by name.

    Raises:
        DataError: no connection, or an answer that is no record.
    """
    answer = get(url, _MAX_RECORD_BYTES)
    try:
        return {
            entry["key"]: RemoteFile(
                name=entry["key"],
                # Not the record's own links, whose meaning changed with Zenodo's move in 2023.
                url=f"{url}/files/{urllib.parse.quote(entry['key'])}/content",
                size=int(entry["size"]),
                checksum=str(entry["checksum"]),
            )
            for entry in json.loads(answer)["files"]
        }
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{url}: a Zenodo record with files is expected, found {answer[:80]!r}."
        ) from error


def _make_folder(root: Path) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{root}: cannot be made: {error.strerror}.") from error
