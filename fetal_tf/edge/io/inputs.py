"""Expands the paths of a command line to image files, and gives their pictures unique names."""

import glob
import itertools
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Never

from fetal_tf.edge.errors import ImageError
from fetal_tf.edge.io.foreign_text import printable
from fetal_tf.edge.io.images import IMAGE_SUFFIXES

TABLE, OVERLAYS = "measurements.csv", "overlays"  # what a run makes: its table, its pictures
_MOST_NAMES = 200_000  # that a glob may match
_ANNOTATION = "_annotation"  # HC18 keeps its masks beside its images
# A file name has 255 bytes at most; `replaced_atomically` writes STEM.png as .STEM.01234567.png.
_MAX_STEM_BYTES = 255 - len("..01234567.png")


def image_paths(references: Iterable[str], *, recursive: bool = False) -> list[Path]:
    """Expand files, folders (their images) and globs to a list without repeats.

    With `recursive` a folder's subfolders count as well, but for hidden ones.

    A named file is always taken; if it is missing or no image, reading it will fail. Folders and
    globs give only names with an image's suffix, without HC18's `…_Annotation.png` and without
    the pictures of an earlier run, which lie beside its table.

    Raises:
        ImageError: a folder that cannot be listed, a folder or a glob without an image.
    """
    found: dict[str, Path] = {}
    for reference in references:
        for path in _expanded(reference, recursive):
            # Not Path.resolve, nor Path.is_file below: they raise for a name too long or a loop of
            # links, which is that file's error when it is read.
            found.setdefault(os.path.realpath(path), path)
    return list(found.values())


def _expanded(reference: str, recursive: bool) -> list[Path]:
    path = Path(reference)
    if os.path.isdir(path):
        try:
            images = _images(_below(path) if recursive else path.iterdir())
        except OSError as error:
            raise ImageError(
                f"{error.filename or reference}: cannot be listed: {error.strerror or error}"
            ) from error
        if not images:
            where = "in this folder or below" if recursive else "in this folder"
            way_out = "" if recursive else "; --recursive looks into its subfolders"
            raise ImageError(
                f"{reference}: no image {where} ({', '.join(IMAGE_SUFFIXES)}){way_out}"
            )
        return images
    if os.path.exists(path) or not glob.has_magic(reference):
        return [path]
    names = list(itertools.islice(glob.iglob(reference, recursive=True), _MOST_NAMES + 1))
    if len(names) > _MOST_NAMES:
        raise ImageError(
            f"{reference}: matches more than {_MOST_NAMES} names; do links to folders lead in a "
            "circle? Name the folder, with --recursive"
        )
    images = _images(map(Path, names))
    if not images:
        raise ImageError(f"{reference}: no image matches ({', '.join(IMAGE_SUFFIXES)})")
    return images


def _below(folder: Path) -> Iterator[Path]:
    """All files below a folder, those of hidden folders left out; links to folders are no way."""

    def stop(error: OSError) -> Never:
        raise error

    for place, folders, files in os.walk(folder, onerror=stop):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(place, name) for name in files)


def _images(paths: Iterable[Path]) -> list[Path]:
    return sorted(
        path
        for path in paths
        if path.suffix.lower() in IMAGE_SUFFIXES
        and not path.name.startswith(".")
        and not path.stem.lower().endswith(_ANNOTATION)
        and not (path.parent.name == OVERLAYS and os.path.isfile(path.parent.parent / TABLE))
        and os.path.isfile(path)
    )


def picture_names(paths: Sequence[Path], taken: Iterable[str] = ()) -> list[str]:
    """A file name ending in .png for each path, all different even if case is ignored.

    The name is the stem if that is unique; otherwise the folder's name is put before it, and if
    needed a number after it. It is cut so that no file name, not even the temporary one, exceeds
    255 bytes. No name is one of `taken`, as a table has them.
    """
    stems = Counter(path.stem.casefold() for path in paths)
    used = {Path(name).stem.casefold() for name in taken}
    names = []
    for path in paths:
        base = path.stem
        if stems[base.casefold()] > 1:
            base = f"{Path(os.path.realpath(path)).parent.name}_{base}"
        name, number = _cut(base, _MAX_STEM_BYTES), 1
        while printable(name).casefold() in used:
            number += 1
            ending = f"-{number}"
            name = _cut(base, _MAX_STEM_BYTES - len(ending)) + ending
        used.add(printable(name).casefold())
        names.append(f"{name}.png")
    return names


def _cut(text: str, max_bytes: int) -> str:
    while len(os.fsencode(text)) > max_bytes:
        text = text[:-1]
    return text
