"""Find and read mask PNGs: files in a folder, or members of a zip, which is not unpacked."""

import functools
import os
import threading
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fetal_tf.data.sources.archive import DAMAGE, checked_members
from fetal_tf.edge.errors import DataError

MASK_FOLDER = "SegmentationClass"
ARCHIVE_ENDING = "segmentation-mask.zip"
MAX_MASK_BYTES = 64_000_000


@dataclass(frozen=True)
class MaskFile:
    """A PNG on disk."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def read(self) -> bytes:
        """The file's content.

        Raises:
            DataError: it is gone, cannot be opened, or is larger than any mask.
        """
        try:
            if self.path.stat().st_size > MAX_MASK_BYTES:
                raise DataError(_too_large(str(self), self.path.stat().st_size))
            return self.path.read_bytes()
        except OSError as error:
            raise DataError(f"{self}: cannot be read: {error.strerror or error}") from error


@dataclass(frozen=True)
class ZipMember:
    """A PNG in a zip; any number of threads and processes may read."""

    archive: Path
    member: str

    def __str__(self) -> str:
        return f"{self.archive}:{self.member}"

    def read(self) -> bytes:
        """The member's content, in memory.

        Raises:
            DataError: archive or member is damaged or gone.
        """
        try:
            with _READING:
                # The directory of thousands of members is read once for each state of the file.
                stamp = self.archive.stat().st_mtime_ns
                return _opened(self.archive, stamp, os.getpid()).read(self.member)
        except (*DAMAGE, KeyError) as error:
            raise DataError(f"{self}: damaged: {error}") from error
        except OSError as error:
            raise DataError(f"{self}: cannot be read: {error.strerror or error}") from error


MaskSource = MaskFile | ZipMember

# One at a time: zipfile counts its users without a lock. Inflating a mask takes a fraction of
# the time of decoding it, which happens outside.
_READING = threading.Lock()


@functools.lru_cache(maxsize=4)
def _opened(archive: Path, stamp: int, process: int) -> zipfile.ZipFile:
    # A forked process gets a handle of its own: an inherited one shares its position.
    return zipfile.ZipFile(archive)


def find_masks(folder: Path) -> Mapping[str, list[MaskSource]]:
    """Every mask below `folder` by the stem of its name.

    They are the PNGs in folders called `SegmentationClass`, and those in such folders of archives
    called `*segmentation-mask.zip`. A Mac's residue (`._x.png`, `__MACOSX`) is passed over.

    Raises:
        DataError: an archive is damaged, cut short or encrypted, holds a member of more than
            64 MB, one that climbs out of its folder, or two of one name.
    """
    found: dict[str, list[MaskSource]] = defaultdict(list)
    for inner in sorted(folder.rglob(MASK_FOLDER)):
        for path in sorted(inner.iterdir()) if inner.is_dir() else ():
            if _is_mask(path.as_posix()):
                found[path.stem].append(MaskFile(path))
    for archive in sorted(folder.rglob("*.zip")):
        if archive.name.lower().endswith(ARCHIVE_ENDING) and not archive.name.startswith("."):
            for member in _members(archive):
                found[_inside(member).stem].append(ZipMember(archive, member))
    return found


def _members(archive: Path) -> Iterator[str]:
    """Names of the masks in an archive."""
    try:
        with zipfile.ZipFile(archive) as content:
            members = checked_members(archive, content)
    except DAMAGE as error:
        raise DataError(
            f"{archive}: damaged or cut short ({error}). Remove it and get it again."
        ) from error
    except OSError as error:
        raise DataError(f"{archive}: cannot be read: {error.strerror or error}.") from error
    for member in members:
        if _is_mask(member.filename):
            if member.file_size > MAX_MASK_BYTES:
                raise DataError(_too_large(f"{archive}:{member.filename}", member.file_size))
            yield member.filename


def _inside(member: str) -> PurePosixPath:
    return PurePosixPath(member.replace("\\", "/"))  # some Windows programs write backslashes


def _is_mask(name: str) -> bool:
    path = _inside(name)
    return (
        path.parent.name == MASK_FOLDER
        and path.suffix.lower() == ".png"
        and not path.name.startswith(".")
    )


def _too_large(name: str, size: int) -> str:
    return (
        f"{name}: holds {size / 1e6:.1f} MB, at most {MAX_MASK_BYTES / 1e6:.0f} MB are read as a "
        "mask. This is not the dataset's own file: get it from its source."
    )
