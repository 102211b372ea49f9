"""The second centre's reader: what it reads, leaves out, and each way a row can be broken."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fetal_tf.data.readers import DATASETS
from fetal_tf.data.readers.planes import read_planes
from fetal_tf.edge.errors import DataError
from fetal_tf.edge.geometry.ellipse import Ellipse, rasterise
from fetal_tf.edge.geometry.landmarks import canonical, ellipse_landmarks, landmark_ellipse
from fetal_tf.edge.io.images import write_png

HEADER = (
    "image_name,ofd_1_x,ofd_1_y,ofd_2_x,ofd_2_y,bpd_1_x,bpd_1_y,bpd_2_x,bpd_2_y,"
    "SubjectID,px_to_mm_rate"
)
HEADS = {
    "Patient00007_Plane3_1_of_2": (Ellipse(80.0, 60.0, 50.0, 40.0, 0.0), (120, 160)),
    "Patient00007_Plane3_2_of_2": (Ellipse(120.0, 90.0, 70.0, 50.0, 30.0), (180, 250)),
    "Patient00012_Plane3_1_of_1": (Ellipse(60.0, 50.0, 42.0, 34.0, 95.0), (110, 120)),
}
FIRST = next(iter(HEADS))
pytestmark = pytest.mark.filterwarnings("error::UserWarning")


def _line(name: str, ends: np.ndarray, subject: object, mm_per_pixel: object) -> str:
    return ",".join([name, *(f"{n:.3f}" for n in ends.ravel()), str(subject), str(mm_per_pixel)])


LINES = [
    _line(f"{id}.png", ellipse_landmarks(head)[[1, 0, 3, 2]], int(id[7:12]), 0.2)
    for id, (head, _) in HEADS.items()
]


def _write(root: Path, *lines: str, header: str = HEADER) -> None:
    (root / "Head.csv").write_text("\n".join([header, *lines, ""]), encoding="utf-8")


@pytest.fixture
def root(tmp_path) -> Path:
    """Three good frames of two subjects, of three sizes; the ends in other than canonical order."""
    root = tmp_path / "planes"
    (root / "images").mkdir(parents=True)
    for id, (_, shape) in HEADS.items():
        write_png(root / "images" / f"{id}.png", np.full(shape, 90, np.uint8))
    _write(root, *LINES)
    return root


def _refused(root: Path, **options) -> str:
    with pytest.raises(DataError) as error:
        read_planes(root, **options)
    return str(error.value)


def test_reads_subjects_pixel_sizes_and_canonical_ends(root):
    samples = read_planes(root)
    assert [sample.id for sample in samples] == sorted(HEADS)
    assert [sample.group for sample in samples] == ["7", "7", "12"]
    assert {sample.mm_per_pixel for sample in samples} == {0.2}
    for sample in samples:
        assert sample.image_path == root / "images" / f"{sample.id}.png"
        expected = ellipse_landmarks(HEADS[sample.id][0])
        np.testing.assert_allclose(sample.load_landmarks(), expected, atol=1e-3)
    assert DATASETS.get("data", "planes") is read_planes


def test_the_head_is_the_ellipse_through_its_ends(root):
    for sample in read_planes(root):
        head, shape = HEADS[sample.id]
        mask = sample.load_mask()
        assert mask.dtype == np.uint8 and mask.shape == shape
        assert (mask != rasterise(head, shape)).sum() <= 4
        assert sample.reference == pytest.approx(
            {
                "hc_mm": head.perimeter * 0.2,
                "ofd_mm": 2 * head.semi_major * 0.2,
                "bpd_mm": 2 * head.semi_minor * 0.2,
            },
            rel=1e-4,
        )


def test_diameters_are_measured_between_the_ends_as_they_are(root):
    """Of axes that are not quite perpendicular, the ellipse's own are other ones."""
    ends = np.array([[30.0, 60], [130, 60], [90, 20], [70, 100]])
    _write(root, _line(f"{FIRST}.png", ends, 7, 0.1), *LINES[1:])
    reference = read_planes(root)[0].reference
    assert reference["ofd_mm"] == pytest.approx(10.0)
    assert reference["bpd_mm"] == pytest.approx(np.hypot(20, 80) / 10)
    assert reference["hc_mm"] == pytest.approx(landmark_ellipse(ends).perimeter / 10)


def test_an_expert_s_names_are_kept_where_bpd_is_the_longer_one(root):
    swapped = ellipse_landmarks(HEADS[FIRST][0])[[2, 3, 0, 1]]
    _write(root, _line(f"{FIRST}.png", swapped, 7, 0.2), *LINES[1:])
    sample = read_planes(root)[0]
    np.testing.assert_allclose(sample.load_landmarks(), canonical(swapped), atol=1e-3)
    assert sample.reference["bpd_mm"] > sample.reference["ofd_mm"]


def test_samples_survive_pickling_with_their_truth(root):
    for sample, copy in zip(
        read_planes(root), pickle.loads(pickle.dumps(read_planes(root))), strict=True
    ):
        np.testing.assert_array_equal(copy.load_mask(), sample.load_mask())
        points = copy.load_landmarks()
        points += 1
        np.testing.assert_array_equal(copy.load_landmarks(), sample.load_landmarks())


