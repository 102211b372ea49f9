"""The audit of OFD and BPD rows: against the phantom's known faults, and against real ellipses."""

import csv
import hashlib
import io

import numpy as np
import pytest

from fetal_tf.data.audit.landmarks import audit_landmarks
from fetal_tf.data.phantom.writing import write_phantom
from fetal_tf.data.readers.ellipse_annotation import load_ellipse_landmarks
from fetal_tf.data.readers.landmark_table import read_landmark_rows, row_points
from fetal_tf.edge.errors import DataError
from fetal_tf.edge.geometry.landmarks import canonical

TABLE = "landmarks/role_challenge_dataset_ground_truth.csv"
HEADER = "image_name,ofd_1_x,ofd_1_y,ofd_2_x,ofd_2_y,bpd_1_x,bpd_1_y,bpd_2_x,bpd_2_y"
GOOD = "150,270,650,270,400,70,400,470"  # its bpd_1 lies above the OFD's line


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    root = tmp_path_factory.mktemp("landmarks") / "phantom"
    write_phantom("landmarks", root, 24, seed=4)
    return root


def _write(root, *lines, header=HEADER):
    (root / TABLE).parent.mkdir(parents=True, exist_ok=True)
    (root / TABLE).write_text("\n".join([header, *lines, ""]))
    return root


def _repaired(audit):
    return list(csv.DictReader(io.StringIO(audit.tables["repaired.csv"])))


def _points(row):
    names = HEADER.split(",")[1:]
    return np.array([float(row[name]) for name in names]).reshape(4, 2)


def _contents(root):
    return {
        path: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def _assert_verdicts_are_those_of_the_faults(audit, phantom):
    with (phantom / "faults.csv").open(newline="") as file:
        faults = {row["image_name"]: row["faults"].split() for row in csv.DictReader(file)}
    assert {frame.file for frame in audit.frames} == faults.keys()
    for frame in audit.frames:
        known = faults[frame.file]
        if "unrelated" in known:
            assert frame.verdict == "wrong"
            continue
        assert frame.codes() == known
        assert frame.verdict == ("repairable" if known else "good")
    kept = [f.file for f in audit.frames if "unrelated" not in faults[f.file]]
    assert [row["image_name"] for row in _repaired(audit)] == kept
    assert 0 < len(kept) < len(faults)


def test_the_phantoms_faults_are_found_and_the_input_is_left_alone(phantom):
    before = _contents(phantom)
    audit = audit_landmarks(phantom)
    _assert_verdicts_are_those_of_the_faults(audit, phantom)
    assert _contents(phantom) == before
    assert audit.verdicts().keys() == {"good", "repairable", "wrong"}
    record = audit.as_record()
    assert record["counts"]["judged_by"] == {"geometry and ellipse": 24}
    assert record["fingerprint"]["images"] == 24
    unrelated = [f for f in audit.frames if f.verdict == "wrong"]
    assert all("far_from_ellipse" in frame.codes() for frame in unrelated)


def test_repaired_ends_are_those_of_the_ellipses(phantom):
    rows = _repaired(audit_landmarks(phantom))
    for row in rows:
        name = row["image_name"].replace(".png", "_Annotation.png")
        truth = load_ellipse_landmarks(phantom / "hc18/training_set" / name)
        points = _points(row)
        np.testing.assert_array_equal(points, canonical(points))
        ofd_px, bpd_px = np.linalg.norm(truth[1::2] - truth[::2], axis=1)
        distances = np.linalg.norm(points - truth, axis=1)
        assert distances.max() < 0.1 * (ofd_px + bpd_px)
    given = read_landmark_rows(phantom / TABLE)
    for row in rows:
        before = row_points(given[row["image_name"][:-4]][0])
        assert sorted(map(tuple, _points(row))) == sorted(map(tuple, before))


def test_geometry_alone_decides_where_the_images_are_not_there(phantom, tmp_path):
    root = tmp_path / "alone"
    (root / "landmarks").mkdir(parents=True)
    (root / TABLE).write_bytes((phantom / TABLE).read_bytes())
    audit = audit_landmarks(root)
    _assert_verdicts_are_those_of_the_faults(audit, phantom)
    record = audit.as_record()
    assert record["counts"] == {"image": {"no image": 24}, "judged_by": {"geometry": 24}}
    assert record["fingerprint"] == {
        "images": 0, "groups": len({f.group for f in audit.frames}),
        "images_per_group": record["fingerprint"]["images_per_group"], "classes": {},
    }  # fmt: skip


def test_an_ellipse_refuses_what_geometry_allows(phantom, tmp_path):
    (name, *_) = (row["image_name"] for row in _repaired(audit_landmarks(phantom)))
    truth = load_ellipse_landmarks(
        phantom / "hc18/training_set" / name.replace(".png", "_Annotation.png")
    )
    center = truth.mean(0)
    small = center + 0.5 * (truth - center)
    turned = canonical(center + (truth - center)[[2, 3, 0, 1]] * [[1.3], [1.3], [0.8], [0.8]])
    (tmp_path / "landmarks").mkdir()
    (tmp_path / "hc18").symlink_to(phantom / "hc18")
    for points, code in ((small, "far_from_ellipse"), (turned, "across_ellipse")):
        _write(tmp_path, f"{name}," + ",".join(f"{number:.2f}" for number in points.ravel()))
        (frame,) = audit_landmarks(tmp_path).frames
        assert (frame.verdict, frame.codes()) == ("wrong", [code])


def test_numbers_and_further_columns_stay_as_they_are_written(tmp_path):
    header = "image_name, OFD_1_x," + HEADER.split(",", 2)[2] + ",Reader"
    moved = "650,270.50,150,270.0,4e2,70,400,470,Ann"
    root = _write(tmp_path, f"a_HC.png,{moved}", header=header)
    audit = audit_landmarks(root)
    assert audit.rows()[0]["verdict"] == "repairable"
    assert audit.tables["repaired.csv"] == (
        "image_name,OFD_1_x," + HEADER.split(",", 2)[2] + ",Reader\n"
        "a_HC.png,150,270.0,650,270.50,4e2,70,400,470,Ann\n"
    )


def test_of_two_usable_rows_of_an_image_the_first_is_kept(tmp_path):
    bad = "1,2,3,4,5,6,7,8"
    root = _write(tmp_path, f"a.png,{bad}", f"a.png,{GOOD}", f"b.png,{GOOD}", f"a.png,{GOOD}")
    audit = audit_landmarks(root)
    assert [frame.verdict for frame in audit.frames] == ["wrong", "good", "good", "wrong"]
    assert audit.rows()[3]["reasons"] == (
        "two_rows: role_challenge_dataset_ground_truth.csv, line 3 has a.png already"
    )
    assert [row["image_name"] for row in _repaired(audit)] == ["a.png", "b.png"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (f",{GOOD}", "no_name"),
        ("a.png,150,270,650,270,400,70,400,", "unreadable"),
        ("a.png,150,270,650,270,400,70,400,many", "unreadable"),
        (f"a.png,{GOOD},5", "unreadable"),
        ("a.png,150,270,1650,270,900,70,900,670", "outside"),
    ],
)
def test_a_row_that_cannot_be_read_is_wrong_and_stops_nothing(tmp_path, line, code):
    audit = audit_landmarks(_write(tmp_path, line, f"b.png,{GOOD}"))
    assert [frame.verdict for frame in audit.frames] == ["wrong", "good"]
    assert code in audit.frames[0].codes()
    assert len(_repaired(audit)) == 1


