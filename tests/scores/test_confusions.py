"""Confusion matrices against counting pixel by pixel; writing to rows and reading back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fetal_tf.edge.errors import DataError
from fetal_tf.scores.confusions import (
    check_confusions,
    confusion,
    confusion_columns,
    confusions_of_rows,
)
from fetal_tf.scores.rows import csv_text, image_frame, read_rows

CLASSES = ("background", "brain", "csp", "lv")
maps = arrays(np.uint8, (4, 5), elements=st.integers(0, 3))
matrices = arrays(np.int64, (4, 4), elements=st.integers(0, 10**7))


@given(maps, maps)
def test_confusion_equals_counting(pred, truth):
    expected = np.zeros((4, 4), np.int64)
    for y in range(4):
        for x in range(5):
            expected[truth[y, x], pred[y, x]] += 1
    got = confusion(pred, truth, 4)
    assert got.dtype == np.int64
    np.testing.assert_array_equal(got, expected)


def test_many_classes_do_not_overflow_uint8():
    got = confusion(np.full((2, 2), 19, np.uint8), np.full((2, 2), 18, np.uint8), 20)
    assert got[18, 19] == got.sum() == 4


def test_maps_that_cannot_be_compared_are_refused():
    fine = np.zeros((4, 5), np.uint8)
    with pytest.raises(TypeError, match="pred must be a uint8 map of class indices, found float32"):
        confusion(fine.astype(np.float32), fine, 3)
    with pytest.raises(TypeError, match="truth must be a uint8 map"):
        confusion(fine, fine.astype(np.int64), 3)
    with pytest.raises(ValueError, match=r"truth must be \[height, width\]"):
        confusion(fine, fine[None], 3)
    with pytest.raises(ValueError, match=r"pred is \(4, 5\), truth is \(5, 4\)"):
        confusion(fine, fine.T, 3)
    with pytest.raises(ValueError, match="truth holds class 3, the 3 classes end at 2"):
        confusion(fine, fine + np.uint8(3), 3)


@given(st.lists(matrices, max_size=4), st.sampled_from(["", "raw_"]))
def test_columns_come_back(written, prefix):
    rows = [{"group": n, **confusion_columns(m, CLASSES, prefix)} for n, m in enumerate(written)]
    read, groups = confusions_of_rows(image_frame(rows), CLASSES, prefix)
    assert groups == list(range(len(written)))
    assert (read.dtype, read.shape) == (np.int64, (len(written), 4, 4))
    np.testing.assert_array_equal(read, np.reshape(written, (-1, 4, 4)))


def test_columns_are_named_truth_first():
    matrix = np.array([[1, 2], [3, 4]])
    columns = confusion_columns(matrix, ("background", "brain"), "raw_")
    assert columns == {
        "raw_confusion_background_background_px": 1,
        "raw_confusion_background_brain_px": 2,
        "raw_confusion_brain_background_px": 3,
        "raw_confusion_brain_brain_px": 4,
    }
    assert all(type(value) is int for value in columns.values())


def test_both_prefixes_live_in_one_row():
    one, two = np.array([[1, 2], [3, 4]]), np.array([[5, 6], [7, 8]])
    classes = ("background", "brain")
    row = confusion_columns(one, classes) | confusion_columns(two, classes, "raw_")
    rows = image_frame([row])
    assert (confusions_of_rows(rows, classes)[0][0] == one).all()
    assert (confusions_of_rows(rows, classes, "raw_")[0][0] == two).all()


def test_rows_that_failed_or_lack_a_column_are_skipped():
    whole = confusion_columns(np.array([[1, 2], [3, 4]]), ("background", "brain"))
    name = "confusion_brain_brain_px"
    rows = [
        {"group": "failed", "error": "cannot be read"},
        {**whole, "group": "unknown", name: None},
        {"group": "lacks it", **{key: value for key, value in whole.items() if key != name}},
        {**whole, "group": "5", "error": ""},
        {**whole, "group": "6"},
    ]
    read, groups = confusions_of_rows(image_frame(rows), ("background", "brain"))
    assert groups == ["5", "6"]
    assert read.tolist() == [[[1, 2], [3, 4]]] * 2


def test_the_text_of_a_csv_is_read(tmp_path):
    columns = confusion_columns(np.array([[431999, 0], [3, 4]]), ("background", "brain"))
    path = tmp_path / "per_image.csv"
    path.write_text(csv_text([{"id": "a", "group": "a", **columns}]))
    rows = read_rows(path)
    assert confusions_of_rows(rows, ("background", "brain"))[0].tolist() == [[[431999, 0], [3, 4]]]


@pytest.mark.parametrize("cell", [1.5, -1, "many"])
def test_a_cell_that_counts_no_pixels_is_refused(cell):
    row = confusion_columns(np.array([[1, 2], [3, 4]]), ("background", "brain"))
    row["confusion_brain_background_px"] = cell
    with pytest.raises(DataError, match="confusion_brain_background_px must be a whole number"):
        confusions_of_rows(image_frame([row]), ("background", "brain"))


def test_what_is_no_confusion_matrix_is_refused():
    with pytest.raises(ValueError, match=r"must be \[2, 2\], found shape \(3, 3\)"):
        check_confusions(np.zeros((3, 3), int), 2, ndim=2)
    with pytest.raises(ValueError, match=r"must be \[N, 2, 2\], found shape \(2, 2\)"):
        check_confusions(np.zeros((2, 2), int), 2, ndim=3)
    with pytest.raises(TypeError, match=r"count pixels \(integers\), found float64"):
        check_confusions(np.zeros((2, 2)), 2, ndim=2)