def test_images_without_a_row_are_passed_over(root):
    write_png(root / "images" / "Patient00099_Plane3_1_of_1.png", np.zeros((50, 50), np.uint8))
    assert len(read_planes(root)) == 3


def test_a_row_that_is_no_head_is_left_out_and_named(root):
    _write(root, _line(f"{FIRST}.png", ellipse_landmarks(Ellipse(30, 30, 4, 3, 0)), 7, 0.2))
    with pytest.raises(DataError, match="1 of 1 rows cannot be the axes of a head"):
        read_planes(root)
    _write(
        root,
        _line(f"{FIRST}.png", ellipse_landmarks(Ellipse(30, 30, 4, 3, 0)), 7, 0.2),
        *LINES[1:],
    )
    with pytest.warns(UserWarning, match=rf"1 of 3 rows.*left out: {FIRST} \(Head\.csv, line 2: "):
        assert len(read_planes(root)) == 2
    assert len(read_planes(root, exclude=[FIRST])) == 2


def _set(line: str):
    return lambda root: _write(root, line, *LINES[1:])


def _cell(index: int, text: str):
    cells = LINES[0].split(",")
    cells[index] = text
    return _set(",".join(cells))


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (
            lambda root: (root / f"images/{FIRST}.png").unlink(),
            f"line 2: no file {{images}}/{FIRST}",
        ),
        (
            lambda root: (root / f"images/{FIRST}.png").write_bytes(b"x"),
            f"{{images}}/{FIRST}.png: not an image (1 bytes)",
        ),
        (_cell(1, "x"), "line 2: 'ofd_1_x' is 'x', a number is expected"),
        (_cell(8, ""), "line 2: 'bpd_2_y' is '', a number is expected"),
        (_cell(9, ""), "line 2: no SubjectID"),
        (_cell(10, "0"), "line 2: 'px_to_mm_rate' is '0', a positive number is expected"),
        (_cell(10, "-0.1"), "line 2: 'px_to_mm_rate' is '-0.1'"),
        (
            _cell(10, "25"),
            "'px_to_mm_rate': millimetres per pixel from 0.01 to 2 are expected, not '25'",
        ),
        (_cell(10, "0,2"), "line 2: more cells than columns"),
        (_set(LINES[0] + "\n" + LINES[0]), f"2 rows for {FIRST}.png, lines 2, 3"),
        (
            lambda root: write_png(root / f"images/{FIRST}.png", np.zeros((90, 90), np.uint8)),
            f"px outside the 90x90 image {FIRST}.png: another was annotated",
        ),
    ],
)
def test_a_broken_row_is_named_with_its_cause_and_the_way_out(root, damage, expected):
    damage(root)
    message = _refused(root)
    assert expected.format(images=root / "images") in message
    assert "1 of 3 images cannot be used" in message
    assert f"`data.exclude: [{FIRST}]`" in message
    assert len(read_planes(root, exclude=[FIRST])) == 2


def test_a_name_with_a_folder_reads_nothing_outside_the_images(root):
    shutil.copy(root / f"images/{FIRST}.png", root / f"{FIRST}.png")
    (root / f"images/{FIRST}.png").unlink()
    _set("../" + LINES[0])(root)
    assert "line 2: no file" in _refused(root)


def test_everything_excluded_is_said_so(root):
    assert "no image is left" in _refused(root, exclude=list(HEADS))


def test_a_wrong_root_is_answered_with_the_right_one(root, tmp_path):
    assert f"`data.root: {root}`" in _refused(root / "images")
    assert f"`data.root: {root}`" in _refused(tmp_path)
    assert "is not a folder" in _refused(tmp_path / "nowhere")
    shutil.move(root / "images", root / "pictures")
    assert "holds no images/" in _refused(root)


@pytest.mark.parametrize("column", ["image_name", "bpd_1_y", "SubjectID", "px_to_mm_rate"])
def test_a_table_without_its_columns_is_refused(root, column):
    _write(root, *LINES, header=HEADER.replace(column, "other"))
    assert f"one column {column!r} is expected, found 0" in _refused(root)


@pytest.mark.filterwarnings("default::UserWarning")
def test_real_planes_are_read_by_headers_alone_but_for_one_row(real_data, monkeypatch):
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded while reading"))
    with pytest.warns(UserWarning, match=r"1 of 110 .*Patient01070_Plane3_2_of_6 .*axis is 8 px"):
        samples = read_planes(real_data / "planes")
    assert len(samples) == 109
    assert len({sample.group for sample in samples}) == 56
    for sample in samples:
        reference = sample.reference
        assert 0.65 < reference["bpd_mm"] / reference["ofd_mm"] < 0.95
        assert 80 < reference["hc_mm"] < 350
        assert 0.05 < sample.mm_per_pixel < 0.4
    shapes = {sample.load_mask().shape for sample in samples[::3]}
    assert shapes == {(661, 959), (663, 961), (392, 640), (787, 1137)}