def test_a_damaged_image_leaves_the_row_to_its_geometry(tmp_path):
    root = _write(tmp_path, f"a.png,{GOOD}")
    (root / "hc18/training_set").mkdir(parents=True)
    (root / "hc18/training_set/a.png").write_text("no image")
    (root / "hc18/training_set/a_Annotation.png").write_text("no image")
    audit = audit_landmarks(root)
    assert audit.frames[0].verdict == "good"
    assert audit.counts() == {"image": {"unreadable": 1}, "judged_by": {"geometry": 1}}


def test_a_root_without_the_table_is_an_error(tmp_path):
    with pytest.raises(DataError, match="one CSV is expected"):
        audit_landmarks(tmp_path)
    _write(tmp_path, f"a.png,{GOOD}")
    with pytest.raises(DataError, match=f"Name its parent: --root {tmp_path}"):
        audit_landmarks(tmp_path / "landmarks")
    (tmp_path / "landmarks/other.csv").write_text("")
    with pytest.raises(DataError, match=r"found: other\.csv, role_challenge"):
        audit_landmarks(tmp_path)


def test_verdicts_on_real_rows_are_those_of_their_ellipses(real_data, tmp_path):
    """Every sixth real row; the truth is reckoned here, from HC18's ellipses alone."""
    if not (real_data / TABLE).is_file():
        pytest.skip(f"no {TABLE}")
    header, *lines = (real_data / TABLE).read_text().splitlines()
    root = _write(tmp_path, *lines[::6], header=header)
    (root / "hc18").symlink_to(real_data / "hc18")
    audit = audit_landmarks(root)
    repaired = {row["image_name"]: _points(row) for row in _repaired(audit)}
    given = read_landmark_rows(root / TABLE)
    counted = {"wrong": 0, "repairable": 0}
    for frame in audit.frames:
        path = root / "hc18/training_set" / frame.file.replace(".png", "_Annotation.png")
        truth = load_ellipse_landmarks(path)
        size_px = np.linalg.norm(truth[1::2] - truth[::2], axis=1).mean()
        rights = [
            truth[order] for order in ([0, 1, 2, 3], [0, 1, 3, 2], [1, 0, 2, 3], [1, 0, 3, 2])
        ]
        points = row_points(given[frame.file[:-4]][0])
        best, swapped = (
            min(np.linalg.norm(p - right, axis=1).mean() for right in rights) / size_px
            for p in (points, points[[2, 3, 0, 1]])
        )
        if min(best, swapped) > 0.25:
            assert frame.verdict == "wrong" and frame.file not in repaired
            counted["wrong"] += 1
        elif swapped < 0.1:
            assert frame.verdict == "repairable" and "axes_swapped" in frame.codes()
            counted["repairable"] += 1
        if frame.file in repaired:
            kept = repaired[frame.file]
            np.testing.assert_array_equal(kept, canonical(kept))
            assert np.linalg.norm(kept - truth, axis=1).mean() < 0.2 * size_px
            ofd_px, bpd_px = np.linalg.norm(kept[1::2] - kept[::2], axis=1)
            assert ofd_px >= bpd_px
    # 27 % and 63 % of all 490 rows.
    assert counted["wrong"] > 0.2 * len(audit.frames)
    assert counted["repairable"] > 0.5 * len(audit.frames)
