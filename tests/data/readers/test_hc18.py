"""HC18 reader: what it reads, and what it says about each way a folder can be broken."""

import os
import pickle
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fetal_tf.data.readers import DATASETS
from fetal_tf.data.readers.ellipse_annotation import caliper_ellipse, load_ellipse_mask
from fetal_tf.data.readers.hc18 import read_hc18
from fetal_tf.edge.errors import DataError, ImageError
from fetal_tf.edge.geometry.contours import sub_pixel_contour
from fetal_tf.edge.geometry.ellipse import Ellipse, rasterise
from fetal_tf.edge.geometry.ellipse_fit import fit_ellipse
from fetal_tf.edge.geometry.landmarks import ellipse_landmarks
from fetal_tf.edge.io import images
from fetal_tf.edge.io.images import read_mask, write_png

HEADER = "filename,pixel size(mm),head circumference (mm)"
SHAPE = (120, 160)
HEAD = Ellipse(80.3, 60.7, 45.0, 35.0, 20.0)
LINE_PX = 2.8


def _annotation(ellipse: Ellipse, filled: bool, shape=SHAPE, line_px=LINE_PX) -> np.ndarray:
    """The line of HC18's annotators around `ellipse`, sampled at pixel centres."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    distance = ellipse.distances(np.column_stack([x.ravel(), y.ravel()])).reshape(shape)
    drawn = distance <= line_px / 2 if filled else np.abs(distance) <= line_px / 2
    return drawn.astype(np.uint8) * 255


def _write_pair(root: Path, id: str, shape=SHAPE, filled: bool = True) -> None:
    folder = root / "training_set"
    folder.mkdir(exist_ok=True, parents=True)
    write_png(folder / f"{id}.png", np.full(shape, 90, np.uint8))
    write_png(folder / f"{id}_Annotation.png", _annotation(HEAD, filled, shape))


@pytest.fixture
def root(tmp_path) -> Path:
    """Three good frames of two examinations."""
    root = tmp_path / "hc18"
    for id, filled in {"010_HC": True, "010_2HC": False, "011_HC": True}.items():
        _write_pair(root, id, filled=filled)
    _write_table(
        root, "010_HC.png,0.1,25.23", "010_2HC.png,0.2,50.45", "011_HC.png,0.069135804,17.44"
    )
    return root


def _write_table(root: Path, *lines: str, header: str = HEADER, encoding: str = "utf-8") -> None:
    table = root / "training_set_pixel_size_and_HC.csv"
    table.write_text("\n".join([header, *lines, ""]), encoding=encoding)


def _refused(root: Path, **options) -> str:
    with pytest.raises(DataError) as error:
        read_hc18(root, **options)
    return str(error.value)


def test_reads_ids_groups_pixel_sizes_and_references(root):
    samples = read_hc18(root)
    assert [sample.id for sample in samples] == ["010_2HC", "010_HC", "011_HC"]
    assert [sample.group for sample in samples] == ["010", "010", "011"]
    assert [sample.mm_per_pixel for sample in samples] == [0.2, 0.1, 0.069135804]
    assert samples[0].reference == {"hc_mm": 50.45}
    assert samples[0].image_path == root / "training_set" / "010_2HC.png"
    assert samples[0].official_split is None
    assert DATASETS.get("data", "hc18") is read_hc18


def test_samples_survive_pickling_with_their_masks(root):
    for sample in pickle.loads(pickle.dumps(read_hc18(root))):
        mask = sample.load_mask()
        assert mask.dtype == np.uint8 and mask.shape == SHAPE
        expected = rasterise(HEAD, SHAPE)
        # Only pixels whose centre lies within a tenth of the line may differ.
        assert (mask.astype(bool) != expected).sum() < 0.05 * expected.sum() ** 0.5 * 6


def test_landmarks_are_the_ends_of_the_annotated_ellipse(root):
    for sample in pickle.loads(pickle.dumps(read_hc18(root))):
        points = sample.load_landmarks()
        assert points.dtype == np.float64
        # Far below the 2.8 px of the line, whether it is drawn or filled.
        np.testing.assert_allclose(points, ellipse_landmarks(HEAD), atol=0.6)


def test_a_broken_annotation_is_named_when_its_landmarks_are_loaded(root):
    write_png(root / "training_set/010_HC_Annotation.png", np.zeros(SHAPE, np.uint8))
    with pytest.raises(DataError, match=r"010_HC_Annotation\.png: the mask is empty.*\[010_HC\]"):
        read_hc18(root)[1].load_landmarks()


def test_the_line_width_of_filled_masks_moves_the_landmarks_too(root):
    lengths = []
    for width in (0.0, 2.8):
        ends = read_hc18(root, annotation_line_px=width)[1].load_landmarks()
        lengths.append(np.linalg.norm(ends[1] - ends[0]))
    assert lengths[0] - lengths[1] == pytest.approx(2.8, abs=0.1)


def test_blanks_a_byte_order_mark_and_empty_lines_are_no_trouble(root):
    _write_table(
        root,
        " 010_HC.png , 0.1 ,25.2",
        "010_2HC.png,0.2,",
        "",
        "011_HC.png,0.3,  75.7",
        header=" Filename, pixel size (mm) ,Head circumference(mm) ",
        encoding="utf-8-sig",
    )
    samples = read_hc18(root)
    assert [sample.mm_per_pixel for sample in samples] == [0.2, 0.1, 0.3]
    assert [sample.reference for sample in samples] == [{}, {"hc_mm": 25.2}, {"hc_mm": 75.7}]


def test_the_column_of_head_circumferences_may_be_absent(root):
    _write_table(
        root,
        "010_HC.png,0.1",
        "010_2HC.png,0.2",
        "011_HC.png,0.3",
        header="filename,pixel size(mm)",
    )
    assert [sample.reference for sample in read_hc18(root)] == [{}, {}, {}]


def test_files_that_are_not_frames_are_passed_over(root):
    (root / "training_set" / "Thumbs.db").write_bytes(b"x")
    (root / "training_set" / "._010_HC.png").write_bytes(b"x")
    assert len(read_hc18(root)) == 3


def _drop_image(root):
    (root / "training_set/010_HC.png").unlink()


def _drop_annotation(root):
    (root / "training_set/010_HC_Annotation.png").unlink()


def _break_image(root):
    (root / "training_set/010_HC.png").write_bytes(b"not a picture")


def _break_annotation(root):
    (root / "training_set/010_HC_Annotation.png").write_bytes(b"")


def _grow_image(root):
    write_png(root / "training_set/010_HC.png", np.zeros((122, 160), np.uint8))


def _drop_row(root):
    _write_table(root, "010_2HC.png,0.2,50.45", "011_HC.png,0.3,75.7")


def _add_second_suffix(root):
    shutil.copy(root / "training_set/010_HC.png", root / "training_set/010_HC.bmp")


def _set_row(row):
    return lambda root: _write_table(root, row, "010_2HC.png,0.2,50.45", "011_HC.png,0.3,75.7")


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (_drop_image, "line 2: no file {folder}/010_HC.png"),
        (_drop_annotation, "{folder}/010_HC_Annotation.png: missing annotation"),
        (_break_image, "{folder}/010_HC.png: not an image (13 bytes)"),
        (_break_annotation, "{folder}/010_HC_Annotation.png: the file is empty (0 bytes)"),
        (
            _grow_image,
            "{folder}/010_HC_Annotation.png: mask is 120x160 (height x width), image is 122x160",
        ),
        (_drop_row, "{folder}/010_HC.png: no row in training_set_pixel_size_and_HC.csv"),
        (_add_second_suffix, "2 files for 010_HC (010_HC.bmp, 010_HC.png)"),
        (_set_row("010_HC.jpg,0.1,25.2"), "010_HC.jpg (there is 010_HC.png)"),
        (_set_row("010_HC.png,0,25.2"), "line 2: 'pixel size(mm)' is '0'"),
        (_set_row("010_HC.png,-0.1,25.2"), "line 2: 'pixel size(mm)' is '-0.1'"),
        (_set_row("010_HC.png,,25.2"), "line 2: 'pixel size(mm)' is ''"),
        (_set_row("010_HC.png"), "line 2: 'pixel size(mm)' is ''"),
        (_set_row("010_HC.png,none,25.2"), "line 2: 'pixel size(mm)' is 'none'"),
        (_set_row("010_HC.png,inf,25.2"), "line 2: 'pixel size(mm)' is 'inf'"),
        (_set_row("010_HC.png,nan,25.2"), "line 2: 'pixel size(mm)' is 'nan'"),
        (_set_row("010_HC.png,0.1,-3"), "line 2: 'head circumference (mm)' is '-3'"),
        (_set_row("010_HC.png,0,1,25,2"), "line 2: more cells than columns; are there decimal"),
        (_set_row("010_HC.png,0.1,25.2\n010_HC.png,0.1,25.2"), "2 rows for 010_HC, lines 2, 3"),
    ],
)
def test_a_broken_frame_is_named_with_its_cause_and_the_way_out(root, damage, expected):
    damage(root)
    message = _refused(root)
    assert expected.format(folder=root / "training_set") in message
    assert "1 of 3 images cannot be used" in message
    assert "`data.exclude: [010_HC]`" in message
    assert [sample.id for sample in read_hc18(root, exclude=["010_HC"])] == ["010_2HC", "011_HC"]


def test_an_annotation_without_image_and_row_is_reported(root):
    shutil.copy(
        root / "training_set/010_HC_Annotation.png", root / "training_set/099_HC_Annotation.png"
    )
    assert "099_HC_Annotation.png: no row" in _refused(root)


def test_of_many_broken_frames_five_are_shown_and_all_counted(root):
    lines = [f"{number:03d}_HC.png,0.1,25.2" for number in range(200, 208)]
    _write_table(root, "010_HC.png,0.1,25", "010_2HC.png,0.2,50", "011_HC.png,0.3,76", *lines)
    message = _refused(root)
    assert "8 of 11 images cannot be used" in message
    assert "204_HC.png" in message and "205_HC.png" not in message
    assert "… and 3 more." in message
    assert "`data.exclude: [200_HC, 201_HC, 202_HC, 203_HC, 204_HC, 205_HC, 206_HC, 207_HC]`" in (
        message
    )


def test_everything_excluded_is_said_so(root):
    assert "no image is left" in _refused(root, exclude=["010_HC", "010_2HC", "011_HC"])


def test_a_wrong_root_is_answered_with_the_right_one(root, tmp_path):
    assert f"Name its parent: `data.root: {root}`" in _refused(root / "training_set")
    assert f"`data.root: {root}`" in _refused(tmp_path)
    assert "is not a folder" in _refused(tmp_path / "nowhere")
    assert "is not a folder" in _refused(root / "training_set_pixel_size_and_HC.csv")


def test_an_archive_left_packed_is_mentioned(tmp_path):
    (tmp_path / "training_set.zip").write_bytes(b"PK")
    assert "training_set.zip is there, but not unpacked" in _refused(tmp_path)


def test_only_a_test_set_is_not_enough(tmp_path):
    (tmp_path / "test_set").mkdir()
    assert "test_set/ is there, but has no annotations" in _refused(tmp_path)


def test_a_missing_table_is_named_beside_those_found(root):
    (root / "training_set_pixel_size_and_HC.csv").rename(root / "sizes.csv")
    assert "training_set_pixel_size_and_HC.csv: missing (found: sizes.csv)" in _refused(root)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("filename;pixel size(mm)", "one column 'filename' is expected, found 0"),
        ("filename,spacing", "one column 'pixel size(mm)' is expected, found 0 in: filename,sp"),
        ("filename,pixel size(mm),pixel size (mm)", "one column 'pixel size(mm)' is expected, f"),
    ],
)
def test_a_table_without_its_columns_is_refused(root, header, message):
    _write_table(root, "010_HC.png,0.1,25.2", header=header)
    assert message in _refused(root)


def test_an_empty_or_undecodable_table_is_refused(root):
    table = root / "training_set_pixel_size_and_HC.csv"
    table.write_text("")
    assert "found 0 in: an empty file" in _refused(root)
    table.write_bytes(HEADER.encode("utf-16"))
    assert "not a CSV in UTF-8" in _refused(root)


def test_a_folder_without_images_is_refused(root):
    shutil.move(root / "training_set", root / "inner")
    (root / "training_set").mkdir()
    assert "training_set: no images; expected NNN_HC.png" in _refused(root)
    shutil.move(root / "inner", root / "training_set" / "training_set")
    assert "move them up" in _refused(root)


def _mask_of(root: Path, annotation: np.ndarray) -> np.ndarray:
    write_png(root / "training_set/010_HC_Annotation.png", annotation)
    sample = next(sample for sample in read_hc18(root) if sample.id == "010_HC")
    return sample.load_mask()


def test_an_empty_mask_is_refused_by_name_when_it_is_loaded(root):
    with pytest.raises(DataError, match=r"010_HC_Annotation\.png: the mask is empty.*\[010_HC\]"):
        _mask_of(root, np.zeros(SHAPE, np.uint8))


@pytest.mark.parametrize("shape", ["cross", "half", "full", "dot", "two"])
def test_what_is_no_ellipse_is_refused_by_name_when_it_is_loaded(root, shape):
    drawn = np.zeros(SHAPE, np.uint8)
    if shape == "cross":
        drawn[50:70, 10:150] = drawn[10:110, 70:90] = 255
    elif shape == "half":
        drawn = _annotation(HEAD, filled=False)
        drawn[:, 75:] = 0
    elif shape == "full":
        drawn[:] = 255
    elif shape == "dot":
        drawn[60, 80] = 255
    else:
        drawn = _annotation(Ellipse(40, 60, 20, 15, 0), True) | _annotation(
            Ellipse(110, 60, 20, 15, 0), True
        )
    with pytest.raises(DataError, match=r"010_HC_Annotation\.png: .*\[010_HC\]"):
        _mask_of(root, drawn)


def test_a_truncated_annotation_is_refused_by_name(root):
    path = root / "training_set/010_HC_Annotation.png"
    path.write_bytes(path.read_bytes()[:-60])
    assert "010_HC_Annotation.png: cannot be read as an image" in _refused(root)


def test_an_annotation_that_breaks_later_is_refused_by_name_when_it_is_loaded(root):
    path = root / "training_set/010_HC_Annotation.png"
    sample = next(sample for sample in read_hc18(root) if sample.id == "010_HC")
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(ImageError, match=r"010_HC_Annotation\.png"):
        sample.load_mask()


GOOD = [("010_HC", 0.1), ("010_2HC", 0.2), ("011_HC", 0.3), ("012_HC", 0.15)]


@pytest.fixture
def table(root):
    """Four heads and a function that writes their table, changed by a function of a row."""
    _write_pair(root, "012_HC")
    heads = [HEAD.shrunk(4 * place) for place in range(len(GOOD))]
    for (id, _), head in zip(GOOD, heads, strict=True):
        write_png(root / f"training_set/{id}_Annotation.png", _annotation(head, filled=True))

    def write(change=lambda mm, hc: (mm, hc), shift=0):
        sizes = zip(GOOD, heads, strict=True)
        rows = [change(mm, mm * head.perimeter) for (_, mm), head in sizes]
        rows = rows[shift:] + rows[:shift]
        cells = zip(GOOD, rows, strict=True)
        _write_table(root, *(f"{id}.png,{mm:.9g},{hc:.9g}" for (id, _), (mm, hc) in cells))
        return root

    return write


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda mm, hc: (mm, hc / 10), "the table's HC looks like cm"),
        (lambda mm, hc: (mm, hc * 10), "ten times too large"),
        (lambda mm, hc: (hc, mm), "are the two columns swapped?"),
        (lambda mm, hc: (1 / mm, hc), "from 0.01 to 2 are expected"),
        (lambda mm, hc: (1e9, hc), "from 0.01"),
        (lambda mm, hc: (mm / 10, hc), "ten times too large, or the pixel size is in cm"),
        (lambda mm, hc: (mm * 1.06, hc), "but the annotation's perimeter"),
    ],
)
def test_a_table_that_contradicts_its_drawings_is_refused_for_every_file(table, change, said):
    read_hc18(table())
    message = _refused(table(change))
    assert "4 of 4 images cannot be used" in message
    assert sum(said in line for line in message.splitlines()) == 4
    assert [f"line {n}" in message for n in (2, 3, 4, 5)] == [True] * 4


def test_shifted_rows_are_recognised(table):
    message = _refused(table(shift=1))
    assert message.count("are the rows shifted?") == 3  # the first one's went to the end
    assert "4 of 4 images" in message


def test_an_inverted_pixel_size_within_the_range_is_recognised(table):
    assert "inverted (pixels per mm)" in _refused(table(lambda mm, hc: (1 / 0.7, hc / mm * 0.7)))


def test_one_wrong_row_is_named_alone(table):
    table()
    first = iter([True])
    message = _refused(table(lambda mm, hc: (mm, hc * 10 if next(first, False) else hc)))
    assert "1 of 4 images cannot be used" in message and "line 2: HC" in message
    assert len(read_hc18(table(), exclude=["010_HC"])) == 3


def test_a_table_that_differs_a_little_is_read(table):
    assert len(read_hc18(table(lambda mm, hc: (mm, hc * 1.04)))) == 4


@pytest.mark.parametrize("values", [(1, 2, 3), (85, 170, 255)])
def test_a_mask_of_several_labels_is_refused(root, values):
    path = root / "training_set/010_HC_Annotation.png"
    labels = np.zeros(SHAPE, np.uint8)
    for value, shrunk_px in zip(values, (0, 12, 20), strict=True):
        labels[rasterise(HEAD.shrunk(shrunk_px), SHAPE)] = value
    write_png(path, labels)
    assert "the mask holds several values beside 0" in _refused(root)


@pytest.mark.parametrize("filled", [True, False])
def test_soft_edges_are_one_value(root, filled):
    path = root / "training_set/010_HC_Annotation.png"
    soft = cv2.GaussianBlur(_annotation(HEAD, filled), (0, 0), 1.2)
    write_png(path, soft)
    assert len(read_hc18(root)) == 3


def test_a_frame_whose_pixels_are_not_square_is_refused(root):
    path = root / "training_set/010_HC.png"
    Image.open(path).save(path, dpi=(100, 120))
    assert "it is unknown which pixels the annotation belongs to" in _refused(root)


heads = st.builds(
    Ellipse,
    st.floats(200, 300),
    st.floats(150, 200),
    st.floats(90, 130),
    st.floats(65, 88),
    st.floats(0, 179.9),
)


@given(heads, st.booleans())
def test_either_annotation_gives_back_the_ellipse_it_was_drawn_around(head, filled):
    found = caliper_ellipse(_annotation(head, filled, (360, 500)))
    assert found.perimeter == pytest.approx(head.perimeter, rel=1e-3)
    assert (found.center_x, found.center_y) == pytest.approx(
        (head.center_x, head.center_y), abs=0.1
    )
    assert found.semi_major == pytest.approx(head.semi_major, abs=0.2)
    assert found.semi_minor == pytest.approx(head.semi_minor, abs=0.2)


@pytest.mark.parametrize("line_px", [1.5, 3.0, 5.0])
def test_an_outline_of_any_width_gives_the_middle_of_the_line(line_px):
    found = caliper_ellipse(_annotation(HEAD, filled=False, line_px=line_px))
    assert found.perimeter == pytest.approx(HEAD.perimeter, rel=2e-3)


@pytest.mark.parametrize("filled", [True, False])
def test_a_head_that_the_frame_cuts_keeps_its_size(filled):
    head = Ellipse(135.0, 60.0, 45.0, 35.0, 10.0)  # a fifth lies beyond the right edge
    found = caliper_ellipse(_annotation(head, filled))
    assert found.perimeter == pytest.approx(head.perimeter, rel=0.01)


@pytest.mark.parametrize("value", [1, 255])
def test_palette_colour_and_label_files_are_read_alike(tmp_path, value):
    drawn = _annotation(HEAD, filled=True) // 255 * value
    write_png(tmp_path / "gray.png", drawn)
    Image.fromarray(drawn).convert("RGB").save(tmp_path / "colour.png")
    expected = load_ellipse_mask(tmp_path / "gray.png")
    np.testing.assert_array_equal(load_ellipse_mask(tmp_path / "colour.png"), expected)
    np.testing.assert_array_equal(expected, load_ellipse_mask(tmp_path / "gray.png", LINE_PX))


def test_the_line_width_of_filled_masks_can_be_set(root):
    areas = [read_hc18(root, annotation_line_px=width)[1].load_mask().sum() for width in (0.0, 2.8)]
    assert areas[0] - areas[1] == pytest.approx(1.4 * HEAD.perimeter, rel=0.1)


def _outline(filled: np.ndarray) -> np.ndarray:
    """The line that a filled annotation was filled from: its outermost 2.8 px."""
    # The distance runs between pixel centres; the border lies half a pixel before the first.
    depth = cv2.distanceTransform((filled > 0).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return ((depth > 0) & (depth - 0.5 <= LINE_PX)).astype(np.uint8) * 255


def test_real_masks_measure_as_the_experts_did(real_data):
    samples = read_hc18(real_data / "hc18")
    errors: dict[str, list[float]] = {"mask": [], "filled": [], "outline": []}
    for sample in samples[::8]:
        annotation = read_mask(sample.load_mask.args[0])
        ellipses = {
            "mask": fit_ellipse(sub_pixel_contour(sample.load_mask())),
            "filled": caliper_ellipse(annotation),
            "outline": caliper_ellipse(_outline(annotation)),
        }
        for kind, ellipse in ellipses.items():
            hc_mm = ellipse.perimeter * sample.mm_per_pixel
            errors[kind].append(hc_mm - sample.reference["hc_mm"])
    assert len(errors["mask"]) > 90
    for kind, values in errors.items():
        assert abs(np.mean(values)) < 0.2, kind
        assert np.std(values) < 0.2, kind


def test_real_data_is_read_whole_by_the_headers_of_its_frames(real_data, monkeypatch):
    # Annotations are decoded, to hold the table against them; frames would take longer.
    monkeypatch.setattr(images, "read_frame", lambda *_: pytest.fail("decoded while reading"))
    samples = read_hc18(real_data / "hc18")
    names = [n for n in os.listdir(real_data / "hc18/training_set") if "_Annotation" not in n]
    assert len(samples) == len(names) == 787
    assert len({sample.group for sample in samples}) == 645
