"""Checks that several datasets share: of the image, of a mask's pieces, of pixel and head sizes."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import cv2
import numpy as np

from fetal_tf.data.audit.frame import AuditedFrame, Finding
from fetal_tf.data.fingerprint import look_at
from fetal_tf.edge.io.pixel_sizes import MM_PER_PIXEL_RANGE, USUAL_MM_PER_PIXEL
from fetal_tf.edge.io.tables import TableRow

# From the tenth week to term, with room: HC18 has 44 to 346 mm, the second centre 83 to 348.
_USUAL_HC_MM = (40.0, 400.0)
_FEW_HEADS = 3  # say nothing about a whole table
# Of the median of its group: HC18's examinations and the second centre's subjects keep within 12 %.
_MAX_SHARE_IN_GROUP = 0.2


def check_image(frame: AuditedFrame, files: object) -> Iterator[Finding]:
    """Decode `frame.image`; it becomes None where it cannot be decoded."""
    path, frame.image = frame.image, None
    if path is not None:
        frame.look = look_at(path)
        frame.image = path
        darkest, brightest = frame.look.gray_range
        if darkest == brightest:
            yield Finding("blank_image", f"{path}: every pixel is {darkest}")
        for note in frame.look.notes:
            wrong = note.code == "pixels_made_square"  # no reader takes it
            yield Finding(note.code, f"{path}: {note.message}", wrong)


def check_pieces(path: Path, inside: np.ndarray) -> Iterator[Finding]:
    """Note a mask, bool (height, width), that is not in one piece."""
    pieces, area_px = stray_pieces(inside)
    if pieces:
        yield Finding("fragments", f"{path}: {pieces} further pieces, {area_px} px together")


def check_pixel_size(frame: AuditedFrame, row: TableRow, column: str) -> Iterator[Finding]:
    """Keep the pixel size under `column` as `mm_per_pixel`, unless it is impossible.

    Raises:
        DataError: it is no positive number.
    """
    mm_per_pixel = row.number(column, positive=True)
    least, most = MM_PER_PIXEL_RANGE
    if not least <= mm_per_pixel <= most:
        expected = f"from {least:g} to {most:g} mm are possible"
        yield Finding("pixel_size", f"{row.place}: {mm_per_pixel:g}, {expected}", wrong=True)
        return
    frame.measures["mm_per_pixel"] = mm_per_pixel
    low, high = USUAL_MM_PER_PIXEL
    if not low <= mm_per_pixel <= high:
        sentence = f"{row.place}: {mm_per_pixel:g} mm per pixel, {low:g} to {high:g} are usual"
        yield Finding("unusual_pixel_size", sentence)


def check_head_size(frame: AuditedFrame, files: object) -> Iterator[Finding]:
    """Keep `hc_mm` where perimeter and pixel size are known; note one that no fetus has."""
    if frame.perimeter_px is None or "mm_per_pixel" not in frame.measures:
        return
    hc_mm = frame.measures["hc_mm"] = frame.perimeter_px * frame.measures["mm_per_pixel"]
    low, high = _USUAL_HC_MM
    if not low <= hc_mm <= high:
        yield Finding(
            "implausible_head_size",
            f"outline and pixel size make a head circumference of {hc_mm:.0f} mm, {low:g} to "
            f"{high:g} are usual",
        )


def check_within_groups(frames: Sequence[AuditedFrame]) -> None:
    """Add a finding to each frame whose `hc_mm` differs from the median of its group by > 20 %."""
    by_group: dict[str, list[AuditedFrame]] = defaultdict(list)
    for frame in frames:
        if frame.group is not None and "hc_mm" in frame.measures:
            by_group[frame.group].append(frame)
    for group, members in by_group.items():
        usual_mm = median(frame.measures["hc_mm"] for frame in members)
        for frame in members:
            hc_mm = frame.measures["hc_mm"]
            if abs(hc_mm / usual_mm - 1) > _MAX_SHARE_IN_GROUP:
                sentence = (
                    f"head circumference {hc_mm:.0f} mm, the median of the {len(members)} frames "
                    f"of group {group} is {usual_mm:.0f} mm"
                )
                frame.findings += (Finding("head_size_in_group", sentence),)


def check_units(frames: Sequence[AuditedFrame]) -> None:
    """Add a finding to every frame where all heads are as large as if centimetres were mm."""
    measured = [frame for frame in frames if "hc_mm" in frame.measures]
    if len(measured) < _FEW_HEADS:
        return
    usual_mm = median(frame.measures["hc_mm"] for frame in measured)
    low, high = _USUAL_HC_MM
    if usual_mm < low and all(frame.measures["hc_mm"] <= high / 10 for frame in measured):
        sentence = (
            f"half of the {len(measured)} heads are below {usual_mm:.1f} mm around, {low:g} to "
            f"{high:g} mm are usual: are the pixel sizes in cm? Multiply the column by 10"
        )
        for frame in measured:
            frame.findings += (Finding("sizes_in_cm", sentence, wrong=True),)


def borders(inside: np.ndarray) -> list[np.ndarray]:
    """Outlines of a mask, bool (height, width), to be drawn: each float (N, 2) as (x, y) px."""
    found, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_TC89_L1)
    return [outline[:, 0].astype(np.float64) for outline in found]


def stray_pieces(inside: np.ndarray) -> tuple[int, int]:
    """Count the pieces of a mask beside the largest, and their pixels together.

    Pieces at the edge of the image do not count: a structure that it cuts off may come in several.

    Args:
        inside: bool (height, width).
    """
    height, width = inside.shape
    _, _, boxes, _ = cv2.connectedComponentsWithStats(inside.astype(np.uint8), connectivity=8)
    pieces = sorted(boxes[1:], key=lambda box: -box[cv2.CC_STAT_AREA])[1:]
    inner = [
        int(area)
        for left, top, wide, high, area in pieces
        if left > 0 and top > 0 and left + wide < width and top + high < height
    ]
    return len(inner), sum(inner)
