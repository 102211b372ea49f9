"""The audit of the second centre: images, experts' ends and pixel sizes."""

import shutil

import numpy as np
import pytest

from fetal_tf.data.audit.planes import audit_planes
from fetal_tf.data.phantom.writing import write_phantom
from fetal_tf.data.readers.landmark_table import END_COLUMNS
from fetal_tf.edge.errors import DataError


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    root = tmp_path_factory.mktemp("planes") / "planes"
    write_phantom("planes", root, 6, seed=3)
    return root


@pytest.fixture
def root(phantom, tmp_path):
    shutil.copytree(phantom, tmp_path / "planes")
    return tmp_path / "planes"


def _rows(root):
    return [line.split(",") for line in (root / "Head.csv").read_text().splitlines()]


def _change(root, column, value):
    """Write `value` into the first row; returns that row's file."""
    rows = _rows(root)
    rows[1][rows[0].index(column)] = str(value)
    (root / "Head.csv").write_text("\n".join(map(",".join, rows)))
    return f"images/{rows[1][0]}"


def _found(root, file):
    audit = audit_planes(root)
    (broken,) = (f for f in audit.frames if f.file == file)
    assert {f.verdict for f in audit.frames if f is not broken} == {"good"}
    return broken.verdict, broken.codes()


def test_good_frames_are_good_whatever_the_order_of_their_ends(root):
    audit = audit_planes(root)
    assert audit.verdicts() == {"good": 6, "suspect": 0, "wrong": 0}
    rows = _rows(root)
    places = [rows[0].index(name) for name in END_COLUMNS]
    points = np.array([[float(row[p]) for p in places] for row in rows[1:]]).reshape(-1, 4, 2)
    mm_per_pixel = np.array([float(row[rows[0].index("px_to_mm_rate")]) for row in rows[1:]])
    ofd_mm = np.linalg.norm(points[:, 1] - points[:, 0], axis=1) * mm_per_pixel
    measures = audit.as_record()["measures"]
    assert measures["ofd_mm"]["mean"] == pytest.approx(ofd_mm.mean())
    assert measures["mm_per_pixel"]["n"] == 6
    assert audit.fingerprint()["groups"] == len({row[-2] for row in rows[1:]})


@pytest.mark.parametrize(
    ("column", "value", "verdict", "code"),
    [
        ("px_to_mm_rate", 0, "wrong", "pixel_size"),
        ("px_to_mm_rate", 200, "wrong", "pixel_size"),
        ("px_to_mm_rate", 1.7, "suspect", "unusual_pixel_size"),
        ("px_to_mm_rate", 1.7, "suspect", "implausible_head_size"),
        ("px_to_mm_rate", 0.02, "suspect", "implausible_head_size"),
        ("SubjectID", "", "wrong", "no_subject"),
        ("ofd_1_x", "", "wrong", "ends"),
        ("ofd_1_x", 5000, "wrong", "outside"),
    ],
)
def test_each_fault_is_found(root, column, value, verdict, code):
    found = _found(root, _change(root, column, value))
    assert found[0] == verdict
    assert code in found[1]


def test_swapped_axes_are_suspect(root):
    rows = _rows(root)
    first, second = rows[0].index("ofd_1_x"), rows[0].index("bpd_1_x")
    row = rows[1]
    row[first : first + 4], row[second : second + 4] = (
        row[second : second + 4],
        row[first : first + 4],
    )
    (root / "Head.csv").write_text("\n".join(map(",".join, rows)))
    assert _found(root, f"images/{row[0]}") == ("suspect", ["axes_swapped"])


def test_missing_files_and_rows_are_found(root):
    rows = _rows(root)
    (root / "Head.csv").write_text("\n".join(map(",".join, [rows[0], *rows[2:]])))
    assert _found(root, f"images/{rows[1][0]}") == ("suspect", ["no_row"])
    (root / "Head.csv").write_text("\n".join(map(",".join, [*rows, rows[1]])))
    assert _found(root, f"images/{rows[1][0]}") == ("wrong", ["two_rows"])
    (root / "Head.csv").write_text("\n".join(map(",".join, rows)))
    (root / "images" / rows[1][0]).write_text("no image")
    assert _found(root, f"images/{rows[1][0]}") == ("wrong", ["image"])
    (root / "images" / rows[1][0]).unlink()
    assert _found(root, f"images/{rows[1][0]}") == ("wrong", ["no_image"])


def test_a_root_without_images_or_table_is_an_error(root):
    (root / "Head.csv").unlink()
    with pytest.raises(DataError, match=r"Head\.csv: cannot be read"):
        audit_planes(root)
    shutil.rmtree(root / "images")
    with pytest.raises(DataError, match="holds no images/"):
        audit_planes(root)


def test_the_one_row_of_the_real_table_that_is_no_head_is_wrong(real_data):
    if not (real_data / "planes").is_dir():
        pytest.skip("no planes/")
    audit = audit_planes(real_data / "planes")
    wrong = [frame.file for frame in audit.frames if frame.verdict == "wrong"]
    assert wrong == ["images/Patient01070_Plane3_2_of_6.png"]
    assert not any(group.across_groups for group in (*audit.duplicates, *audit.near_duplicates))
