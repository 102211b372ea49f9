"""Pixel sizes and head sizes that contradict each other."""

from pathlib import Path

import pytest

from fetal_tf.data.audit.frame import AuditedFrame, Notes
from fetal_tf.data.audit.head_size import check_head_size, check_within_groups, read_pixel_size
from fetal_tf.data.readers.tables import TableRow


def _frames(group, *sizes_mm):
    return [AuditedFrame(f"{group}{i}.png", measures={"hc_mm": size}, group=group)
            for i, size in enumerate(sizes_mm)]  # fmt: skip


def test_the_odd_one_of_a_group_is_suspect_and_of_two_both_are():
    frames = [
        *_frames("a", 200, 205, 260, 198),
        *_frames("b", 100, 170),
        *_frames("c", 300),
        AuditedFrame("d.png", group="a"),
        *_frames(None, 50, 300),
    ]
    checked = check_within_groups(frames)
    assert [frame.file for frame in checked] == [frame.file for frame in frames]
    assert [f.file for f in checked if f.findings] == ["a2.png", "b0.png", "b1.png"]
    assert checked[2].findings[0].sentence == (
        "head circumference 260 mm, the median of the 4 frames of group a is 202 mm"
    )
    assert checked[2].verdict == "suspect"


@pytest.mark.parametrize(("hc_mm", "odd"), [(44, False), (346, False), (30, True), (450, True)])
def test_a_head_no_fetus_has_is_noted(hc_mm, odd):
    notes = Notes(Path("."))
    check_head_size(notes, hc_mm)
    assert bool(notes.findings) == odd


@pytest.mark.parametrize(
    ("text", "value", "codes"),
    [
        ("0.13", 0.13, []),
        ("0.9", 0.9, ["unusual_pixel_size"]),
        ("0.01", 0.01, ["unusual_pixel_size"]),
        ("11", None, ["pixel_size"]),
        ("nan", None, ["pixel_size"]),
        ("", None, ["pixel_size"]),
    ],
)
def test_pixel_sizes_are_read_and_judged(text, value, codes):
    notes = Notes(Path("."))
    row = TableRow(Path("table.csv"), 7, {"size": text}, overfull=False)
    assert read_pixel_size(notes, row, "size") == value
    assert [finding.code for finding in notes.findings] == codes
    assert all(finding.sentence.startswith("table.csv, line 7") for finding in notes.findings)
