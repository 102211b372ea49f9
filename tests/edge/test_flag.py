"""A flag has a code for programs and a sentence for people, and shows its violation as one."""

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetal_tf.edge.flag import Flag, beyond, flag_codes, outside, split_flags

codes = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
messages = st.text("ab:; _9%", min_size=1, max_size=20).filter(lambda text: "; " not in text)
numbers = st.floats(-1e6, 1e6)


def test_a_flag_is_its_text_and_has_both_parts():
    flag = Flag("touches_border", "4 % lie outside; take another frame")
    assert flag == "touches_border: 4 % lie outside; take another frame"
    assert (flag.code, flag.message) == ("touches_border", "4 % lie outside; take another frame")
    assert flag.as_record() == {"code": flag.code, "message": flag.message}
    for twin in (copy.deepcopy(flag), pickle.loads(pickle.dumps(flag))):
        assert (twin, twin.code, twin.message) == (flag, flag.code, flag.message)


@pytest.mark.parametrize(
    "code, message", [("No", "x"), ("", "x"), ("a b", "x"), ("a", ""), ("a", "x; b: y")]
)
def test_what_is_no_flag(code, message):
    with pytest.raises(ValueError, match="no flag"):
        Flag(code, message)


@pytest.mark.parametrize("cell", ["words", "words: ", ": x", "Words: x"])
def test_a_cell_that_holds_no_flags(cell):
    with pytest.raises(ValueError, match="no flag"):
        split_flags(cell)


@given(st.lists(st.builds(Flag, codes, messages), max_size=4))
def test_a_cell_gives_back_its_flags(flags):
    found = split_flags("; ".join(flags))
    assert [(f.code, f.message) for f in found] == [(f.code, f.message) for f in flags]
    assert flag_codes("; ".join(flags))[:1] == [flag.code for flag in flags[:1]]


@given(numbers, numbers, st.integers(0, 3))
def test_a_value_beyond_its_limit_is_shown_beyond_it(value, limit, decimals):
    found, stated = beyond(value, limit, decimals)
    assert (float(found) > float(stated)) == (value > limit)
    assert (float(found) < float(stated)) == (value < limit)


def test_as_many_decimals_as_needed_and_no_more():
    assert beyond(4.02, 4.0) == ("4.02", "4.00")
    assert beyond(4.6, 4.0) == ("4.6", "4.0")
    assert beyond(2.4, 2.0, 0) == ("2.4", "2.0")
    assert beyond(12.0, 2.0, 0) == ("12", "2")
    assert outside(64.96, 65.0, 92.0) == "64.96, expected 65.00 to 92.00"
    assert outside(400.04, 40.0, 400.0) == "400.04, expected 40.00 to 400.00"
    assert outside(10452.6, 40.0, 400.0) == "10452.6, expected 40.0 to 400.0"
