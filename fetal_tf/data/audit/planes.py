"""The second centre's planes under audit: images, experts' ends, and pixel sizes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from fetal_tf.data.audit.audit import Audit, Extremes, audit_images
from fetal_tf.data.audit.frame import AuditedFrame, Notes
from fetal_tf.data.audit.head_size import check_head_size, check_within_groups, read_pixel_size
from fetal_tf.data.audit.registry import AUDITS
from fetal_tf.data.readers.landmark_labels import judge
from fetal_tf.data.readers.landmark_table import IMAGE_COLUMN, read_landmark_rows, row_points
from fetal_tf.data.readers.planes import IMAGE_FOLDER, PIXEL_SIZE_COLUMN, SUBJECT_COLUMN, TABLE_NAME
from fetal_tf.data.readers.tables import TableRow
from fetal_tf.edge.errors import DataError
from fetal_tf.edge.geometry.ellipse import Ellipse
from fetal_tf.edge.geometry.landmarks import AXES, landmark_ellipse
from fetal_tf.edge.io.images import IMAGE_SUFFIXES

_EXTREMES: Extremes = {"hc_mm": "highest", "axis_ratio": "lowest", "mm_per_pixel": "highest"}


@AUDITS.register("planes")
def audit_planes(root: Path) -> Audit:
    """Look at every image and row below `root`; what is broken is a finding, and stops nothing.

    That ends 1 and 2 stand in another order is no finding: the reader puts them in order.

    Raises:
        DataError: the folder, the CSV or a column is missing, or a line names no image.
    """
    root = Path(root)
    folder = root / IMAGE_FOLDER
    if not folder.is_dir():
        raise DataError(f"data.root: {root} holds no {IMAGE_FOLDER}/ beside {TABLE_NAME}.")
    rows = read_landmark_rows(root / TABLE_NAME, (SUBJECT_COLUMN, PIXEL_SIZE_COLUMN))
    paths = _list_images(folder)
    ids = sorted(rows.keys() | paths.keys())
    bar = tqdm(ids, "audit planes", unit="frame", disable=None, leave=False)
    frames = [_Frame(root, rows.get(id, []), paths.get(id)).audited() for id in bar]
    return audit_images(check_within_groups(frames), _EXTREMES)


class _Frame(Notes):
    """One frame, looked at check by check; a row or an image is there."""

    def __init__(self, root: Path, rows: Sequence[TableRow], path: Path | None):
        super().__init__(root)
        self._rows, self._path = rows, path
        self._measures: dict[str, float] = {}
        self._areas: dict[str, float] = {}
        self._points: np.ndarray | None = None
        self._head: Ellipse | None = None
        self._look = self.look(path) if path else None
        if rows:
            self._check_rows()
        else:
            self.note("no_row", f"no row in {TABLE_NAME}: the image is not read")

    def audited(self) -> AuditedFrame:
        path = self._path
        if path is None:
            path = self._root / IMAGE_FOLDER / Path(self._rows[0].text(IMAGE_COLUMN)).name
        return AuditedFrame(
            path.relative_to(self._root).as_posix(),
            tuple(self.findings),
            measures=self._measures,
            image=self._path if self._look else None,
            look=self._look,
            group=self._rows[0].text(SUBJECT_COLUMN) or None if self._rows else None,
            areas_percent=self._areas,
            ellipses={"head": self._head} if self._head else {},
            axes=self._points,
        )

    def _check_rows(self) -> None:
        row = self._rows[0]
        if len(self._rows) > 1:
            lines = ", ".join(str(row.line) for row in self._rows)
            self.note("two_rows", f"{TABLE_NAME}, lines {lines}: one row is expected", wrong=True)
        name = row.text(IMAGE_COLUMN)
        if self._path is None:
            self.note("no_image", f"{row.place}: no file {IMAGE_FOLDER}/{name}", wrong=True)
        elif self._path.name != name:
            sentence = f"{row.place}: no file {name}, there is {self._path.name}"
            self.note("file_name", sentence, wrong=True)
        if not row.text(SUBJECT_COLUMN):
            self.note("no_subject", f"{row.place}: no {SUBJECT_COLUMN}", wrong=True)
        mm_per_pixel = read_pixel_size(self, row, PIXEL_SIZE_COLUMN)
        if mm_per_pixel is not None:
            self._measures["mm_per_pixel"] = mm_per_pixel
        with self.noting("ends"):
            self._points = row_points(row)
            self._check_ends(row, self._points, mm_per_pixel)

    def _check_ends(self, row: TableRow, points: np.ndarray, mm_per_pixel: float | None) -> None:
        """Whether the ends are the axes of a head, and of a fetus' by the pixel size."""
        if self._look is None:
            return
        verdict = judge(points, self._look.shape)
        for code, sentence in verdict.reasons:
            if code != "ends_swapped":
                self.note(code, f"{row.place}: {sentence}", wrong=verdict.verdict == "wrong")
        if verdict.verdict == "wrong":
            return
        head = self._head = landmark_ellipse(points)
        height, width = self._look.shape
        self._areas["head"] = 100 * head.area / (height * width)
        ofd_px, bpd_px = (float(np.linalg.norm(np.diff(points[a], axis=0))) for a in AXES.values())
        self._measures["axis_ratio"] = min(ofd_px, bpd_px) / max(ofd_px, bpd_px)
        if mm_per_pixel is not None:
            self._measures["ofd_mm"], self._measures["bpd_mm"] = (
                ofd_px * mm_per_pixel,
                bpd_px * mm_per_pixel,
            )
            hc_mm = self._measures["hc_mm"] = head.perimeter * mm_per_pixel
            check_head_size(self, hc_mm)


def _list_images(folder: Path) -> Mapping[str, Path]:
    """Images by id."""
    return {
        path.stem: path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    }
