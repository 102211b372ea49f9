"""The audit of the second centre's planes: images, ends marked by experts, and pixel sizes."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from fetal_tf.data.audit.audit import AUDITS, Audit, Extremes, audit_frames
from fetal_tf.data.audit.checks import check_head_size, check_image, check_pixel_size
from fetal_tf.data.audit.frame import AuditedFrame, Check, Finding
from fetal_tf.data.audit.shelf import check_turned
from fetal_tf.data.readers.frames import visible_files
from fetal_tf.data.readers.landmark_labels import judge
from fetal_tf.data.readers.landmark_table import IMAGE_COLUMN, read_landmark_rows, row_points
from fetal_tf.data.readers.planes import IMAGE_FOLDER, PIXEL_SIZE_COLUMN, SUBJECT_COLUMN, TABLE_NAME
from fetal_tf.edge.errors import DataError
from fetal_tf.edge.geometry.landmarks import AXES, landmark_ellipse
from fetal_tf.edge.io.tables import TableRow

_EXTREMES: Extremes = {"hc_mm": "highest", "axis_ratio": "lowest", "mm_per_pixel": "highest"}
Source = tuple[Sequence[TableRow], Path | None]  # rows and image of one frame


@AUDITS.register("planes")
def audit_planes(root: Path, *, exclude: Sequence[str] = ()) -> Audit:
    """Check every image and row below `root`; faults are findings and stop nothing.

    That ends 1 and 2 stand in another order is no finding: the reader puts them in order.

    Args:
        root: the folder that holds `images/` and `Head.csv`.
        exclude: ids of frames to pass over.

    Raises:
        DataError: the folder, the CSV or a column is missing, or a line names no image.
    """
    root = Path(root)
    folder = root / IMAGE_FOLDER
    if not folder.is_dir():
        raise DataError(f"data.root: {root} holds no {IMAGE_FOLDER}/ beside {TABLE_NAME}.")
    table = read_landmark_rows(root / TABLE_NAME, (SUBJECT_COLUMN, PIXEL_SIZE_COLUMN))
    paths = {path.stem: path for path in visible_files(folder)}
    frames = []
    for id in sorted(table.keys() | paths.keys()):
        rows, path = table.get(id, []), paths.get(id)
        name = path.name if path else Path(rows[0].text(IMAGE_COLUMN)).name
        group = rows[0].text(SUBJECT_COLUMN) or None if rows else None
        frame = AuditedFrame(f"{IMAGE_FOLDER}/{name}", id=id, image=path, group=group)
        frames.append((frame, (rows, path)))
    whole = [partial(check_turned, net="hc18", structures={"head": "head"})]
    return audit_frames("planes", root, frames, _CHECKS, _EXTREMES, whole=whole, exclude=exclude)


def _check_row(frame: AuditedFrame, source: Source) -> Iterator[Finding]:
    rows, path = source
    if not rows:
        yield Finding("no_row", f"no row in {TABLE_NAME}: the image is not read")
        return
    row = rows[0]
    if len(rows) > 1:
        lines = ", ".join(str(row.line) for row in rows)
        yield Finding("two_rows", f"{TABLE_NAME}, lines {lines}: one row is expected", wrong=True)
    name = row.text(IMAGE_COLUMN)
    if path is None:
        yield Finding("no_image", f"{row.place}: no file {IMAGE_FOLDER}/{name}", wrong=True)
    elif path.name != name:
        sentence = f"{row.place}: no file {name}, there is {path.name}"
        yield Finding("file_name", sentence, wrong=True)
    if not row.text(SUBJECT_COLUMN):
        yield Finding("no_subject", f"{row.place}: no {SUBJECT_COLUMN}", wrong=True)
    yield from check_pixel_size(frame, row, PIXEL_SIZE_COLUMN)


def _check_ends(frame: AuditedFrame, source: Source) -> Iterator[Finding]:
    """Whether the ends are the axes of a head."""
    rows, _ = source
    if not rows:
        return
    points = frame.axes = row_points(rows[0])
    if frame.look is None:
        return
    verdict = judge(points, frame.look.shape)
    for code, sentence in verdict.reasons:
        if code != "ends_swapped":
            yield Finding(code, f"{rows[0].place}: {sentence}", verdict.verdict == "wrong")
    if verdict.verdict == "wrong":
        return
    head = landmark_ellipse(points)
    frame.ellipses, frame.perimeter_px = {"head": head}, head.perimeter
    frame.areas_percent["head"] = 100 * head.area / float(np.prod(frame.look.shape))
    px = {name: float(np.linalg.norm(np.diff(points[ends], axis=0))) for name, ends in AXES.items()}
    frame.measures["axis_ratio"] = min(px.values()) / max(px.values())
    if "mm_per_pixel" in frame.measures:
        for name, length_px in px.items():
            frame.measures[f"{name}_mm"] = length_px * frame.measures["mm_per_pixel"]


_CHECKS: tuple[Check[Source], ...] = (
    ("image", check_image),
    ("pixel_size", _check_row),
    ("ends", _check_ends),
    ("head_size", check_head_size),
)
