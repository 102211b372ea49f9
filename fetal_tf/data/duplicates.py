"""Images that are the same file under several names."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from fetal_tf.edge.files import sha256_of


def identical_images(paths: Iterable[Path]) -> list[list[Path]]:
    """Groups of two and more byte-identical files, in the order given.

    Only files of one size are read.
    """
    by_size: dict[int, list[Path]] = defaultdict(list)
    for path in paths:
        by_size[path.stat().st_size].append(path)
    groups: dict[str, list[Path]] = defaultdict(list)
    for same_size in by_size.values():
        for path in same_size if len(same_size) > 1 else ():
            groups[sha256_of(path)].append(path)
    return [group for group in groups.values() if len(group) > 1]
