"""The audit of HC18: every image and annotation is decoded, and both are compared with the CSV."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from fetal_tf.data.audit.audit import AUDITS, Audit, Extremes, audit_frames
from fetal_tf.data.audit.checks import (
    borders,
    check_head_size,
    check_image,
    check_pieces,
    check_pixel_size,
)
from fetal_tf.data.audit.frame import AuditedFrame, Check, Finding
from fetal_tf.data.audit.shelf import check_turned
from fetal_tf.data.readers.ellipse_annotation import ANNOTATION_LINE_PX, drawn_ellipse
from fetal_tf.data.readers.frames import only_path
from fetal_tf.data.readers.hc18_files import (
    ANNOTATION_ENDING,
    FILENAME_COLUMN,
    HC_COLUMN,
    PIXEL_SIZE_COLUMN,
    HC18Files,
    group_of,
    list_hc18,
)
from fetal_tf.data.readers.head_circumference import (
    MAX_HC_PERCENT,
    FilledDrawing,
    difference_percent,
    disagreement,
    line_doubt,
)
from fetal_tf.edge.geometry.contours import sub_pixel_contour
from fetal_tf.edge.io.images import read_mask

# Of HC18's 787 training images no HC differs from its annotation's by more than 0.14 %. An outline
# that was filled without a line, read as one with a line, makes 1.4 % in the smallest head.
_CLEAR_HC_PERCENT = 1.5
# Root mean square of the distances of a drawing's border from its ellipse, in per cent of the mean
# radius: 0.09 to 0.36 in HC18's annotations.
_CLEAR_RESIDUAL_PERCENT = 1.5
# Short over long axis: HC18's ellipses have 0.66 to 0.96.
_USUAL_RATIO = (0.6, 0.98)
_EXTREMES: Extremes = {
    "annotation_residual_percent": "highest",
    "hc_difference_percent": "highest",
    "hc_mm": "lowest",
}


@AUDITS.register("hc18")
def audit_hc18(
    root: Path, *, exclude: Sequence[str] = (), annotation_line_px: float = ANNOTATION_LINE_PX
) -> Audit:
    """Check every image, annotation and row below `root`; faults are findings and stop nothing.

    Args:
        root: the folder that holds `training_set/` and its CSV.
        exclude: ids of frames to pass over.
        annotation_line_px: as of the reader.

    Raises:
        DataError: the folder, the CSV or a column is missing, or there is no image.
    """
    root = Path(root)
    files = list_hc18(root)
    frames = []
    for id in sorted(files.ids):
        image = next(iter(files.images.get(id, ())), None)
        file = (image or files.folder / f"{id}.png").relative_to(root).as_posix()
        frames.append((AuditedFrame(file, id=id, image=image, group=group_of(id)), files))
    drawings: dict[str, FilledDrawing] = {}
    checks: tuple[Check[HC18Files], ...] = (
        ("two_images", _check_image_files),
        ("image", check_image),
        ("two_annotations", _check_annotation_files),
        ("annotation", partial(_check_annotation, line_px=annotation_line_px)),
        ("pixel_size", _check_row),
        ("head_size", check_head_size),
        ("hc", partial(_check_hc, line_px=annotation_line_px, drawings=drawings)),
    )
    whole = [
        partial(_check_line, drawings=drawings, line_px=annotation_line_px),
        partial(check_turned, net="hc18", structures={"annotation": "head"}),
    ]
    return audit_frames("hc18", root, frames, checks, _EXTREMES, whole=whole, exclude=exclude)


def _check_image_files(frame: AuditedFrame, files: HC18Files) -> Iterator[Finding]:
    if only_path(files.images.get(frame.id, []), files.folder, frame.id) is None:
        yield Finding("no_image", f"{files.folder / frame.id}.png: missing", wrong=True)


def _check_annotation_files(frame: AuditedFrame, files: HC18Files) -> Iterator[Finding]:
    name = f"{frame.id}{ANNOTATION_ENDING}"
    if only_path(_annotations(frame, files), files.folder, name) is None:
        yield Finding("no_annotation", f"{files.folder / name}.png: missing annotation", wrong=True)


def _annotations(frame: AuditedFrame, files: HC18Files) -> Sequence[Path]:
    return files.annotations.get(frame.id, [])


def _check_annotation(frame: AuditedFrame, files: HC18Files, line_px: float) -> Iterator[Finding]:
    """Decode the annotation and keep its ellipse, if it is one."""
    if len(_annotations(frame, files)) != 1:
        return
    (path,) = _annotations(frame, files)
    drawing = read_mask(path)
    if not drawing.any():
        yield Finding("empty_annotation", f"{path}: nothing is drawn", wrong=True)
        return
    if frame.look and drawing.shape != frame.look.shape:
        sizes = ["x".join(map(str, reversed(s))) for s in (drawing.shape, frame.look.shape)]
        sentence = f"{path}: {sizes[0]} (width x height), the image is {sizes[1]}"
        yield Finding("annotation_size", sentence, wrong=True)
    level = drawing.astype(np.float32) / drawing.max()
    frame.outlines["annotation"] = borders(level >= 0.5)
    yield from check_pieces(path, level >= 0.5)
    try:
        drawn = drawn_ellipse(drawing)
    except ValueError as error:
        yield Finding("not_an_ellipse", f"{path}: {error}", wrong=True)
        return
    frame.traits["annotation"] = "filled" if drawn.filled else "outline"
    ellipse = drawn.caliper(line_px)
    frame.ellipses, frame.perimeter_px = {"annotation": ellipse}, ellipse.perimeter
    # Both borders of a line lie at one distance from an ellipse.
    distances = np.abs(ellipse.distances(sub_pixel_contour(level)))
    spread = float(np.sqrt(np.mean((distances - np.median(distances)) ** 2)))
    residual = 100 * spread / ellipse.mean_radius
    frame.measures["annotation_residual_percent"] = residual
    if residual > _CLEAR_RESIDUAL_PERCENT:
        yield Finding(
            "ragged_annotation",
            f"{path}: its border leaves the ellipse by {residual:.1f} % of the radius, "
            f"less than {_CLEAR_RESIDUAL_PERCENT:g} is usual",
        )
    frame.areas_percent["head"] = 100 * ellipse.area / drawing.size
    ratio = frame.measures["axis_ratio"] = ellipse.semi_minor / ellipse.semi_major
    low, high = _USUAL_RATIO
    if not low <= ratio <= high:
        sentence = f"{path}: short over long axis is {ratio:.2f}, {low:g} to {high:g} are usual"
        yield Finding("unusual_ratio", sentence)


def _check_row(frame: AuditedFrame, files: HC18Files) -> Iterator[Finding]:
    rows, table = files.rows.get(frame.id, []), files.table.name
    if not rows:
        yield Finding("no_row", f"no row in {table}, so no pixel size", wrong=True)
        return
    if len(rows) > 1:
        lines = ", ".join(str(row.line) for row in rows)
        yield Finding("two_rows", f"{table}, lines {lines}: one row is expected", wrong=True)
    filename, image = rows[0].text(FILENAME_COLUMN), Path(frame.file).name
    if files.images.get(frame.id) and image != filename:
        sentence = f"{rows[0].place}: no file {filename}, there is {image}"
        yield Finding("file_name", sentence, wrong=True)
    yield from check_pixel_size(frame, rows[0], PIXEL_SIZE_COLUMN)


def _check_hc(
    frame: AuditedFrame,
    files: HC18Files,
    line_px: float,
    drawings: dict[str, FilledDrawing],
) -> Iterator[Finding]:
    """Compare the annotation's perimeter with the CSV's HC; keep filled ones in `drawings`."""
    if "hc_mm" not in frame.measures or not files.rows[frame.id][0].text(HC_COLUMN):
        return
    row, mm_per_pixel = files.rows[frame.id][0], frame.measures["mm_per_pixel"]
    ellipse = frame.ellipses["annotation"]
    percent = difference_percent(row, ellipse.perimeter, mm_per_pixel)
    frame.measures["hc_difference_percent"] = abs(percent)
    if frame.traits["annotation"] == "filled":
        outer_px = ellipse.shrunk(-line_px / 2).perimeter
        hc_mm = row.number(HC_COLUMN, positive=True)
        drawings[frame.id] = FilledDrawing(outer_px, mm_per_pixel, hc_mm)
    if abs(percent) > _CLEAR_HC_PERCENT:
        sentence = disagreement(row, ellipse.perimeter, mm_per_pixel, files.beside(row))
        yield Finding("hc_disagrees", sentence, wrong=abs(percent) > MAX_HC_PERCENT)


def _check_line(
    frames: Sequence[AuditedFrame], drawings: Mapping[str, FilledDrawing], line_px: float
) -> None:
    """Add a finding to every filled drawing where another line fits all of them."""
    doubt = line_doubt(list(drawings.values()), line_px)
    for frame in frames if doubt else ():
        if frame.id in drawings:
            frame.findings += (Finding("annotation_line", str(doubt)),)
