"""Pixel sizes are positive numbers or errors that name the row."""

import pytest

from fetal_tf.edge.errors import DataError
from fetal_tf.edge.io.pixel_sizes import parse_mm_per_pixel, read_pixel_sizes

HEADER = "filename,pixel size(mm),head circumference (mm)\n"
BEYOND = ["1e308", "1e-320", "0.0009", "10.1"]


def written(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "sizes.csv"
    path.write_text(text, encoding=encoding)
    return path


@pytest.mark.parametrize("text", ["0", "-0.1", "nan", "inf", "", "0,12", "abc", *BEYOND])
def test_texts_that_are_no_size(text):
    with pytest.raises(ValueError, match=f"from 0.001 to 10 are expected, not '{text}'"):
        parse_mm_per_pixel(text)


def test_the_ends_of_the_range_are_sizes():
    assert [parse_mm_per_pixel(text) for text in ("0.001", "10", "1e-1")] == [0.001, 10, 0.1]


def test_hc18_and_its_test_set(tmp_path):
    text = HEADER + "000_HC.png,0.069135804,44.3\n\n001_HC.png, 0.09 ,56.8\n"
    assert read_pixel_sizes(written(tmp_path, text)) == {
        "000_HC.png": 0.069135804,
        "001_HC.png": 0.09,
    }
    other = "Pixel Size (mm),FileName\r\n0.1,a.png\r\n"
    assert read_pixel_sizes(written(tmp_path, other, "utf-8-sig")) == {"a.png": 0.1}


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "an empty file"),
        ("name,size\na,1\n", "found name, size"),
        (HEADER + "a.png,0,1\n", r"row 2 \(a.png\).*'0'"),
        (HEADER + "a.png,0.1,1\nb.png,nan,1\n", r"row 3 \(b.png\)"),
        (HEADER + "a.png,0.1,1\nb.png,1e308,1\n", r"row 3 \(b.png\).*0.001 to 10"),
        (HEADER + "a.png\n", "row 2 has 1 cells"),
        (HEADER + "a.png,0.1,1\na.png,0.2,1\n", "row 3: a.png has 0.2 here, 0.1 above"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, text, said):
    with pytest.raises(DataError, match=rf"sizes\.csv: .*{said}"):
        read_pixel_sizes(written(tmp_path, text))


def test_missing_and_binary(tmp_path):
    with pytest.raises(DataError, match="absent"):
        read_pixel_sizes(tmp_path / "absent.csv")
    (tmp_path / "b.csv").write_bytes(bytes(range(256)))
    with pytest.raises(DataError, match=r"b\.csv"):
        read_pixel_sizes(tmp_path / "b.csv")
