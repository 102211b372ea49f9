import json

import pytest

from fetal_tf.edge.errors import DataError
from fetal_tf.result_files import csv_text, json_text, read_rows

ROWS = [
    {"id": "005", "group": "1e3", "dice": 0.25, "note": "mild", "n": 1234567, "flags": ""},
    {"id": "6", "group": "7", "dice": float("nan"), "lv": None, "flags": "a: 1, 2", "error": "x"},
]


def test_rows_come_back_from_their_table(tmp_path):
    path = tmp_path / "per_image.csv"
    path.write_text(csv_text(ROWS))
    first, second = read_rows(path)
    assert (first["id"], first["group"]) == ("005", "1e3")  # names, whatever they look like
    assert (first["dice"], first["note"], first["n"]) == (0.25, "mild", 1234567.0)
    assert (first["flags"], first["lv"], first["error"]) == ("", None, "")
    assert (second["dice"], second["flags"], second["error"]) == (None, "a: 1, 2", "x")


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
    tree = json.loads(json_text({"a": float("inf"), "b": (1 / 3, None), "c": {"d": 2}}))
    assert tree == {"a": None, "b": [0.333333, None], "c": {"d": 2}}
