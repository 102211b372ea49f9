"""Pixel sizes are numbers in a plausible range, each for one file, or errors that name the line."""

from pathlib import Path

import pytest

from fetal_tf.edge.errors import DataError
from fetal_tf.edge.io.pixel_sizes import parse_mm_per_pixel, read_pixel_sizes
from fetal_tf.edge.io.tables import MAX_ROWS

HEADER = "filename,pixel size(mm),head circumference (mm)\n"
BEYOND = ["1e308", "1e-320", "0.009", "2.1", "6.25", "10"]


def written(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "sizes.csv"
    path.write_text(text, encoding=encoding)
    return path


def sizes(tmp_path, text, *paths):
    found = read_pixel_sizes(written(tmp_path, text)).of([Path(path) for path in paths])
    return {str(path): size for path, size in found.items()}


@pytest.mark.parametrize("text", ["0", "-0.1", "nan", "inf", "", "0,12", "abc", *BEYOND])
def test_texts_that_are_no_size(text):
    with pytest.raises(ValueError, match=f"from 0.01 to 2 are expected, not '{text}'"):
        parse_mm_per_pixel(text)


def test_the_ends_of_the_range_are_sizes():
    assert [parse_mm_per_pixel(text) for text in ("0.01", "2", "1e-1")] == [0.01, 2, 0.1]


def test_hc18_and_its_test_set(tmp_path):
    text = HEADER + "000_HC.png,0.069135804,44.3\n\n001_HC.png, 0.09 ,56.8\n"
    expected = {"000_HC.png": 0.069135804, "x/001_HC.png": 0.09}
    assert sizes(tmp_path, text, "000_HC.png", "x/001_HC.png", "002_HC.png") == expected
    other = "Pixel Size (mm),FileName\r\n0.1,a.png\r\n"
    table = read_pixel_sizes(written(tmp_path, other, "utf-8-sig"))
    assert table.of([Path("a.png")]) == {Path("a.png"): 0.1}


@pytest.mark.parametrize(
    "column, value, mm",
    [
        ("pixel size(mm)", "0.16", 0.16),
        ("Pixel Size (MM)", "0.16", 0.16),
        ("Pixel  in mm", "0.16", 0.16),
        ("pixel_size_mm", "0.16", 0.16),
        ("pixel spacing [mm]", "0.16", 0.16),
        ("mm_per_pixel", "0.16", 0.16),
        ("mm/px", "0.16", 0.16),
        ("px_to_mm_rate", "0.16", 0.16),
        ("pixel size (cm)", "0.016", 0.16),
        ("pixel size (µm)", "160", 0.16),
        ("um per pixel", "160", 0.16),
        ("pixel size (m)", "0.00016", 0.16),
    ],
)
def test_spellings_and_units_of_the_column(tmp_path, column, value, mm):
    text = f"pixel intensity (mean),image name,pixels in mask,{column}\n0.2,a.png,7,{value}\n"
    text = text.replace("image name", "image_name")
    assert sizes(tmp_path, text, "a.png") == pytest.approx({"a.png": mm})


@pytest.mark.parametrize(
    "header, said",
    [
        ("filename,Pixel Size X (mm),Pixel Size Y (mm)", "'Pixel Size X .mm.', 'Pixel Size Y"),
        ("filename,pixel size(mm),Pixel in mm", "could each be the pixel size"),
        ("filename,pixel size(mm),pixel size(cm)", "could each be the pixel size"),
        ("filename,pixel size(mm),pixel size y", "could each be the pixel size"),
        ("filename,pixel size", "'pixel size.mm.' is expected.*'pixel size'"),
        ("filename,pixel size (inch)", "'pixel size .inch.'"),
        ("filename,pixel intensity", "'pixel size.mm.' is expected"),
        ("filename,pixel index", "'pixel size.mm.' is expected"),
        ("filename,image_name,pixel size(mm)", "one column that names the files"),
        ("filenames of all,pixel size(mm)", "one column that names the files"),
    ],
)
def test_columns_that_are_no_pixel_size_or_could_be_two(tmp_path, header, said):
    text = header + "\n" + ",".join(["a.png", *["0.2"] * header.count(",")]) + "\n"
    with pytest.raises(DataError, match=rf"sizes\.csv: .*{said}"):
        read_pixel_sizes(written(tmp_path, text))


def test_one_row_never_serves_two_files(tmp_path):
    text = HEADER + "frame.png,0.16,1\n"
    with pytest.raises(DataError, match=r"line 2 \(frame.png\) fits P1/frame.png and P2/frame.png"):
        sizes(tmp_path, text, "P1/frame.png", "P2/frame.png")
    assert sizes(tmp_path, text, "P1/frame.png", "P2/other.png") == {"P1/frame.png": 0.16}


def test_rows_by_relative_path(tmp_path):
    text = HEADER + "P1/frame.png,0.1,1\n./P2/frame.png,0.2,1\nP3\\frame.png,0.3,1\nb,0.4,1\n"
    paths = ["P1/frame.png", "scans/P2/frame.png", "P3/frame.png", "P4/frame.png", "b.png"]
    assert list(sizes(tmp_path, text, *paths).values()) == [0.1, 0.2, 0.3, 0.4]


def test_the_longest_of_several_rows_counts(tmp_path):
    text = HEADER + "frame.png,0.1,1\nP2/frame.png,0.2,1\n"
    expected = {"P1/frame.png": 0.1, "P2/frame.png": 0.2}
    assert sizes(tmp_path, text, "P1/frame.png", "P2/frame.png") == expected
    with pytest.raises(DataError, match=r"fits P1/frame.png and P3/frame.png"):
        sizes(tmp_path, text, "P1/frame.png", "P2/frame.png", "P3/frame.png")


def test_a_name_that_a_table_of_ours_made_harmless(tmp_path):
    assert sizes(tmp_path, HEADER + "'=a.png,0.1,1\n'b.png,0.2,1\n", "=a.png", "'b.png") == {
        "=a.png": 0.1,
        "'b.png": 0.2,
    }


def test_a_whole_path(tmp_path):
    text = HEADER + f"{tmp_path}/a.png,0.1,1\n"
    assert list(sizes(tmp_path, text, tmp_path / "a.png", "a.png").values()) == [0.1]


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "an empty file"),
        ("name,size\na,1\n", "found 'name', 'size'"),
        (HEADER + "a.png,0,1\n", "line 2: .*'0'"),
        (HEADER + "a.png,0.1,1\nb.png,nan,1\n", "line 3"),
        (HEADER + "a.png,0.1,1\nb.png,1e308,1\n", "0.01 to 2"),
        ("filename,pixel size(cm)\na.png,1.1\n", r"'1.1' \(that is 11 mm"),
        (HEADER + "a.png\n", "line 2: 'pixel size.mm.' is ''"),
        (HEADER + "a.png,0,12,175\n", "line 2: more cells than columns; are there decimal commas"),
        (HEADER + ",0.1,1\n", "line 2 names no file"),
        (HEADER + "a.png,0.1,1\na.png,0.2,1\n", "line 3: a.png has 0.2 mm here, 0.1 mm in line 2"),
        ("filename,pixel size(mm)\n\n\na.png,0.1\n\nb.png,0\n", "line 6"),
        ('filename,pixel size(mm),remark\na.png,0.1,"two\nlines"\nb.png,0,\n', "line 4"),
        (HEADER + 'a.png,0.1,"open\n' + "x" * 200_000, "near line 3"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, text, said):
    with pytest.raises(DataError, match=rf"sizes\.csv[:,] .*{said}"):
        read_pixel_sizes(written(tmp_path, text))


def test_a_table_of_surplus_rows_is_read_up_to_a_limit(tmp_path):
    rows = [f"{number}.png,0.1,\n" for number in range(MAX_ROWS)]
    assert sizes(tmp_path, HEADER + "".join(rows), "7.png", "x.png") == {"7.png": 0.1}
    # The rest is not even parsed: it would be a fault of its own.
    rows += ["x.png,0.1,\n", '"open\n' + "x" * 200_000]
    with pytest.raises(DataError, match=r"sizes\.csv: more than 100000 rows"):
        sizes(tmp_path, HEADER + "".join(rows), "7.png")


def test_missing_binary_and_folder(tmp_path):
    with pytest.raises(DataError, match="absent"):
        read_pixel_sizes(tmp_path / "absent.csv")
    (tmp_path / "b.csv").write_bytes(bytes(range(256)))
    with pytest.raises(DataError, match=r"b\.csv"):
        read_pixel_sizes(tmp_path / "b.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError, match=r"folder\.csv: a folder; a CSV file is expected"):
        read_pixel_sizes(tmp_path / "folder.csv")
