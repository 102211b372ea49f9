"""What a file is called is shown and written, but never obeyed."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetal_tf.edge.io.foreign_text import as_cell, of_cell, printable


@pytest.mark.parametrize(
    "text, shown",
    [
        ("scan.png", "scan.png"),
        ("Kopf ä 頭 µm.png", "Kopf ä 頭 µm.png"),
        ("\x1b[2Jgone.png", r"\x1b[2Jgone.png"),
        ("a\rb\nc\td\x00", r"a\rb\nc\td\x00"),
        ("\x9b31m", r"\x9b31m"),
        ("gnp.\u202ecba", r"gnp.\u202ecba"),
        ("a\u2028b\u2066", r"a\u2028b\u2066"),
        ("scan\udcff.png", r"scan\udcff.png"),
    ],
)
def test_control_characters_are_shown(text, shown):
    assert printable(text) == shown


@given(st.text(st.characters(codec=None)))
def test_what_is_printable_is_one_line_of_utf8(text):
    shown = printable(text)
    assert len(shown.encode("utf-8").splitlines()) == len(shown.splitlines()) <= 1
    assert printable(shown) == shown


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-x", "@SUM(A1)", "\t=1", "\r=1", "'=1", "-"])
def test_formulas_get_an_apostrophe(text):
    assert as_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["scan.png", "-1.5", "+3e-4", "", "'quoted'", "a=b", "./-x.png"])
def test_numbers_and_other_text_stay(text):
    assert as_cell(text) == text


@given(st.text("'=+-@\t\ra1.") | st.text(st.characters(codec="utf-8")))
def test_a_cell_gives_its_text_back(text):
    assert of_cell(as_cell(text)) == text
    assert as_cell(text)[:1] not in tuple("=@\t\r")
    line = io.StringIO()
    csv.writer(line).writerow([as_cell(text), "x"])
    (cells,) = csv.reader(io.StringIO(line.getvalue(), newline=""))
    assert of_cell(cells[0]) == text
