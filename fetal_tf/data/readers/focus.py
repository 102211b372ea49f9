"""FOCUS: four-chamber views of the fetal heart, with ellipses around the heart and the thorax.

Layout; each of the three folders may be absent::

    ROOT/training/images/001.png                 a frame; validation/ and testing/ alike
    ROOT/training/annfiles_ellipse/001.txt       its two ellipses
    ROOT/training/annfiles_rectangle/001.txt     the boxes around them
    ROOT/training/annfiles_mask/001-cardiac.png  and 001-thorax.png: the two, filled

One kind of annotation is enough: ellipses are read from the ellipse file, else from the rectangle
file, else fitted to the masks, and the truth is drawn from them; what else is there must agree. The
names hold no patient; only byte-identical frames are known to belong together.

Source: FOCUS, Zenodo 14597550 (CC BY 4.0).
"""

import functools
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from fetal_tf.data.duplicates import identical_images
from fetal_tf.data.readers.focus_annotations import (
    ELLIPSES,
    FOLDERS,
    IMAGES,
    RECTANGLES,
    read_ellipses,
    read_rectangles,
)
from fetal_tf.data.readers.focus_checks import check_agreement, check_angles, check_places
from fetal_tf.data.readers.focus_files import FocusFiles, list_focus
from fetal_tf.data.readers.focus_masks import LABELS, fitted_ellipse, load_nested_mask, read_inside
from fetal_tf.data.readers.frames import check_mask_size, read_frames
from fetal_tf.data.readers.registry import DATASETS
from fetal_tf.data.sample import Sample
from fetal_tf.edge.errors import DataError
from fetal_tf.edge.geometry.ellipse import Ellipse
from fetal_tf.edge.io.images import image_size

# Where copies of one image lie in several folders, all go to the first of these.
_MOST_HELD_OUT = ("test", "val", "train")


@DATASETS.register("focus")
def read_focus(root: Path, *, exclude: Sequence[str] = ()) -> list[Sample]:
    """Read every frame below `root`, sorted by id (`training_001` …).

    Images are not decoded, masks only where they are a frame's sole annotation. Byte-identical
    images form one group; if they lie in two official folders, all of them go to the most held-out
    one, with a warning.

    Args:
        root: the folder that holds training/, validation/, testing/, or some of them.
        exclude: ids to leave out before anything of them is checked; an id that is not there is no
            error.

    Raises:
        DataError: none of the folders is there, or some frames cannot be used; then the first five
            are named with their cause, and the way to leave them out.
    """
    root = Path(root)
    files = list_focus(root)
    check_angles(root, written_ellipses(f for id, f in files.items() if id not in exclude))
    return _grouped(
        read_frames(root, files, lambda id: read_focus_frame(id, files[id]), exclude=exclude)
    )


def written_ellipses(files: Iterable[FocusFiles]) -> Iterator[Ellipse]:
    """Every ellipse of the ellipse files that can be read."""
    for frame in files:
        for path in frame.paths.get(ELLIPSES, []):
            with suppress(DataError):  # named where the frame is read
                yield from read_ellipses(path).values()


def read_focus_frame(id: str, files: FocusFiles) -> Sample:
    """The checked sample, its own group; a DataError names the file or line at fault."""
    image = files.only(IMAGES)
    if image is None:
        raise DataError(files.without_image())
    shape = image_size(image)
    masks = _masks(files, shape)
    ellipses = _ellipses(files, masks)
    check_places(image, ellipses, shape)
    return Sample(
        id=id,
        image_path=image,
        group=id,
        load_mask=functools.partial(load_nested_mask, id, shape, ellipses, masks),
        official_split=FOLDERS[files.folder.name],
        present=frozenset(LABELS),
        labels=LABELS,
        ellipses=ellipses,
    )


def _masks(files: FocusFiles, shape: tuple[int, int]) -> dict[str, Path]:
    files.check_labels()
    masks = {structure: path for structure in LABELS if (path := files.mask(structure))}
    for path in masks.values():
        check_mask_size(path, image_size(path), shape, files.only(IMAGES))
    return masks


def _ellipses(files: FocusFiles, masks: Mapping[str, Path]) -> dict[str, Ellipse]:
    ellipse_file, rectangle_file = files.only(ELLIPSES), files.only(RECTANGLES)
    ellipses = read_ellipses(ellipse_file) if ellipse_file else {}
    boxed = read_rectangles(rectangle_file) if rectangle_file else {}
    if ellipse_file:
        for structure in boxed:
            check_agreement(ellipse_file, structure, ellipses[structure], boxed[structure])
        return ellipses
    if boxed:
        return boxed
    if len(masks) < len(LABELS):
        raise DataError(files.without_annotation())
    return {s: fitted_ellipse(masks[s], read_inside(masks[s])) for s in LABELS}


def _grouped(samples: Sequence[Sample]) -> list[Sample]:
    """Samples with byte-identical images in one group, and that in one split."""
    by_path = {sample.image_path: sample for sample in samples}
    moved = []
    for paths in identical_images(by_path):
        group = by_path[paths[0]].id
        splits = {by_path[path].official_split for path in paths}
        split = next(name for name in _MOST_HELD_OUT if name in splits)
        if len(splits) > 1:
            moved.append(f"{' = '.join(map(str, paths))} (all to {split})")
        for path in paths:
            by_path[path] = replace(by_path[path], group=group, official_split=split)
    if moved:
        warnings.warn(
            "byte-identical images lie in several official folders, and must not be divided: "
            + "; ".join(moved),
            stacklevel=3,
        )
    return list(by_path.values())
