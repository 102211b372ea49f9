"""Pixel sizes and head sizes that cannot both be true, in whichever dataset of heads."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from fetal_tf.data.audit.frame import AuditedFrame, Finding, Notes
from fetal_tf.data.readers.tables import TableRow
from fetal_tf.edge.io.pixel_sizes import MM_PER_PIXEL_RANGE

# HC18's 787 training images and a second centre's 110 have 0.049 to 0.393 mm.
_USUAL_MM_PER_PIXEL = (0.02, 0.5)
# From the tenth week to term, with room: HC18 has 44 to 346 mm, the second centre 83 to 348.
_USUAL_HC_MM = (40.0, 400.0)
# Of the median of its group: HC18's examinations and the second centre's subjects keep within 12 %.
_MAX_SHARE_IN_GROUP = 0.2


def read_pixel_size(notes: Notes, row: TableRow, column: str) -> float | None:
    """The pixel size under `column`, mm; None where it is none or impossible, which is noted."""
    with notes.noting("pixel_size"):
        mm_per_pixel = row.positive(column)
        least, most = MM_PER_PIXEL_RANGE
        if not least <= mm_per_pixel <= most:
            expected = f"from {least:g} to {most:g} mm are possible"
            notes.note("pixel_size", f"{row.place}: {mm_per_pixel:g}, {expected}", wrong=True)
            return None
        low, high = _USUAL_MM_PER_PIXEL
        if not low <= mm_per_pixel <= high:
            notes.note(
                "unusual_pixel_size",
                f"{row.place}: {mm_per_pixel:g} mm per pixel, {low:g} to {high:g} are usual",
            )
        return mm_per_pixel
    return None


def check_head_size(notes: Notes, hc_mm: float) -> None:
    """Note a head that is no fetus', by its outline and pixel size."""
    low, high = _USUAL_HC_MM
    if not low <= hc_mm <= high:
        notes.note(
            "implausible_head_size",
            f"outline and pixel size make a head circumference of {hc_mm:.0f} mm, {low:g} to "
            f"{high:g} are usual",
        )


def check_within_groups(frames: Sequence[AuditedFrame]) -> list[AuditedFrame]:
    """The frames, a finding added to those whose `hc_mm` is unlike their group's others."""
    by_group: dict[str | None, list[float]] = defaultdict(list)
    for frame in frames:
        if "hc_mm" in frame.measures:
            by_group[frame.group].append(frame.measures["hc_mm"])
    return [_checked(frame, by_group[frame.group]) for frame in frames]


def _checked(frame: AuditedFrame, sizes_mm: Sequence[float]) -> AuditedFrame:
    hc_mm = frame.measures.get("hc_mm")
    if hc_mm is None or frame.group is None or len(sizes_mm) < 2:
        return frame
    usual_mm = median(sizes_mm)
    if abs(hc_mm / usual_mm - 1) <= _MAX_SHARE_IN_GROUP:
        return frame
    sentence = (
        f"head circumference {hc_mm:.0f} mm, the median of the {len(sizes_mm)} frames of "
        f"group {frame.group} is {usual_mm:.0f} mm"
    )
    finding = Finding("head_size_in_group", sentence, wrong=False)
    return replace(frame, findings=(*frame.findings, finding))
