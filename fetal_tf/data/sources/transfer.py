"""Download files over HTTP: resumed after a broken connection, verified before renamed."""

import hashlib
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from tqdm import tqdm

from fetal_tf.edge.errors import DataError
from fetal_tf.version import __version__

_TIMEOUT_S = 30
_CHUNK_BYTES = 1 << 18
_TRIES = 5  # in a row without a single new byte
# Statuses that may pass, and are tried again; "not found" and "forbidden" are not.
_PASSING_STATUS = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class RemoteFile:
    """A file as its server describes it; `checksum` reads `md5:…` or `sha256:…`."""

    name: str
    url: str
    size: int
    checksum: str


def get(url: str, max_bytes: int) -> bytes:
    """Get the first `max_bytes` from `url`; raises DataError without a connection."""
    with _explained(url), _opened(url) as response:
        return response.read(max_bytes)


def fetch(file: RemoteFile, path: Path, *, progress: bool = False) -> bool:
    """Download `file` to `path`; continue with `path`.part if there is one.

    Returns:
        False where `path` was there with the right checksum, so that nothing was done.

    Raises:
        DataError: no connection after several tries, not enough space, or a wrong checksum; then
            the bad bytes are removed.
    """
    if path.exists():
        _check_sum(file, path, "Remove it, or choose another folder.")
        return False
    part = path.with_name(path.name + ".part")
    if _size(part) > file.size:
        part.unlink()
    needed, free = file.size - _size(part), shutil.disk_usage(path.parent).free
    if needed > free:
        raise DataError(
            f"{path}: {needed / 1e6:.1f} MB are to come, {path.parent} has {free / 1e6:.1f} MB "
            "free. Free some space, or choose another folder."
        )
    with tqdm(
        desc=file.name,
        total=file.size,
        initial=_size(part),
        unit="B",
        unit_scale=True,
        disable=not progress,
    ) as bar:
        _receive_all(file, part, bar)
    try:
        _check_sum(file, part, "It was removed: run the command again to start afresh.")
    except DataError:
        part.unlink()
        raise
    part.rename(path)
    return True


def _receive_all(file: RemoteFile, part: Path, bar: tqdm) -> None:
    """Fill `part`, reconnecting until nothing new comes for several tries in a row."""
    part.touch()
    most, fruitless = _size(part), 0
    while _size(part) < file.size:
        cause = f"{file.url}: the connection was cut"
        try:
            with _explained(file.url):
                _receive(file, part, bar)
        except _PassingError as error:
            cause = str(error)
        fruitless = fruitless + 1 if _size(part) <= most else 0
        most = max(most, _size(part))
        if fruitless == _TRIES:
            raise DataError(
                f"{cause}, {_TRIES} times in a row. {_size(part) / 1e6:.1f} of "
                f"{file.size / 1e6:.1f} MB are kept in {part}: run the command again to go on."
            )
        if fruitless:
            time.sleep(_pause_s(fruitless))


def _pause_s(fruitless: int) -> float:
    return 2.0**fruitless


def _receive(file: RemoteFile, part: Path, bar: tqdm) -> None:
    """One connection: append to `part`, or start over where the server sends from the start."""
    have = _size(part)
    with _opened(file.url, {"Range": f"bytes={have}-"} if have else {}) as response:
        if response.status == 206 and _first_byte(response) != have:
            part.write_bytes(b"")  # the next connection asks for the whole
            bar.reset(file.size)
            return
        if response.status != 206:
            have = 0
            bar.reset(file.size)
        with part.open("ab" if have else "wb") as target:
            # Not one byte more than announced, whatever the server sends.
            while chunk := response.read(min(_CHUNK_BYTES, file.size - have)):
                target.write(chunk)
                have += len(chunk)
                bar.update(len(chunk))


def _first_byte(response: HTTPResponse) -> int | None:
    """Where a partial answer starts: 7 in `Content-Range: bytes 7-99/100`."""
    first = response.headers.get("Content-Range", "").removeprefix("bytes ").split("-")[0]
    return int(first) if first.isdigit() else None


class _PassingError(DataError):
    """A failure that may be gone at the next try."""


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """Turn what the network raises into a DataError that names the address."""
    try:
        yield
    except urllib.error.HTTPError as error:
        kind = _PassingError if error.code in _PASSING_STATUS else DataError
        raise kind(f"{url}: the server answers {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise _PassingError(f"{url}: no connection ({error.reason})") from error
    except (HTTPException, TimeoutError, ConnectionError) as error:
        raise _PassingError(f"{url}: the connection broke ({error!r})") from error
    except OSError as error:
        raise DataError(f"{url}: cannot be kept: {error}") from error


def _opened(url: str, headers: dict[str, str] | None = None) -> HTTPResponse:
    agent = {"User-Agent": f"fetal_tf/{__version__}"}
    return urllib.request.urlopen(
        urllib.request.Request(url, headers={**agent, **(headers or {})}), timeout=_TIMEOUT_S
    )


def _check_sum(file: RemoteFile, path: Path, way_out: str) -> None:
    algorithm, _, expected = file.checksum.partition(":")
    if algorithm not in hashlib.algorithms_available:
        raise DataError(f"{file.url}: checksum {file.checksum!r} is of an unknown kind.")
    with path.open("rb") as content:
        found = hashlib.file_digest(content, _hasher(algorithm)).hexdigest()
    if found != expected:
        raise DataError(f"{path}: {algorithm} is {found}, the record says {expected}. {way_out}")


def _hasher(algorithm: str) -> Callable[[], "hashlib._Hash"]:
    # The checksum only finds damage; md5 is what Zenodo publishes.
    return lambda: hashlib.new(algorithm, usedforsecurity=False)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
