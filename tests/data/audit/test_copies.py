"""Copies among frames: identical files, and images that are nearly the same."""

import numpy as np

from fetal_tf.data.audit.copies import find_copies
from fetal_tf.data.audit.frame import AuditedFrame
from fetal_tf.data.fingerprint import look_at
from fetal_tf.data.phantom.hc18 import hc18_frame
from fetal_tf.edge.geometry.ellipse import Ellipse
from fetal_tf.edge.io.images import write_png


def _frame(folder, name, image, **kwargs):
    write_png(folder / name, image)
    return AuditedFrame(name, image=folder / name, look=look_at(folder / name), **kwargs)


def test_near_copies_are_findings_across_groups_and_splits_only(tmp_path):
    image, other = hc18_frame(3, 0, 0)[0], hc18_frame(3, 1, 0)[0]
    dim = (image * 0.8).astype(np.uint8)
    frames = [
        _frame(tmp_path, "1.png", image, group="a"),
        _frame(tmp_path, "2.png", dim, group="a"),
        _frame(tmp_path, "3.png", other, group="b"),
        AuditedFrame("4.png", group="b"),
    ]
    exact, (near,) = find_copies(frames)
    assert [frame.findings for frame in frames] == [()] * 4
    assert exact == []
    assert (near.files, near.across_groups, near.across_splits) == (
        ("1.png", "2.png"),
        False,
        False,
    )
    darker = (image * 0.7).astype(np.uint8)
    frames.append(_frame(tmp_path, "5.png", darker, group="c"))
    _, (near,) = find_copies(frames)
    assert near.across_groups
    assert [frame.codes() for frame in frames] == [
        ["near_duplicate"], ["near_duplicate"], [], [], ["near_duplicate"],
    ]  # fmt: skip
    assert (
        frames[0]
        .findings[0]
        .sentence.startswith("nearly identical with 5.png, of another group (c) (")
    )
    split = [_frame(tmp_path, f"{s}.png", i, traits={"split": s})
             for s, i in (("train", image), ("val", dim))]  # fmt: skip
    _, (near,) = find_copies(split)
    assert [frame.verdict for frame in split] == ["suspect", "suspect"]
    assert near.across_splits and near.across_groups is None
    assert near.as_record() == {"files": ["train.png", "val.png"], "across_splits": True}


def test_identical_files_are_told_with_their_other_annotation(tmp_path):
    image, head = hc18_frame(3, 0, 0)[0], Ellipse(400, 270, 150, 120, 10)
    moved = head.stretched(1, 1, 3, 0)
    frames = [
        _frame(tmp_path, "1.png", image, group="a", ellipses={"head": head}),
        _frame(tmp_path, "2.png", image, group="a", ellipses={"head": head}),
        _frame(tmp_path, "3.png", image, group="b", ellipses={"head": moved}),
    ]
    (exact,), near = find_copies(frames)
    assert near == []
    assert [finding.sentence for finding in frames[0].findings] == [
        "byte-identical with 2.png",
        "byte-identical with 3.png, of another group (b), annotated differently (up to 3.0 px)",
    ]
    assert exact.as_record() == {
        "files": ["1.png", "2.png", "3.png"], "across_splits": False, "across_groups": True,
    }  # fmt: skip
