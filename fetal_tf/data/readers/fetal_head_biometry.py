"""Fetal head biometry: trans-thalamic planes with brain, cavum septi pellucidi and ventricle.

Layout::

    ROOT/Trans-thalamic/Trans-thalamic/Patient00168_Plane3_1_of_2.png      a frame of patient 168
    ROOT/Trans-thalamic/Trans-thalamic-PASCAL/SegmentationClass/<same name>.png      its colours
    ROOT/Trans-thalamic/…-segmentation-mask.zip     or a zip with SegmentationClass/<same name>.png
    ROOT/Trans-thalamic/Trans-Thalamic-Pixel-Size.csv       Label, Pixel in mm; also read from ROOT
    ROOT/anomalies.csv                                      Label, condition; a phantom's truth

The other planes (trans-cerebellar, trans-ventricular) show other structures and are not read.

Source: Alzubaidi et al. 2023, Data in Brief 51:109708; Zenodo 8265464 (CC BY 4.0).
"""

import functools
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fetal_tf.config.registry import nearest
from fetal_tf.data.readers.color_mask import Palette, decode_labels
from fetal_tf.data.readers.frames import only_path, read_frames
from fetal_tf.data.readers.mask_sources import ARCHIVE_ENDING, MASK_FOLDER, MaskSource
from fetal_tf.data.readers.registry import DATASETS
from fetal_tf.data.readers.trans_thalamic import (
    CONDITION_COLUMN,
    FRAME_NAME,
    LABEL_COLUMN,
    PIXEL_SIZE_COLUMN,
    PIXEL_SIZE_TABLE,
    PlaneFiles,
    list_files,
)
from fetal_tf.data.sample import Sample
from fetal_tf.edge.errors import ConfigError, DataError
from fetal_tf.edge.io.images import image_size
from fetal_tf.edge.io.pixel_sizes import row_mm_per_pixel
from fetal_tf.edge.io.tables import TableRow

PALETTE: Palette = {
    "background": (0, 0, 0),
    "brain": (255, 0, 0),
    "csp": (0, 255, 0),
    "lv": (0, 0, 255),
}
_BACKGROUND, _BRAIN, *STRUCTURES = PALETTE


@DATASETS.register("fetal_head_biometry")
def read_fetal_head_biometry(
    root: Path,
    *,
    exclude: Sequence[str] = (),
    structures: Sequence[str] = ("csp", "lv"),
    tolerant: bool = False,
) -> list[Sample]:
    """Read every annotated trans-thalamic frame below `root`, sorted by id.

    Every mask is decoded once, to check its colours and to see which structures it shows
    (`Sample.present`, whatever `structures` names). A frame without a row in the table has no pixel
    size; a warning says how many.

    Args:
        root: the folder that holds `Trans-thalamic/`.
        exclude: ids (file names without suffix) to leave out before anything of them is checked;
            an id that is not there is no error, so that one config serves several copies.
        structures: of csp and lv, those that get a class of their own, after background and brain
            and in this order; the others lie in the brain and count as brain.
        tolerant: give pixels of a colour outside the palette the nearest colour's class, and warn
            of their number, instead of refusing the mask.

    Raises:
        ConfigError: `structures` names something else, or one twice.
        DataError: a folder, a column or all masks are missing, an archive is damaged or hostile, or
            some frames contradict each other; then the first five are named with their cause, and
            the way to leave them out.
    """
    _check_structures(structures)
    files = list_files(Path(root))
    foreign_px: dict[str, int] = {}

    def read(id: str) -> Sample:
        sample, foreign = _sample(id, files, structures, tolerant)
        if foreign:
            foreign_px[id] = foreign
        return sample

    ids = files.images.keys() | files.masks.keys()
    workers = min(8, os.cpu_count() or 1)
    samples = read_frames(
        files.folder, ids, read, exclude=exclude, label="checking masks", workers=workers
    )
    for doubt in (_foreign_doubt(files.folder, foreign_px), _pixel_size_doubt(files, samples)):
        if doubt:
            warnings.warn(doubt, stacklevel=2)
    return samples


def load_labels(
    mask: MaskSource, size: tuple[int, int], structures: Sequence[str], tolerant: bool
) -> np.ndarray:
    """Class indices of one mask, uint8 (height, width): 0 background, 1 brain, then `structures`.

    Args:
        mask: its PNG.
        size: (height, width) of its image.
        structures: those with a class of their own; the others are brain.
        tolerant: whether colours outside the palette are allowed.

    Raises:
        DataError: the file is gone, damaged or of another size, or holds foreign colours.
    """
    classes = (_BACKGROUND, _BRAIN, *structures)
    brain = classes.index(_BRAIN)
    indices = [classes.index(name) if name in classes else brain for name in PALETTE]
    found = decode_labels(mask.read(), str(mask), size, PALETTE, tolerant)
    return np.array(indices, np.uint8)[found.labels]


