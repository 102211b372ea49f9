"""Figures of heads by size and by dataset: grouping and contents."""

import pytest

from fetal_tf.reporting.sections.subgroups import subgroup_tables
from fetal_tf.scores.rows import image_frame
from fetal_tf.tasks.subgroup_summary import subgroup_section


def row(id, hc_mm, error_mm, **changes):
    return {
        "id": id,
        "group": id.split("_")[0],
        "hc_true_mm": hc_mm,
        "hc_error_mm": error_mm,
        "hc_abs_error_mm": None if error_mm is None else abs(error_mm),
        "dice": 0.97,
        "flags": "",
        "refused": "",
    } | changes


ROWS = image_frame(
    [
        row("a_1", 80.0, -1.0),
        row("a_2", 99.9, 3.0),
        row("b_1", 100.0, -12.0, flags="uncertain: x"),
        row("planes:c_1", 174.9, 2.0, source="planes"),
        row("planes:d_1", 300.0, -4.0, refused="no_head: x", source="planes"),
        row("e_1", None, None),
    ]
)


def test_every_image_is_in_the_group_of_its_size():
    size = subgroup_section(ROWS, seed=0)["subgroups"]["size"]
    assert {name: group["n"] for name, group in size.items()} == {
        "hc_below_100_mm": 2,
        "hc_100_to_175_mm": 2,
        "hc_from_260_mm": 1,
        "hc_unknown": 1,
    }
    small = size["hc_below_100_mm"]["metrics"]
    assert small["hc_error_mm"]["mean"] == 1.0 and small["hc_abs_error_mm"]["mean"] == 2.0
    assert size["hc_100_to_175_mm"]["flagged"] == 1


def test_the_largest_error_is_that_of_an_image_nobody_was_warned_of():
    size = subgroup_section(ROWS, seed=0)["subgroups"]["size"]
    assert size["hc_below_100_mm"]["largest_unflagged_error_mm"] == 3.0
    assert size["hc_100_to_175_mm"]["largest_unflagged_error_mm"] == 2.0
    assert size["hc_from_260_mm"]["largest_unflagged_error_mm"] is None
    assert size["hc_unknown"]["largest_unflagged_error_mm"] is None


def test_datasets_are_told_apart_where_there_are_several():
    found = subgroup_section(ROWS, seed=0)["subgroups"]
    assert {name: group["n"] for name, group in found["source"].items()} == {
        "first": 4,
        "planes": 2,
    }
    assert "source" not in subgroup_section(ROWS[:2], seed=0)["subgroups"]


def test_the_tables_show_every_group_and_its_numbers():
    summary = subgroup_section(ROWS, seed=0)
    size, source = subgroup_tables(summary)
    assert [line[0] for line in size.rows] == [
        "HC below 100 mm",
        "HC 100 to 175 mm",
        "HC from 260 mm",
        "HC unknown",
    ]
    assert [line[0] for line in source.rows] == ["first dataset", "planes"]
    assert all(len(line) == len(size.header) for line in size.rows)
    assert size.rows[0][1:3] == ["2", "0"] and size.rows[0][-1].startswith("3")
    assert not [*subgroup_tables({})]


def test_the_frame_of_reference_is_the_patient():
    """Two frames of one examination are no two witnesses: no interval from one group."""
    size = subgroup_section(ROWS[:2], seed=0)["subgroups"]["size"]
    assert size["hc_below_100_mm"]["metrics"]["dice"]["ci95"] == [None, None]
    assert size["hc_below_100_mm"]["metrics"]["dice"]["mean"] == pytest.approx(0.97)
