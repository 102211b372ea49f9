"""Checks a bundle's files against its SHA256SUMS, a list as `sha256sum` writes it."""

import re
import reprlib
from collections.abc import Collection, Mapping
from pathlib import Path

from fetal_tf.edge.errors import BundleError
from fetal_tf.edge.io.files import sha256_of

MANIFEST = "bundle.json"
SEAL = "SHA256SUMS"
GATE_FOLDER = "gate"  # inside a bundle: a bundle with a seal of its own
_SEAL_LINE = re.compile(r"(?P<sha256>[0-9a-f]{64})  (?P<name>.+)", re.DOTALL)


def check_seal(folder: Path, models: Mapping[str, str], *, gated: bool) -> None:
    """Compare SHA256SUMS with the files, and for models with the manifest: they are checked later.

    Args:
        folder: of the bundle.
        models: SHA-256 by file name, as the manifest says.
        gated: whether the manifest names a gate, which has a folder and a seal of its own.

    Raises:
        BundleError: no seal, a file altered, missing or not in it, no line for the manifest or a
            model.
    """
    seal = folder / SEAL
    sums = read_seal(seal)
    for name, expected in sums.items():
        if name not in models:
            check_sha256(folder / name, expected)
    for name in (MANIFEST, *models):
        if name not in sums:
            raise BundleError(f"{seal}: no line for {name}; export the bundle again.")
    _check_nothing_else(folder, {*sums, SEAL}, {GATE_FOLDER} if gated else set())
    for name, expected in models.items():
        if sums[name] != expected:
            raise BundleError(
                f"{seal}: {name}: SHA-256 expected {expected} ({MANIFEST}), found {sums[name]}. "
                "Export the bundle again or fetch a fresh copy."
            )


def _check_nothing_else(folder: Path, sealed: Collection[str], folders: Collection[str]) -> None:
    """Refuse links, which may lead to files that change, and files that the seal does not name."""
    for entry in sorted(folder.iterdir()):
        if entry.is_symlink():
            raise BundleError(f"{entry}: a link; a bundle holds its files themselves. Copy them.")
        if entry.name not in sealed and not (entry.name in folders and entry.is_dir()):
            raise BundleError(
                f"{entry}: {SEAL} does not name it, so it is no part of the bundle; remove it"
            )


def read_seal(seal: Path) -> dict[str, str]:
    """Read SHA-256 by file name; only the exact format of `sha256sum` is accepted.

    Raises:
        BundleError: missing, unreadable, or a line that is no checksum.
    """
    try:
        text = seal.read_bytes().decode("utf-8")
    except FileNotFoundError as error:
        raise BundleError(
            f"{seal}: missing, so that nothing shows that the bundle is whole; export it again."
        ) from error
    except OSError as error:
        raise BundleError(f"{seal}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise BundleError(f"{seal}: not a line of checksums: {error}") from error
    if "\r\n" in text:
        raise BundleError(
            f"{seal}: its line ends are those of Windows, as git may write them, so it is not the "
            "file that was exported; fetch the bundle as binary files"
        )
    sums: dict[str, str] = {}
    *lines, rest = text.split("\n")
    for line in lines:
        match = _SEAL_LINE.fullmatch(line)
        if not match or Path(match["name"]).name != match["name"] or match["name"] in sums:
            raise BundleError(f"{seal}: not a line of checksums: {reprlib.repr(line)}")
        sums[match["name"]] = match["sha256"]
    if rest:
        raise BundleError(f"{seal}: ends within a line: {reprlib.repr(rest)}")
    return sums


def check_sha256(file: Path, expected: str) -> None:
    """Raise BundleError where the file is missing or its SHA-256 is not `expected`."""
    try:
        found = sha256_of(file)
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        cause = getattr(error, "strerror", None) or error
        raise BundleError(f"{file}: part of the bundle, but {cause}") from error
    if found != expected:
        raise BundleError(
            f"{file}: altered since the bundle was made: SHA-256 expected {expected}, found "
            f"{found}. Export the bundle again or fetch a fresh copy."
        )