def _sample(
    id: str, files: PlaneFiles, structures: Sequence[str], tolerant: bool
) -> tuple[Sample, int]:
    """The checked sample, and how many pixels of its mask are foreign to the palette."""
    image = only_path(files.images.get(id, []), files.folder, id)
    mask = _only_mask(files.masks.get(id, []), files.folder / f"{id}.png")
    if image is None:
        raise DataError(f"{mask}: no image {files.folder / id}.png for this mask")
    patient = re.match(r"(Patient\d+)_", id)
    if patient is None:
        raise DataError(
            f"{image}: no patient number, {FRAME_NAME} is expected; without it, frames of one "
            "patient cannot be kept together in a split"
        )
    size = image_size(image)
    found = decode_labels(mask.read(), str(mask), size, PALETTE, tolerant)
    if not found.labels.any():
        raise DataError(f"{mask}: the mask is empty, all its pixels are background")
    if not (found.labels == 1).any():
        raise DataError(f"{mask}: the mask shows structures but no brain around them")
    shown = {list(PALETTE)[index] for index in np.flatnonzero(np.bincount(found.labels.ravel()))}
    sample = Sample(
        id=id,
        image_path=image,
        group=patient[1],
        mm_per_pixel=_pixel_size(files.sizes.get(id, [])),
        load_mask=functools.partial(load_labels, mask, size, tuple(structures), tolerant),
        present=frozenset(shown - {_BACKGROUND}),
        condition=_condition(files.conditions.get(id, [])),
        labels=(_BACKGROUND, "brain", *structures),
    )
    return sample, found.foreign_px


def _check_structures(structures: Sequence[str]) -> None:
    key = "data.options.structures"
    for name in structures:
        if name not in STRUCTURES:
            raise ConfigError(
                f"{key}: unknown structure {name!r}{nearest(name, STRUCTURES)}; allowed: "
                f"{', '.join(STRUCTURES)}"
            )
    if len(set(structures)) < len(structures):
        raise ConfigError(f"{key}: found {list(structures)}; each at most once")


def _only_mask(masks: Sequence[MaskSource], image: Path) -> MaskSource:
    if not masks:
        raise DataError(
            f"{image}: no mask of this name in any {MASK_FOLDER}/ folder or *{ARCHIVE_ENDING}"
        )
    if len(masks) > 1 and len({mask.read() for mask in masks}) > 1:
        places = " and ".join(map(str, masks))
        raise DataError(f"{len(masks)} masks for {image.stem} that differ: {places}; keep one")
    return masks[0]


def _pixel_size(rows: Sequence[TableRow]) -> float | None:
    if len({row.number(PIXEL_SIZE_COLUMN, positive=True) for row in rows}) > 1:
        raise DataError(_contradiction(rows, PIXEL_SIZE_COLUMN))
    return row_mm_per_pixel(rows[0], PIXEL_SIZE_COLUMN) if rows else None


def _condition(rows: Sequence[TableRow]) -> str | None:
    values = [row.text(CONDITION_COLUMN) for row in rows]
    if len(set(values)) > 1:
        raise DataError(_contradiction(rows, CONDITION_COLUMN))
    return values[0] if values else None


def _contradiction(rows: Sequence[TableRow], column: str) -> str:
    said = "; ".join(f"{row.place}: {row.text(column)}" for row in rows)
    return f"{rows[0].text(LABEL_COLUMN)}: rows contradict each other in {column!r} ({said})"


def _foreign_doubt(folder: Path, foreign_px: Mapping[str, int]) -> str | None:
    if not foreign_px:
        return None
    return (
        f"{folder}: {sum(foreign_px.values())} pixels in {len(foreign_px)} masks have a colour "
        "outside the palette and were read as the nearest one (data.options.tolerant); first: "
        f"{min(foreign_px)}."
    )


def _pixel_size_doubt(files: PlaneFiles, samples: Sequence[Sample]) -> str | None:
    """What to say of frames that cannot be measured in mm, None where all can."""
    unknown = [sample.id for sample in samples if sample.mm_per_pixel is None]
    if not unknown:
        return None
    where = f"no value in {' or '.join(map(str, files.size_tables))}"
    if not files.size_tables:
        plane = files.folder.parent
        others = ", ".join(sorted(path.name for path in plane.glob("*.csv"))) or "no CSV at all"
        where = f"{plane / PIXEL_SIZE_TABLE} is missing, found: {others}"
    return (
        f"{len(unknown)} of {len(samples)} images have no pixel size ({where}); they are measured "
        f"in pixels, not in mm. First: {unknown[0]}."
    )
