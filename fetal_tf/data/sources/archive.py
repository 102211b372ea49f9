"""Unpack downloaded zips safely: check all members first, leave a whole folder or none."""

import secrets
import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath

from tqdm import tqdm

from fetal_tf.edge.errors import DataError

_RESIDUE = "__MACOSX"  # what a Mac adds beside the real files
# What zipfile raises on an archive, or a member, that is not what it says it is.
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError)


def extract_zip(archive: Path, folder: Path, max_bytes: int, *, progress: bool = False) -> None:
    """Unpack `archive` so that `folder` holds its content.

    An archive whose members all lie in one top folder gives that folder's content. Everything is
    unpacked beside `folder` and moved there at the end.

    Args:
        archive: the zip.
        folder: must not exist yet.
        max_bytes: the most that its members may declare to hold together.
        progress: show a progress bar.

    Raises:
        DataError: damaged or truncated; a member would land outside, is a link or encrypted; larger
            than `max_bytes` or than the disk's free space; or `folder` is there already.
    """
    if folder.exists():
        raise DataError(f"{folder}: is there already; nothing was unpacked over it.")
    unfinished = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    try:
        with zipfile.ZipFile(archive) as content:
            members = checked_members(archive, content)
            _check_total(archive, members, max_bytes)
            needed, free = sum(m.file_size for m in members), shutil.disk_usage(folder.parent).free
            if needed > free:
                raise DataError(
                    f"{archive}: needs {_mb(needed)} unpacked, {folder.parent} has {_mb(free)} "
                    "free. Free some space, or choose another folder."
                )
            unfinished.mkdir()
            for member in tqdm(
                members, f"unpack {archive.name}", unit="file", disable=not progress
            ):
                _write_member(content, member, unfinished)
        _only_top_folder(unfinished).rename(folder)
    except DAMAGE as error:
        raise DataError(
            f"{archive}: damaged or cut short ({error}). Remove it and download it again."
        ) from error
    except OSError as error:
        raise DataError(f"{archive}: cannot be unpacked to {folder}: {error}.") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def checked_members(archive: Path, content: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The files of an open zip, without folders and a Mac's residue, once all are harmless.

    Args:
        archive: its path, for the message.
        content: the zip, open for reading.

    Raises:
        DataError: a member would land outside a folder, is a link or a device, is encrypted or
            occurs twice; or there are no files.
    """
    members = []
    names = set()
    for member in content.infolist():
        flaw = _flaw(member)
        if flaw or member.filename.casefold() in names:
            raise DataError(
                f"{archive}: member {member.filename!r} {flaw or 'occurs twice'}; nothing was "
                "unpacked. This is not the dataset's own archive: get it from its source."
            )
        names.add(member.filename.casefold())
        if not (member.is_dir() or PurePosixPath(member.filename).parts[0] == _RESIDUE):
            members.append(member)
    if not members:
        raise DataError(f"{archive}: holds no files.")
    return members


def _check_total(archive: Path, members: list[zipfile.ZipInfo], max_bytes: int) -> None:
    total = sum(member.file_size for member in members)
    if total > max_bytes:
        raise DataError(
            f"{archive}: its members claim {_mb(total)} unpacked, at most {_mb(max_bytes)} are "
            "expected; nothing was unpacked."
        )


def _flaw(member: zipfile.ZipInfo) -> str | None:
    """Why a member must not be written, or None."""
    name = member.filename
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or ".." in parts or parts[0] == "/" or PureWindowsPath(name).drive:
        return "would be written outside the folder"
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device"
    if member.flag_bits & 0x1:
        return "is encrypted"
    return None


def _write_member(content: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> None:
    path = folder.joinpath(*PurePosixPath(member.filename.replace("\\", "/")).parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    # zipfile reads no more than the declared size, and checks the sum at the end.
    with content.open(member) as source, path.open("xb") as target:
        shutil.copyfileobj(source, target)


def _only_top_folder(folder: Path) -> Path:
    inside = list(folder.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else folder


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
