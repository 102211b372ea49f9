"""A bundle's folder: what may be replaced, how JSON is written, and the checksums of all files."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fetal_tf.edge.bundle.seal import MANIFEST, SEAL
from fetal_tf.edge.errors import BundleError
from fetal_tf.edge.io.files import sha256_of, write_text_atomic
from fetal_tf.edge.io.folders import is_replaceable


def check_replaceable(target: Path) -> None:
    """Make sure that writing a bundle to `target` destroys nothing but an older bundle.

    Raises:
        BundleError: something else is there.
    """
    if not is_replaceable(target, MANIFEST):
        raise BundleError(
            f"{target}: exists and is not a bundle (no bundle.json in it); "
            "name another folder with --out, or remove it"
        )


def write_json(path: Path, tree: Mapping[str, Any]) -> None:
    """Write `tree` as indented JSON; raises ValueError for NaN."""
    text = json.dumps(tree, indent=2, ensure_ascii=False, allow_nan=False)
    write_text_atomic(path, text + "\n")


def write_checksums(folder: Path) -> None:
    """Write SHA256SUMS over the files of the folder; `sha256sum -c SHA256SUMS` checks them.

    The subfolder of a gate has its own SHA256SUMS. The checksum of that is in bundle.json.
    """
    files = sorted(p for p in folder.iterdir() if p.is_file() and p.name != SEAL)
    lines = [f"{sha256_of(path)}  {path.name}\n" for path in files]
    write_text_atomic(folder / SEAL, "".join(lines))
