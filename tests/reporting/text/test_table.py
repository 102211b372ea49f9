import pytest

from fetal_tf.reporting.text.table import markdown_table, significant, text_table

LINES = [["format", "ms|s"], ["int8", "1.5"], ["float32", "12"]]


def test_words_stand_left_and_figures_right():
    assert text_table(LINES).splitlines() == ["format   ms|s", "int8      1.5", "float32    12"]
    assert text_table(LINES, rule=True).splitlines()[1] == "-------  ----"
    assert text_table([["a", "b"], ["cc", "dd"]], text_columns=2).splitlines() == [
        "a   b",
        "cc  dd",
    ]


def test_markdown_is_escaped_and_aligned():
    assert markdown_table(LINES).splitlines() == [
        "| format  | ms\\|s |",
        "| ------- | ----: |",
        "| int8    |   1.5 |",
        "| float32 |    12 |",
    ]
    assert "ms|s" in markdown_table(LINES, bar="|")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "\N{EN DASH}"),
        (0.0, "0"),
        (1.2345, "1.23"),
        (1234.5, "1234"),
        (0.00001234, "1.2e-05"),
    ],
)
def test_significant_digits(value, text):
    assert significant(value) == text
