import json
import math

import numpy as np
import pandas as pd
import pytest

from fetal_tf.edge.errors import DataError
from fetal_tf.scores.rows import csv_text, image_frame, json_text, numbers, read_rows, scored

ROWS = [
    {"id": "005", "group": "1e3", "dice": 0.25, "note": "mild", "n": 1234567, "flags": ""},
    {"id": "6", "group": "7", "dice": float("nan"), "lv": None, "flags": "a: 1, 2", "error": "x"},
]


def test_rows_come_back_from_their_table(tmp_path):
    path = tmp_path / "per_image.csv"
    path.write_text(csv_text(ROWS))
    first, second = read_rows(path).to_dict("records")
    assert (first["id"], first["group"]) == ("005", "1e3")  # names, whatever they look like
    assert (first["dice"], first["note"], first["n"]) == (0.25, "mild", 1234567.0)
    assert (first["flags"], first["refused"], first["error"]) == ("", "", "")
    assert math.isnan(first["lv"]) and math.isnan(second["dice"]) and second["note"] == ""
    assert (second["flags"], second["error"]) == ("a: 1, 2", "x")


def test_texts_that_are_empty_in_every_image_stay_texts(tmp_path):
    """Brain data of which no condition is known: "" came back as NaN, which is a condition."""
    path = tmp_path / "per_image.csv"
    empty = {"condition": "", "ventriculomegaly": "", "true_ventriculomegaly": ""}
    path.write_text(csv_text([{"id": "a", "group": "a", "source": "007", **empty}]))
    (row,) = read_rows(path).to_dict("records")
    assert {name: row[name] for name in empty} == empty
    assert row["source"] == "007"


def test_a_name_that_a_spreadsheet_would_run_comes_back_from_its_table(tmp_path):
    path = tmp_path / "per_image.csv"
    rows = [{"id": '=HYPERLINK("x")', "group": "-1+1", "n": 2**53 + 1, "d": -0.5, "error": "@a"}]
    path.write_text(csv_text(rows))
    first, *_ = path.read_text().splitlines()[1:]
    assert first == f'"\'=HYPERLINK(""x"")",\'-1+1,{2**53 + 1},-0.5,\'@a'
    (row,) = read_rows(path).to_dict("records")
    assert {name: row[name] for name in rows[0]} == rows[0]


def test_columns_have_one_type_each():
    rows = [
        {"id": "a", "n": 2**53 + 1, "dice": 1, "lv": None, "note": None},
        {"id": "b", "dice": float("inf"), "note": "mild", "error": "x"},
        {"id": "c", "n": 3, "dice": 0.5},
    ]
    frame = image_frame(rows)
    assert list(frame) == ["id", "n", "dice", "lv", "note", "group", "flags", "refused", "error"]
    assert frame["n"].tolist() == [2**53 + 1, pd.NA, 3]
    assert (frame["dice"].dtype, frame["lv"].dtype) == (np.float64, np.float64)
    assert frame["note"].tolist() == ["", "mild", ""] and frame["error"].tolist() == ["", "x", ""]
    assert list(scored(frame)["id"]) == ["a", "c"]
    np.testing.assert_array_equal(numbers(frame, "dice"), [1, np.nan, 0.5])
    np.testing.assert_array_equal(
        numbers(frame, "n", "missing"), [[2.0**53, np.nan], [np.nan, np.nan], [3, np.nan]]
    )
    assert numbers(image_frame([]), "dice").shape == (0,)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no table"),
        ("a,b\n1,2\n", "no table"),
        ("id,group,dice\n1,2\n", "not as many cells"),
        ("id,group\n1,2,3\n", "not as many cells"),
    ],
)
def test_what_is_no_such_table_is_named(tmp_path, text, said):
    path = tmp_path / "per_image.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=said) as error:
        read_rows(path)
    assert str(path) in str(error.value)


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(DataError, match=r"per_image\.csv: cannot be read"):
        read_rows(tmp_path / "per_image.csv")


def test_json_is_strict_and_short():
    tree = {"a": float("inf"), "b": (1 / 3, None), "c": {"d": 2}, "e": np.float32("nan")}
    assert json.loads(json_text(tree)) == {
        "a": None, "b": [0.333333, None], "c": {"d": 2}, "e": None
    }  # fmt: skip


@pytest.mark.parametrize("number", [int, np.int64, np.uint32])
def test_integers_are_written_exactly(number):
    assert csv_text([{"n": number(1234567891)}]) == "n\n1234567891\n"
    assert json.loads(json_text({"n": number(1234567891)})) == {"n": 1234567891}


def test_the_error_stands_last_and_other_columns_as_they_come():
    rows = [{"id": "1", "error": "x"}, {"id": "2", "dice": 1 / 3}, {"id": "3", "b": float("inf")}]
    assert csv_text(rows) == "id,dice,b,error\n1,,,x\n2,0.333333,,\n3,,,\n"
