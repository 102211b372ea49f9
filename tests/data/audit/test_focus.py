"""The audit of FOCUS: what it says of good frames, of broken ones, and that it goes on."""

import hashlib
import shutil

import numpy as np
import pytest

from fetal_tf.data.audit import AUDITS
from fetal_tf.data.audit.audit import VERDICTS, Audit
from fetal_tf.data.audit.focus import audit_focus
from fetal_tf.data.audit.frame import AuditedFrame, Finding
from fetal_tf.data.readers.focus import read_focus
from fetal_tf.data.readers.focus_masks import mask_iou
from fetal_tf.edge.errors import ConfigError, DataError
from fetal_tf.edge.io.images import write_png
from tests.data.readers import focus_faults
from tests.data.readers.focus_folder import KINDS, OUTLINES, SHAPE, filled, write_focus, write_frame

FILES = [f"{f}/images/{n}.png" for f, n in
         [("testing", "001"), ("training", "001"), ("training", "002"), ("training", "003"),
          ("validation", "001")]]  # fmt: skip
BROKEN = "training/images/002.png"


@pytest.fixture
def root(tmp_path):
    return write_focus(tmp_path / "focus")


def _contents(root):
    return {
        path: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_good_frames_are_good_and_the_input_is_left_alone(root):
    before = _contents(root)
    audit = audit_focus(root)
    assert [row["file"] for row in audit.rows()] == FILES
    assert {(row["verdict"], row["reasons"]) for row in audit.rows()} == {("good", "")}
    assert audit.duplicates == []
    assert _contents(root) == before
    assert AUDITS.get("audit", "focus") is audit_focus


def test_statistics_are_those_of_the_files(root):
    record = audit_focus(root).as_record()
    assert record["images"] == 5
    assert record["verdicts"] == {"good": 5, "suspect": 0, "wrong": 0}
    assert record["counts"] == {
        "split": {"train": 3, "test": 1, "val": 1},
        "size": {"160x120": 5},
    }
    iou = mask_iou(filled(OUTLINES["heart"]).astype(bool), OUTLINES["heart"])
    found = record["measures"]["heart_mask_iou"]
    assert found["n"] == 5
    assert found["min"] == pytest.approx(iou, abs=0.01)
    assert found["min"] == found["max"] == pytest.approx(found["mean"])
    measures = {name: values["mean"] for name, values in record["measures"].items()}
    assert measures["ctr_diameter_percent"] == pytest.approx(100 * 15 / 40, abs=1e-6)
    thorax_percent = 100 * np.pi * 50 * 40 / (120 * 160)
    assert measures["thorax_area_percent"] == pytest.approx(thorax_percent)
    assert measures["thorax_rectangle_gap_px"] < 0.15


CODES = {
    "swap": "rectangle_disagrees",
    "shift": "rectangle_disagrees",
    "heart_outside": "place",
    "heart_beyond_frame": "place",
    "no_annotation": "no_annotation",
    "only_one_mask": "no_annotation",
    "only_odd_masks": "mask",
    "only_empty_masks": "mask",
    "no_image": "no_image",
    "two_images": "image",
    "small_mask": "mask",
    "unknown_mask": "mask",
    "nameless_mask": "mask",
    "two_spellings": "mask",
    "no_image_file": "image",
    "one_label": "ellipse",
    "broken_rectangle": "rectangle",
    "shifted_mask": "mask_disagrees",
    "empty_mask": "mask",
}


@pytest.mark.parametrize("fault", CODES)
def test_what_the_reader_refuses_is_wrong_and_all_else_stays_good(root, fault):
    getattr(focus_faults, fault)(root)
    with pytest.raises(DataError):
        for sample in read_focus(root):
            sample.load_mask()
    audit = audit_focus(root)
    others = [frame for frame in audit.frames if "002" not in frame.file]
    (frame,) = (frame for frame in audit.frames if "002" in frame.file)
    assert len(others) == 4 and all(other.verdict == "good" for other in others)
    assert frame.verdict == "wrong"
    assert CODES[fault] in {finding.code for finding in frame.findings if finding.wrong}
    assert not any(str(root) in finding.sentence for finding in frame.findings)


def test_a_mask_that_disagrees_is_named_with_its_iou(root):
    focus_faults.shifted_mask(root)
    row = audit_focus(root).rows()[2]
    assert row["file"] == BROKEN
    assert row["reasons"].startswith(
        "mask_disagrees: training/annfiles_mask/002-cardiac.png: IoU 0."
    )
    assert "at least 0.9 is expected" in row["reasons"]


def test_swapped_axes_are_found_in_the_rectangle_and_in_the_mask(root):
    focus_faults.swap(root)
    frame = audit_focus(root).frames[2]
    assert [finding.code for finding in frame.findings] == ["rectangle_disagrees", "mask_disagrees"]
    assert all("semi-axes look swapped" in finding.sentence for finding in frame.findings)


def test_all_findings_of_a_frame_are_told_in_one_order(root):
    focus_faults.one_label(root)
    focus_faults.broken_rectangle(root)
    focus_faults.unknown_mask(root)
    (root / BROKEN).write_text("no image")
    codes = [finding.code for finding in audit_focus(root).frames[2].findings]
    assert codes == ["image", "mask", "ellipse", "rectangle"]
    reasons = audit_focus(root).rows()[2]["reasons"].split("; ")
    assert [reason.split(":")[0] for reason in reasons] == codes


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_file_is_suspect_where_the_folder_is_there(root, kind):
    for path in (root / "training" / kind).glob("002*"):
        path.unlink()
    audit = audit_focus(root)
    (finding,) = audit.frames[2].findings
    assert (finding.code, finding.wrong) == ("missing_file", False)
    assert f"{kind}/002" in finding.sentence
    shutil.rmtree(root / "training" / kind)
    assert [frame.verdict for frame in audit_focus(root).frames] == ["good"] * 5


def test_copies_are_suspect_and_named_with_their_difference(root):
    moved = {name: outline.stretched(1, 1, 2, 0) for name, outline in OUTLINES.items()}
    write_frame(root / "training", "009", 20)  # as training/001
    write_frame(root / "validation", "009", 20, moved)
    audit = audit_focus(root)
    (group,) = audit.duplicates
    files = ("training/images/001.png", "training/images/009.png", "validation/images/009.png")
    assert group.files == files and group.across_splits
    rows = {row["file"]: row for row in audit.rows()}
    assert all(rows[file]["verdict"] == "suspect" for file in files)
    assert rows[files[0]]["reasons"] == (
        f"duplicate: byte-identical with {files[1]}; duplicate: byte-identical with {files[2]}, "
        "in another official split, annotated differently (up to 2.0 px)"
    )
    assert audit.as_record()["duplicates"] == [{"files": list(files), "across_splits": True}]


def test_copies_within_one_folder_are_not_across_splits(root):
    write_frame(root / "training", "009", 20)
    (group,) = audit_focus(root).duplicates
    assert not group.across_splits


def test_a_rather_low_overlap_a_blank_image_and_an_unusual_ctr_are_suspect(root):
    thick = OUTLINES["heart"].shrunk(-0.2)
    write_png(root / "training/annfiles_mask/001-cardiac.png", filled(thick) * np.uint8(255))
    write_png(root / BROKEN, np.full(SHAPE, 9, np.uint8))
    small = {**OUTLINES, "heart": OUTLINES["heart"].shrunk(9)}
    write_frame(root / "training", "003", 90, small)
    found = [
        [(finding.code, finding.wrong) for finding in frame.findings]
        for frame in audit_focus(root).frames[1:4]
    ]
    assert found[0] == [("mask_iou", False)]
    assert found[1] == [("blank_image", False)]
    assert ("unusual_ctr", False) in found[2]
    assert len(read_focus(root)) == 5


def test_a_root_without_focus_is_an_error(tmp_path):
    with pytest.raises(DataError, match="holds no training/"):
        audit_focus(tmp_path)


def test_an_unknown_audit_is_answered_with_those_there_are():
    with pytest.raises(ConfigError, match=r"unknown audit 'focsu' \(did you mean focus\?\); allow"):
        AUDITS.get("audit", "focsu")


def test_a_frame_is_as_bad_as_its_worst_finding_and_semicolons_separate_reasons():
    suspect, wrong = Finding("a", "one; two", False), Finding("b", "three", True)
    frames = [
        AuditedFrame("1.png"), AuditedFrame("2.png", (suspect,)),
        AuditedFrame("3.png", (suspect, wrong)), AuditedFrame("4.png", (wrong, wrong)),
    ]  # fmt: skip
    audit = Audit(frames)
    assert [row["verdict"] for row in audit.rows()] == ["good", "suspect", "wrong", "wrong"]
    assert audit.rows()[2]["reasons"] == "a: one, two; b: three"
    record = audit.as_record()
    assert record["verdicts"] == dict(zip(VERDICTS, (1, 1, 2), strict=True))
    assert record["findings"] == {"a": 2, "b": 2}  # frames, not findings
    assert "4 images: 1 good, 1 suspect, 2 wrong" in audit.summary()
