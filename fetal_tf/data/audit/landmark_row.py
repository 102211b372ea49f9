"""One row of a landmark table under audit: by its geometry, and by an annotated ellipse."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fetal_tf.data.audit.frame import AuditedFrame, Finding, Notes
from fetal_tf.data.fingerprint import ImageLook, look_at
from fetal_tf.data.readers.ellipse_annotation import load_ellipse
from fetal_tf.data.readers.hc18_files import ANNOTATION_ENDING, group_of
from fetal_tf.data.readers.landmark_labels import FAR_SHARE, LabelVerdict, judge, judge_against
from fetal_tf.data.readers.landmark_table import IMAGE_COLUMN, row_points
from fetal_tf.data.readers.tables import TableRow
from fetal_tf.edge.errors import DataError
from fetal_tf.edge.geometry.ellipse import Ellipse
from fetal_tf.edge.geometry.landmarks import LANDMARKS

# (height, width) that is assumed where the image is not there: almost all of HC18's have it.
USUAL_SHAPE = (540, 800)


@dataclass(frozen=True)
class AuditedRow:
    """A row, what was found, and what it becomes.

    Attributes:
        row: the table's.
        frame: its verdict, with what a picture shows.
        given: float64 [4, 2], the ends as the row has them; NaN where it cannot be read.
        repaired: the same points under the right names in canonical order; None where wrong.
    """

    row: TableRow
    frame: AuditedFrame
    given: np.ndarray
    repaired: np.ndarray | None

    def refused(self, code: str, sentence: str) -> "AuditedRow":
        """The row with a further finding that makes it wrong."""
        findings = (*self.frame.findings, Finding(code, sentence, wrong=True))
        return replace(self, frame=replace(self.frame, findings=findings), repaired=None)


def audit_row(row: TableRow, images: Path) -> AuditedRow:
    """Judge one row.

    Args:
        row: of the table.
        images: HC18's image folder, which need not be there.
    """
    name = row.text(IMAGE_COLUMN)
    notes = Notes(images)
    if not name:
        notes.note("no_name", f"{row.place}: no {IMAGE_COLUMN}", wrong=True)
    image = images / Path(name).name
    look, trait = _seen(image) if name else (None, "no image")
    ellipse = _annotated(image) if name else None
    given = np.full((len(LANDMARKS), 2), np.nan)
    verdict = None
    with notes.noting("unreadable"):
        given = row_points(row)
        shape = look.shape if look else USUAL_SHAPE
        verdict = judge(given, shape)
        for code, sentence in verdict.reasons:
            notes.note(code, sentence, wrong=verdict.verdict == "wrong")
        measures = _measures(given)
        if ellipse:
            share = judge_against(given, ellipse)
            measures["ellipse_distance_percent"] = 100 * share
            _check_against(notes, verdict, ellipse, share)
    frame = AuditedFrame(
        name or row.place,
        tuple(notes.findings),
        traits={"image": trait, "judged_by": "geometry and ellipse" if ellipse else "geometry"},
        measures=measures if verdict else {},
        doubt="repairable",
        image=image if look else None,
        look=look,
        group=group_of(Path(name).stem) if name else None,
        ellipses={"annotation": ellipse} if ellipse else {},
        axes=given,
    )
    usable = verdict and frame.verdict != "wrong"
    return AuditedRow(row, frame, given, verdict.repaired if verdict and usable else None)


def _seen(image: Path) -> tuple[ImageLook | None, str]:
    """What the image looks like, and whether it is there."""
    if not image.is_file():
        return None, "no image"
    try:
        return look_at(image), "there"
    except DataError:
        return None, "unreadable"


def _annotated(image: Path) -> Ellipse | None:
    """HC18's ellipse of an image, None where it has none that can be read: its own audit tells."""
    path = image.with_name(f"{image.stem}{ANNOTATION_ENDING}.png")
    try:
        return load_ellipse(path)[0] if path.is_file() else None
    except DataError:
        return None


def _measures(points: np.ndarray) -> dict[str, float]:
    lengths_px = np.linalg.norm(points[1::2] - points[::2], axis=1)
    return {"long_axis_px": float(lengths_px.max()), "short_axis_px": float(lengths_px.min())}


def _check_against(notes: Notes, verdict: LabelVerdict, ellipse: Ellipse, share: float) -> None:
    """Hold a row against the ellipse; `share` is its distance, see `judge_against`."""
    if share >= FAR_SHARE:
        notes.note(
            "far_from_ellipse",
            f"its ends lie {100 * share:.0f} % of the head's size from those of the annotated "
            f"ellipse, less than {100 * FAR_SHARE:.0f} is expected",
            wrong=True,
        )
    elif verdict.repaired is not None:
        along = verdict.repaired[1] - verdict.repaired[0]
        of_long, of_short = (
            abs(along @ (ends[1] - ends[0])) / np.linalg.norm(ends[1] - ends[0])
            for ends in (ellipse.major_endpoints, ellipse.minor_endpoints)
        )
        if of_short > of_long:
            notes.note(
                "across_ellipse",
                "its longer axis lies along the short axis of the annotated ellipse",
                wrong=True,
            )
