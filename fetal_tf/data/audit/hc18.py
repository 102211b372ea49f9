"""HC18 under audit: every image and annotation decoded, and both held against the CSV."""

from pathlib import Path

import numpy as np
from tqdm import tqdm

from fetal_tf.data.audit.audit import Audit, Extremes, audit_images
from fetal_tf.data.audit.frame import AuditedFrame, Notes, borders, stray_pieces
from fetal_tf.data.audit.head_size import check_head_size, check_within_groups, read_pixel_size
from fetal_tf.data.audit.registry import AUDITS
from fetal_tf.data.readers.ellipse_annotation import caliper_ellipse
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
from fetal_tf.edge.geometry.contours import sub_pixel_contour
from fetal_tf.edge.geometry.ellipse import Ellipse
from fetal_tf.edge.io.images import read_mask

# Of HC18's 787 training images no HC differs from its annotation's by more than 0.14 %. An outline
# that was filled without a line, read as one with a line, makes 1.4 % in the smallest head.
_CLEAR_HC_PERCENT = 1.5
_MAX_HC_PERCENT = 5.0
# Root mean square of what a drawing's border leaves its ellipse by, in per cent of the mean radius:
# 0.09 to 0.36 in HC18's annotations.
_CLEAR_RESIDUAL_PERCENT = 1.5
# Short over long axis: HC18's ellipses have 0.66 to 0.96.
_USUAL_RATIO = (0.6, 0.98)
_EXTREMES: Extremes = {
    "annotation_residual_percent": "highest",
    "hc_difference_percent": "highest",
    "hc_mm": "lowest",
}


@AUDITS.register("hc18")
def audit_hc18(root: Path) -> Audit:
    """Look at every image, annotation and row below `root`; what is broken stops nothing.

    Raises:
        DataError: the folder, the CSV or a column is missing, or there is no image.
    """
    root = Path(root)
    files = list_hc18(root)
    ids = tqdm(sorted(files.ids), "audit hc18", unit="frame", disable=None, leave=False)
    frames = [_Frame(root, files, id).audited() for id in ids]
    return audit_images(check_within_groups(frames), _EXTREMES)


