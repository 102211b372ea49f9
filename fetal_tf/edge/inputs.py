"""Which images a command line means, and names for their pictures that do not collide."""

import glob
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from fetal_tf.edge.errors import ImageError
from fetal_tf.edge.images import IMAGE_SUFFIXES

_ANNOTATION = "_annotation"  # HC18 keeps its masks beside its images


def image_paths(references: Iterable[str], out: Path | None = None) -> list[Path]:
    """Files, folders (their images, without subfolders) and globs, as one list without repeats.

    A file that is named is taken as it is, even where it is missing or no image: that shows when
    it is read. From folders and globs only names with an image's suffix are taken; HC18's
    `…_Annotation.png` and what lies under `out`, the pictures of an earlier run, are left out.

    Raises:
        ImageError: a folder or a glob without an image.
    """
    found: dict[Path, Path] = {}
    for reference in references:
        for path in _expanded(reference, out):
            found.setdefault(path.resolve(), path)
    return list(found.values())


def _expanded(reference: str, out: Path | None) -> list[Path]:
    path = Path(reference)
    if path.is_dir():
        images = _images(path.iterdir(), out)
        if not images:
            raise ImageError(
                f"{reference}: no image in this folder ({', '.join(IMAGE_SUFFIXES)}); "
                f"for subfolders name '{path / '**' / '*.png'}'"
            )
        return images
    if path.exists() or not glob.has_magic(reference):
        return [path]
    images = _images(map(Path, glob.glob(reference, recursive=True)), out)
    if not images:
        raise ImageError(f"{reference}: no image matches ({', '.join(IMAGE_SUFFIXES)})")
    return images


def _images(paths: Iterable[Path], out: Path | None) -> list[Path]:
    own = out.resolve() if out is not None else None
    return sorted(
        path
        for path in paths
        if path.suffix.lower() in IMAGE_SUFFIXES
        and not path.name.startswith(".")
        and not path.stem.lower().endswith(_ANNOTATION)
        and (own is None or own not in path.resolve().parents)
        and path.is_file()
    )


def picture_names(paths: Sequence[Path]) -> list[str]:
    """A file name ending in .png for each path, all different even where case does not count.

    The stem where it is unique; else the folder's name is put before it, and then a number.
    """
    stems = Counter(path.stem.casefold() for path in paths)
    used: set[str] = set()
    names = []
    for path in paths:
        base = path.stem
        if stems[base.casefold()] > 1:
            base = f"{path.resolve().parent.name}_{base}"
        name, number = base, 1
        while name.casefold() in used:
            number += 1
            name = f"{base}-{number}"
        used.add(name.casefold())
        names.append(f"{name}.png")
    return names
