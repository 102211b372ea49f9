"""Checks that datasets share: pieces of masks, pixel sizes and head sizes."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from fetal_tf.data.audit.checks import (
    check_head_size,
    check_pixel_size,
    check_within_groups,
    stray_pieces,
)
from fetal_tf.data.audit.frame import AuditedFrame, check_frame
from fetal_tf.edge.io.tables import TableRow


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
    check_within_groups(frames)
    assert [f.file for f in frames if f.findings] == ["a2.png", "b0.png", "b1.png"]
    assert frames[2].findings[0].sentence == (
        "head circumference 260 mm, the median of the 4 frames of group a is 202 mm"
    )
    assert frames[2].verdict == "suspect"


@pytest.mark.parametrize(("hc_mm", "odd"), [(44, False), (346, False), (30, True), (450, True)])
def test_a_head_no_fetus_has_is_noted(hc_mm, odd):
    frame = AuditedFrame("a.png", measures={"mm_per_pixel": 0.5}, perimeter_px=2 * hc_mm)
    check_frame(frame, None, [("head_size", check_head_size)], Path("."))
    assert frame.measures["hc_mm"] == hc_mm
    assert bool(frame.findings) == odd


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
    frame = AuditedFrame("a.png")
    row = TableRow(Path("table.csv"), 7, {"size": text}, overfull=False)
    check = partial(check_pixel_size, column="size")
    check_frame(frame, row, [("pixel_size", check)], Path("."))
    assert frame.measures.get("mm_per_pixel") == value
    assert frame.codes() == codes
    assert all(finding.sentence.startswith("table.csv, line 7") for finding in frame.findings)


def test_pieces_beside_the_largest_count_unless_the_edge_cuts_them():
    inside = np.zeros((50, 60), bool)
    assert stray_pieces(inside) == (0, 0)
    inside[10:40, 10:40] = True
    assert stray_pieces(inside) == (0, 0)
    inside[5, 50:53] = inside[45, 45] = True
    assert stray_pieces(inside) == (2, 4)
    inside[45, 45] = False
    inside[20:30, 58:] = inside[0, 5] = inside[49, 5] = inside[30, 0] = True
    assert stray_pieces(inside) == (1, 3)
    inside[4, 49] = inside[3, 48] = True  # a corner joins
    assert stray_pieces(inside) == (1, 5)