class _Frame(Notes):
    """One frame, looked at check by check."""

    def __init__(self, root: Path, files: HC18Files, id: str):
        super().__init__(root)
        self._files, self._id = files, id
        self._measures: dict[str, float] = {}
        self._areas: dict[str, float] = {}
        self._outlines: dict[str, list[np.ndarray]] = {}
        self._path = self._image_path()
        self._look = self.look(self._path) if self._path else None
        self._ellipse = self._annotated()
        self._check_row()

    def audited(self) -> AuditedFrame:
        path = self._path or self._files.folder / f"{self._id}.png"
        return AuditedFrame(
            path.relative_to(self._root).as_posix(),
            tuple(self.findings),
            measures=self._measures,
            image=self._path if self._look else None,
            look=self._look,
            group=group_of(self._id),
            areas_percent=self._areas,
            ellipses={"annotation": self._ellipse} if self._ellipse else {},
            outlines=self._outlines,
        )

    def _image_path(self) -> Path | None:
        folder, found = self._files.folder, self._files.images.get(self._id, [])
        with self.noting("two_images"):
            if only_path(found, folder, self._id) is None:
                self.note("no_image", f"{folder / self._id}.png: missing", wrong=True)
        return found[0] if found else None

    def _annotated(self) -> Ellipse | None:
        """The annotation's ellipse, None where it cannot be used, which is noted."""
        folder, name = self._files.folder, f"{self._id}{ANNOTATION_ENDING}"
        path = None
        with self.noting("two_annotations"):
            path = only_path(self._files.annotations.get(self._id, []), folder, name)
            if path is None:
                self.note("no_annotation", f"{folder / name}.png: missing annotation", wrong=True)
        if path is None:
            return None
        with self.noting("annotation"):
            drawing = read_mask(path)
            if not drawing.any():
                self.note("empty_annotation", f"{path}: nothing is drawn", wrong=True)
                return None
            return self._drawn(path, drawing)
        return None

    def _drawn(self, path: Path, drawing: np.ndarray) -> Ellipse | None:
        """The ellipse of what is drawn, uint8 (height, width)."""
        if self._look and drawing.shape != self._look.shape:
            sizes = ["x".join(map(str, reversed(s))) for s in (drawing.shape, self._look.shape)]
            sentence = f"{path}: {sizes[0]} (width x height), the image is {sizes[1]}"
            self.note("annotation_size", sentence, wrong=True)
        level = drawing.astype(np.float32) / drawing.max()
        inside = level >= 0.5
        self._outlines["annotation"] = borders(inside)
        pieces, area_px = stray_pieces(inside)
        if pieces:
            self.note("fragments", f"{path}: {pieces} further pieces, {area_px} px together")
        try:
            ellipse = caliper_ellipse(drawing)
        except ValueError as error:
            self.note("not_an_ellipse", f"{path}: {error}", wrong=True)
            return None
        # Both borders of a line lie at one distance; what differs from it is no ellipse.
        distances = np.abs(ellipse.distances(sub_pixel_contour(level)))
        spread = float(np.sqrt(np.mean((distances - np.median(distances)) ** 2)))
        residual = self._measures["annotation_residual_percent"] = (
            100 * spread / ellipse.mean_radius
        )
        if residual > _CLEAR_RESIDUAL_PERCENT:
            self.note(
                "ragged_annotation",
                f"{path}: its border leaves the ellipse by {residual:.1f} % of the radius, "
                f"less than {_CLEAR_RESIDUAL_PERCENT:g} is usual",
            )
        self._areas["head"] = 100 * ellipse.area / drawing.size
        ratio = self._measures["axis_ratio"] = ellipse.semi_minor / ellipse.semi_major
        low, high = _USUAL_RATIO
        if not low <= ratio <= high:
            sentence = f"{path}: short over long axis is {ratio:.2f}, {low:g} to {high:g} are usual"
            self.note("unusual_ratio", sentence)
        return ellipse

    def _check_row(self) -> None:
        """The CSV's numbers, against each other and against the annotation."""
        rows, table = self._files.rows.get(self._id, []), self._files.table
        if not rows:
            self.note("no_row", f"no row in {table.name}, so no pixel size", wrong=True)
            return
        if len(rows) > 1:
            lines = ", ".join(str(row.line) for row in rows)
            self.note("two_rows", f"{table.name}, lines {lines}: one row is expected", wrong=True)
        row = rows[0]
        filename = row.text(FILENAME_COLUMN)
        if self._path and self._path.name != filename:
            sentence = f"{row.place}: no file {filename}, there is {self._path.name}"
            self.note("file_name", sentence, wrong=True)
        mm_per_pixel = read_pixel_size(self, row, PIXEL_SIZE_COLUMN)
        if mm_per_pixel is None:
            return
        self._measures["mm_per_pixel"] = mm_per_pixel
        if self._ellipse is None:
            return
        hc_mm = self._measures["hc_mm"] = self._ellipse.perimeter * mm_per_pixel
        check_head_size(self, hc_mm)
        if row.text(HC_COLUMN):
            with self.noting("hc"):
                self._compare(row.place, hc_mm, row.positive(HC_COLUMN))

    def _compare(self, place: str, drawn_mm: float, table_mm: float) -> None:
        """Hold the annotation's perimeter against the CSV's head circumference."""
        percent = 100 * (drawn_mm / table_mm - 1)
        self._measures["hc_difference_percent"] = abs(percent)
        if abs(percent) > _CLEAR_HC_PERCENT:
            self.note(
                "hc_disagrees",
                f"{place}: HC {table_mm:.1f} mm, but the annotation's perimeter times the pixel "
                f"size is {drawn_mm:.1f} mm ({percent:+.1f} %)",
                wrong=abs(percent) > _MAX_HC_PERCENT,
            )
