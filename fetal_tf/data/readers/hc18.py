"""HC18: 2D fetal heads with a caliper ellipse, a pixel size and a head circumference.

Layout::

    ROOT/training_set/010_HC.png                        a frame of examination 010
    ROOT/training_set/010_HC_Annotation.png             its ellipse: an outline, or filled
    ROOT/training_set/010_2HC.png …                     a second frame of that examination
    ROOT/training_set_pixel_size_and_HC.csv             filename, pixel size (mm), HC (mm)

Any data in this layout can be read; what stands before the first underscore is the group, so name
files ``PATIENT_FRAME.png``. `test_set/` comes without annotations and is not read.

Source: van den Heuvel et al. 2018, PLoS ONE 13(8):e0200412; Zenodo 1327317 (CC BY 4.0).
"""

import functools
import warnings
from collections.abc import Sequence
from pathlib import Path

from fetal_tf.data.readers.ellipse_annotation import (
    ANNOTATION_LINE_PX,
    load_drawn_ellipse,
    load_ellipse_landmarks,
    load_ellipse_mask,
)
from fetal_tf.data.readers.frames import check_mask_size, only_path, read_frames
from fetal_tf.data.readers.hc18_files import (
    ANNOTATION_ENDING,
    FILENAME_COLUMN,
    HC_COLUMN,
    HC18Files,
    group_of,
    list_hc18,
)
from fetal_tf.data.readers.head_circumference import (
    FilledDrawing,
    check_head_circumference,
    line_doubt,
    mm_per_pixel_of,
)
from fetal_tf.data.readers.registry import DATASETS
from fetal_tf.data.sample import Sample
from fetal_tf.edge.errors import DataError
from fetal_tf.edge.io.images import image_size


@DATASETS.register("hc18")
def read_hc18(
    root: Path, *, exclude: Sequence[str] = (), annotation_line_px: float = ANNOTATION_LINE_PX
) -> list[Sample]:
    """Read every annotated frame below `root`, sorted by id; of images only headers are decoded.

    The table's circumference is held against the annotation: see `head_circumference`. A warning
    says where another `annotation_line_px` fits the table.

    A frame's landmarks are the ends of its annotated ellipse: the long axis as OFD, the short as
    BPD.

    Args:
        root: the folder that holds `training_set/` and its CSV.
        exclude: ids (file names without suffix) to leave out before anything of them is checked;
            an id that is not there is no error, so that one config serves several copies.
        annotation_line_px: width of the line that a *filled* annotation was filled from.

    Raises:
        DataError: the folder, the CSV or a column is missing, or some frames contradict each other;
            then the first five are named with their cause, and the way to leave them out.
    """
    files = list_hc18(Path(root))
    filled: list[FilledDrawing] = []

    def read(id: str) -> Sample:
        sample, drawing = _sample(id, files, annotation_line_px)
        if drawing:
            filled.append(drawing)
        return sample

    samples = read_frames(files.folder, files.ids, read, exclude=exclude, workers=2)
    if doubt := line_doubt(filled, annotation_line_px):
        warnings.warn(f"{files.table}: {doubt}.", stacklevel=2)
    return samples


def _sample(id: str, files: HC18Files, line_px: float) -> tuple[Sample, FilledDrawing | None]:
    """The checked sample, and its drawing where it is filled and its row has an HC.

    Raises:
        DataError: names the file or line at fault.
    """
    rows, table = files.rows.get(id, []), files.table
    image = only_path(files.images.get(id, []), files.folder, id)
    if len(rows) > 1:
        lines = ", ".join(str(row.line) for row in rows)
        raise DataError(f"{table.name} has {len(rows)} rows for {id}, lines {lines}; one expected")
    if not rows:
        name = image.name if image else f"{id}{ANNOTATION_ENDING}.png"
        raise DataError(f"{files.folder / name}: no row in {table.name}, so no pixel size")
    row = rows[0]
    filename = row.text(FILENAME_COLUMN)
    if image is None or image.name != filename:
        raise DataError(
            f"{row.place}: no file {files.folder / filename}"
            + (f" (there is {image.name})" if image else "")
        )
    annotation = only_path(files.annotations.get(id, []), files.folder, id + ANNOTATION_ENDING)
    if annotation is None:
        raise DataError(f"{files.folder / id}{ANNOTATION_ENDING}.png: missing annotation")
    mm_per_pixel = mm_per_pixel_of(row)
    reference = {"hc_mm": row.number(HC_COLUMN, positive=True)} if row.text(HC_COLUMN) else {}
    check_mask_size(annotation, image_size(annotation), image_size(image), image)
    drawing = None
    if reference:
        drawn, _ = load_drawn_ellipse(annotation)
        perimeter_px = drawn.caliper(line_px).perimeter
        check_head_circumference(row, perimeter_px, mm_per_pixel, files.beside(row))
        if drawn.filled:
            drawing = FilledDrawing(drawn.outer.perimeter, mm_per_pixel, reference["hc_mm"])
    sample = Sample(
        id=id,
        image_path=image,
        group=group_of(id),
        mm_per_pixel=mm_per_pixel,
        load_mask=functools.partial(load_ellipse_mask, annotation, line_px),
        reference=reference,
        load_landmarks=functools.partial(load_ellipse_landmarks, annotation, line_px),
    )
    return sample, drawing
