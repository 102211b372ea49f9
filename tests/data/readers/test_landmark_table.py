"""Tables of OFD and BPD ends: numbers as they are, and each way a row can be broken."""

from pathlib import Path

import numpy as np
import pytest

from fetal_tf.data.readers.landmark_table import (
    END_COLUMNS,
    only_row,
    read_landmark_rows,
    row_points,
)
from fetal_tf.edge.errors import DataError

HEADER = ",".join(["image_name", *END_COLUMNS])


def _table(folder: Path, *lines: str, header: str = HEADER) -> Path:
    path = folder / "ends.csv"
    path.write_text("\n".join([header, *lines, ""]), encoding="utf-8")
    return path


def test_columns_are_those_of_the_published_table():
    assert HEADER == ("image_name,ofd_1_x,ofd_1_y,ofd_2_x,ofd_2_y,bpd_1_x,bpd_1_y,bpd_2_x,bpd_2_y")


def test_points_keep_the_names_and_the_order_of_the_row(tmp_path):
    rows = read_landmark_rows(_table(tmp_path, "010_HC.png,8,7,6,5,4,3, -2.5 ,1"))
    points = row_points(only_row(rows["010_HC"]))
    np.testing.assert_array_equal(points, [[8, 7], [6, 5], [4, 3], [-2.5, 1]])
    assert points.dtype == np.float64


def test_columns_may_stand_in_another_order(tmp_path):
    header = ",".join(["SubjectID", *reversed(END_COLUMNS), "image_name"])
    rows = read_landmark_rows(
        _table(tmp_path, "7,1,2,3,4,5,6,7,8,a.png", header=header), ("SubjectID",)
    )
    np.testing.assert_array_equal(row_points(rows["a"][0]), [[8, 7], [6, 5], [4, 3], [2, 1]])
    assert rows["a"][0].text("SubjectID") == "7"


@pytest.mark.parametrize("text", ["", "x", "nan", "inf", "1e999"])
def test_what_is_no_number_is_named_with_its_line_and_column(tmp_path, text):
    rows = read_landmark_rows(_table(tmp_path, "", f"a.png,8,7,6,5,4,3,{text},1"))
    with pytest.raises(DataError, match=rf"ends\.csv, line 3: 'bpd_2_x' is '{text}', a number"):
        row_points(rows["a"][0])


def test_decimal_commas_are_suspected(tmp_path):
    rows = read_landmark_rows(_table(tmp_path, "a.png,8,5,7,6,5,4,3,2,1,5"))
    with pytest.raises(DataError, match="line 2: more cells than columns"):
        row_points(rows["a"][0])


def test_two_rows_of_one_image_are_refused(tmp_path):
    row = "a.png,8,7,6,5,4,3,2,1"
    with pytest.raises(DataError, match=r"ends\.csv has 2 rows for a\.png, lines 2, 3"):
        only_row(read_landmark_rows(_table(tmp_path, row, row))["a"])


def test_a_missing_column_and_a_missing_name_are_refused(tmp_path):
    with pytest.raises(DataError, match="one column 'SubjectID' is expected, found 0"):
        read_landmark_rows(_table(tmp_path, "a.png,8,7,6,5,4,3,2,1"), ("SubjectID",))
    with pytest.raises(DataError, match=r"ends\.csv, line 2: no image_name"):
        read_landmark_rows(_table(tmp_path, ",8,7,6,5,4,3,2,1"))
