"""Text is set where it is measured to be, in signs that the font has."""

import string
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from fetal_tf.edge.draw import lettering
from fetal_tf.edge.draw.lettering import draw_text, text_size, text_width, wrapped

WHITE = (255, 255, 255)


def drawn(text, size=40):
    """Brightness 0..255, (100, 600); the line's middle is row 50, its left end column 10."""
    canvas = Image.new("RGB", (600, 100))
    draw_text(ImageDraw.Draw(canvas), (10, 50), text, WHITE, size)
    return np.asarray(canvas)[..., 0]


def rows_and_columns(picture):
    """First and last (y, x) with ink."""
    inked = np.argwhere(picture > 80)
    return inked.min(0), inked.max(0)


@pytest.mark.parametrize("text", ["HC 172.3 mm", "GA 20w3d (Hadlock)", "a: 5 % > 3; b"])
def test_plain_text_is_set_in_one_go_as_pillow_sets_it(text):
    canvas = Image.new("RGB", (600, 100))
    font = ImageFont.load_default(40)
    ImageDraw.Draw(canvas).text((10, 50), text, WHITE, font, anchor="lm")
    np.testing.assert_array_equal(drawn(text), np.asarray(canvas)[..., 0])
    assert text_width(text, 40) == font.getlength(text)


@pytest.mark.parametrize(("sign", "digit"), [("²", "2"), ("³", "3")])
def test_an_exponent_is_a_smaller_digit_set_higher(sign, digit):
    plain, raised = drawn(f"mm{digit}"), drawn(f"mm{sign}")
    start = int(text_width("mm", 40)) + 10
    np.testing.assert_array_equal(raised[:, :start], drawn("mm")[:, :start])
    (top, _), (bottom, right) = rows_and_columns(raised[:, start:])
    (plain_top, _), (plain_bottom, plain_right) = rows_and_columns(plain[:, start:])
    assert 0.5 < (bottom - top) / (plain_bottom - plain_top) < 0.75
    assert abs(top - plain_top) <= 4 and bottom < plain_bottom - 8
    assert right < plain_right


def test_what_follows_an_exponent_stands_behind_it():
    picture = drawn("mm², LV")
    _, (_, right) = rows_and_columns(picture)
    assert right == pytest.approx(10 + text_width("mm², LV", 40), abs=4)
    assert text_width("mm², LV", 40) == pytest.approx(
        text_width("mm", 40) + text_width("²", 40) + text_width(", LV", 40)
    )
    assert 0.4 < text_width("²", 40) / text_width("2", 40) < 0.8


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("≥ 10 mm", ">= 10 mm"),
        ("≤ 5", "<= 5"),
        ("1\N{EN DASH}2", "1-2"),
        ("\N{MINUS SIGN}3", "-3"),
        ("9\N{MULTIPLICATION SIGN}9", "9x9"),
        ("ΔHC", "delta HC"),
    ],
)
def test_other_signs_are_spelled(text, spelled):
    np.testing.assert_array_equal(drawn(text), drawn(spelled))
    assert text_width(text, 40) == text_width(spelled, 40)


def test_the_font_lacks_what_is_replaced_and_has_what_replaces_it():
    font = ImageFont.load_default(30)

    def looks(sign):
        mask = font.getmask(sign)
        return mask.size, bytes(mask)

    lacking = looks("\uffff")
    replaced = {chr(code): text for code, text in lettering._SPELLED.items()} | lettering._RAISED
    for sign, text in replaced.items():
        assert looks(sign) == lacking
        assert all(looks(letter) != lacking for letter in text if letter != " ")
    assert not [s for s in string.printable if s.strip() and looks(s) == lacking]


@given(st.text("ab ²≥ ", max_size=60), st.integers(30, 400))
def test_lines_hold_every_word_in_order_and_no_more_than_fits(text, width):
    lines = wrapped(text, 20, width)
    assert " ".join(lines).split() == text.split()
    assert all(text_width(line, 20) <= width for line in lines if " " in line)
    for line, following in pairwise(lines):
        assert text_width(f"{line} {following.split()[0]}", 20) > width


@pytest.mark.parametrize(("width", "size"), [(1, 14), (644, 14), (920, 20), (20_000, 120)])
def test_text_grows_with_the_picture_within_limits(width, size):
    assert text_size(width) == size
