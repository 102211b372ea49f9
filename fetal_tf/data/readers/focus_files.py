"""List the files of each FOCUS frame, in the official folders that are there."""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from fetal_tf.data.readers.focus_annotations import (
    ELLIPSES,
    FOLDERS,
    IMAGES,
    MASKS,
    RECTANGLES,
    STRUCTURES,
    mask_name,
)
from fetal_tf.data.readers.frames import only_path, visible_files
from fetal_tf.edge.errors import DataError
from fetal_tf.edge.io.images import IMAGE_SUFFIXES


@dataclass
class FocusFiles:
    """The files of one frame; two of one kind are both kept, to be reported.

    Attributes:
        folder: the official folder.
        stem: the image's file name without suffix.
        paths: files by `images`, `annfiles_ellipse`, `annfiles_rectangle`.
        masks: mask files by structure; by the name itself where the label is unknown.
    """

    folder: Path
    stem: str
    paths: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    masks: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))

    def only(self, kind: str) -> Path | None:
        """The one file of `kind`, or None; a DataError where there are several."""
        return only_path(self.paths.get(kind, []), self.folder / kind, self.stem)

    def mask(self, structure: str) -> Path | None:
        """The mask file of `structure`, or None; a DataError where there are several."""
        name = mask_name(self.stem, structure)
        return only_path(self.masks.get(structure, []), self.folder / MASKS, name)

    def check_labels(self) -> None:
        """A DataError for a mask whose name ends in no known label."""
        for structure, paths in self.masks.items():
            if structure not in STRUCTURES.values():
                raise DataError(
                    f"{paths[0]}: unknown label, expected {self.stem}-LABEL.png with a LABEL of "
                    f"{', '.join(STRUCTURES)}"
                )

    def all_annotations(self) -> list[Path]:
        """Every annotation file, of whatever kind."""
        lists = [self.paths.get(kind, []) for kind in (ELLIPSES, RECTANGLES)]
        return [path for paths in (*lists, *self.masks.values()) for path in paths]

    def without_image(self) -> str:
        """The message for annotations without an image."""
        return f"{self.folder / IMAGES / self.stem}.png: missing, but there is " + str(
            self.all_annotations()[0]
        )

    def without_annotation(self) -> str:
        """The message for a frame without a complete annotation of any kind."""
        missing = [mask_name(self.stem, s) for s in ("heart", "thorax") if not self.masks.get(s)]
        return (
            f"{self.folder / IMAGES / self.stem}.png: no annotation; expected {self.stem}.txt "
            f"in {ELLIPSES}/ or {RECTANGLES}/, or {' and '.join(missing)} in {MASKS}/"
        )


def list_focus(root: Path) -> dict[str, FocusFiles]:
    """Files of every frame by id, annotations without an image too.

    Raises:
        DataError: there is none of the official folders, or one without images.
    """
    files: dict[str, FocusFiles] = {}

    def frame(folder: Path, stem: str) -> FocusFiles:
        return files.setdefault(f"{folder.name}_{stem}", FocusFiles(folder, stem))

    for folder in _locate(root):
        for kind, suffixes in (
            (IMAGES, IMAGE_SUFFIXES),
            (ELLIPSES, (".txt",)),
            (RECTANGLES, (".txt",)),
        ):
            for path in visible_files(folder / kind, suffixes):
                frame(folder, path.stem).paths[kind].append(path)
        for path in visible_files(folder / MASKS, IMAGE_SUFFIXES):
            stem, _, label = path.stem.rpartition("-")
            structure = STRUCTURES.get(label.lower(), path.name)
            frame(folder, stem or path.stem).masks[structure].append(path)
    return files


def _locate(root: Path) -> list[Path]:
    """The official folders that are there, or a DataError that says which root to name instead."""
    if not root.is_dir():
        raise DataError(
            f"data.root: {root} is not a folder; expected the one that holds {_any_folder()}."
        )
    folders = [root / name for name in FOLDERS if (root / name).is_dir()]
    if not folders:
        raise DataError(f"data.root: {root} holds no {_any_folder()}. {_where_instead(root)}")
    for folder in folders:
        if not visible_files(folder / IMAGES, IMAGE_SUFFIXES):
            raise DataError(f"{folder / IMAGES}: no images; expected NNN.png and so on.")
        if not any((folder / kind).is_dir() for kind in (ELLIPSES, RECTANGLES, MASKS)):
            raise DataError(
                f"{folder}: no annotations; expected one of {ELLIPSES}/, {RECTANGLES}/, {MASKS}/."
            )
    return folders


def _any_folder() -> str:
    return ", ".join(f"{name}/" for name in FOLDERS) + " or some of them"


def _where_instead(root: Path) -> str:
    resolved = root.resolve()
    for folder in (resolved, resolved.parent):
        if folder.name in FOLDERS and (folder / IMAGES).is_dir():
            return f"Name the folder above {folder.name}/: `data.root: {folder.parent}`."
    nested = sorted(
        {path.parent.parent for name in FOLDERS for path in root.glob(f"*/{name}/{IMAGES}")}
    )
    if nested:
        return f"They lie one folder deeper: `data.root: {nested[0]}`."
    return (
        f"Expected {root / 'training' / IMAGES}/001.png, {root / 'training' / ELLIPSES}/001.txt …"
    )
