"""FOCUS's text files: what a line means, and what is said about each way it can be broken."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetal_tf.data.readers.focus_annotations import (
    ellipse_from_axes,
    ellipse_lines,
    read_ellipses,
    read_rectangles,
    rectangle_lines,
    turned,
)
from fetal_tf.edge.errors import DataError
from fetal_tf.edge.geometry.ellipse import Ellipse

# Lines of FOCUS, training 001.
CARDIAC = "498.3 346.9 83.7 68.6 67.4 cardiac"
THORAX = "461.6 415.6 176.8 175.6 111.1 thorax"
CARDIAC_BOX = "402.7 296.0 467.0 450.5 593.8 397.8 529.5 243.3 cardiac 0"
THORAX_BOX = "361.3 187.4 234.0 517.3 561.8 643.8 689.1 313.8 thorax 0"

lengths = st.floats(20.0, 300.0)
outlines = st.builds(
    ellipse_from_axes,
    st.floats(-50.0, 900.0),
    st.floats(-50.0, 900.0),
    lengths,
    lengths,
    st.floats(0.0, 180.0),
)


def _file(tmp_path, *lines):
    path = tmp_path / "001.txt"
    path.write_text("\n".join(lines))
    return path


def _gap(one, other):
    return np.abs(other.distances(one.points())).max()


def test_a_line_is_a_centre_two_semi_axes_the_direction_of_the_first_and_a_label(tmp_path):
    found = read_ellipses(_file(tmp_path, CARDIAC, THORAX))
    assert found == {
        "heart": Ellipse(498.3, 346.9, 83.7, 68.6, 67.4),
        "thorax": Ellipse(461.6, 415.6, 176.8, 175.6, 111.1),
    }


def test_theta_is_the_direction_of_the_first_semi_axis_also_where_that_is_the_shorter(tmp_path):
    path = _file(tmp_path, "100 80 20 50 30 cardiac", THORAX)
    heart = read_ellipses(path)["heart"]
    along_first = np.array([math.cos(math.radians(30)), math.sin(math.radians(30))])
    np.testing.assert_allclose(
        heart.minor_endpoints[1] - heart.minor_endpoints[0],
        40 * along_first * np.sign((heart.minor_endpoints[1] - heart.minor_endpoints[0])[0]),
    )
    assert (heart.semi_major, heart.semi_minor, heart.angle_deg) == (50, 20, 120)


def test_the_boxes_of_a_real_frame_hold_its_ellipses(tmp_path):
    ellipses = read_ellipses(_file(tmp_path, CARDIAC, THORAX))
    boxed = read_rectangles(_file(tmp_path, CARDIAC_BOX, THORAX_BOX))
    assert all(_gap(boxed[name], ellipses[name]) < 0.15 for name in ("heart", "thorax"))


@pytest.mark.parametrize("label", ["thorax", "thoracic", "Thorax"])
def test_both_spellings_of_the_thorax_are_read(tmp_path, label):
    path = _file(tmp_path, CARDIAC, f"461.6 415.6 176.8 175.6 111.1 {label}")
    assert set(read_ellipses(path)) == {"thorax", "heart"}


def test_order_empty_lines_a_byte_order_mark_and_windows_line_ends_are_no_trouble(tmp_path):
    path = tmp_path / "001.txt"
    path.write_bytes(f"\ufeff{THORAX}\r\n\r\n  {CARDIAC}\r\n".encode())
    assert set(read_ellipses(path)) == {"thorax", "heart"}


@given(outlines, outlines)
def test_written_ellipses_are_read_again_to_the_rounding(tmp_path_factory, heart, thorax):
    path = tmp_path_factory.mktemp("lines") / "001.txt"
    path.write_text(ellipse_lines({"heart": heart, "thorax": thorax}))
    found = read_ellipses(path)
    # Centre and axes to 0.05 px, the direction to 0.05 degrees of at most 300 px.
    assert _gap(found["heart"], heart) < 0.45
    assert _gap(found["thorax"], thorax) < 0.45


@given(outlines, outlines, st.integers(0, 3), st.booleans())
def test_a_box_may_begin_at_any_corner_and_run_either_way(
    tmp_path_factory, heart, thorax, first, mirrored
):
    path = tmp_path_factory.mktemp("lines") / "001.txt"
    text = rectangle_lines({"heart": heart, "thorax": thorax})
    lines = []
    for line in text.splitlines():
        words = line.split()
        corners = np.roll(np.array(words[:8]).reshape(4, 2), first, axis=0)
        corners = corners[::-1] if mirrored else corners
        lines.append(" ".join([*corners.ravel(), *words[8:]]))
    path.write_text("\n".join(lines))
    found = read_rectangles(path)
    assert _gap(found["heart"], heart) < 0.2
    assert _gap(found["thorax"], thorax) < 0.2


def test_files_are_written_in_the_order_and_precision_of_focus(tmp_path):
    found = read_ellipses(_file(tmp_path, THORAX, CARDIAC))
    assert ellipse_lines(found) == f"{CARDIAC}\n{THORAX}"
    cardiac, thorax = rectangle_lines(found).splitlines()
    for line, real in ((cardiac, CARDIAC_BOX), (thorax, THORAX_BOX)):
        written, expected = line.split(), real.split()
        assert written[8:] == expected[8:]
        gap = np.array(written[:8], float) - np.array(expected[:8], float)
        assert np.abs(gap).max() < 0.25


@given(outlines)
def test_turning_twice_is_no_change(ellipse):
    once = turned(ellipse)
    assert (once.semi_major, once.semi_minor) == (ellipse.semi_major, ellipse.semi_minor)
    difference = abs(once.angle_deg - ellipse.angle_deg)
    if ellipse.semi_major > ellipse.semi_minor:
        assert difference == pytest.approx(90)
    assert _gap(turned(once), ellipse) < 1e-6


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([CARDIAC], r": no line for thorax \(found: cardiac\), expected one each"),
        ([THORAX], r": no line for cardiac \(found: thorax\), expected one each"),
        ([], r": no line for cardiac and thorax \(found: no line at all\)"),
        (
            [CARDIAC, THORAX, "1 2 3 4 5 lung"],
            r", line 3: unknown label 'lung', expected cardiac, thorax, thoracic",
        ),
        ([CARDIAC, CARDIAC], r", line 2: a second line for 'cardiac', expected one"),
        (
            [THORAX, THORAX.replace("thorax", "thoracic")],
            r", line 2: a second line for 'thoracic', expected one",
        ),
        (
            ["1 2 3 4 cardiac", THORAX],
            r", line 1: 5 values, expected 6 \(cx cy a b theta label\)",
        ),
        ([CARDIAC, CARDIAC_BOX], r", line 2: 10 values, expected 6"),
        (["1 2 x 4 5 cardiac"], r", line 1: 'x' found, a finite number is expected"),
        (["1 nan 3 4 5 cardiac"], r", line 1: 'nan' found, a finite number"),
        (["inf 2 3 4 5 cardiac"], r", line 1: 'inf' found, a finite number"),
        (["1,5 2 3 4 5 cardiac"], r", line 1: '1,5' found, a finite number"),
        (
            ["1 2 0 4 5 cardiac"],
            r", line 1: semi-axes 0 and 4, both are expected above 0 px",
        ),
        (["1 2 3 -4 5 cardiac"], r", line 1: semi-axes 3 and -4, both are expected above"),
        (["1 2 3 4 181 cardiac"], r", line 1: theta is 181, expected 0 to 180 degrees"),
        (["1 2 3 4 -0.5 cardiac"], r", line 1: theta is -0.5, expected 0 to 180 degrees"),
    ],
)
def test_a_broken_ellipse_file_is_named_with_line_and_cause(tmp_path, lines, message):
    path = _file(tmp_path, *lines)
    with pytest.raises(DataError, match=f"^{path}{message}"):
        read_ellipses(path)


@pytest.mark.parametrize("theta_deg", ["0", "180", "180.0"])
def test_theta_of_0_and_of_180_are_the_same_ellipse(tmp_path, theta_deg):
    path = _file(tmp_path, f"10 20 8 4 {theta_deg} cardiac", THORAX)
    assert read_ellipses(path)["heart"] == Ellipse(10, 20, 8, 4, 0)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0 10 0 10 5 0 5 cardiac", r"9 values, expected 10 \(x1 y1 x2 .* label 0\)"),
        ("0 0 10 0 14 5 4 5 cardiac 0", r"four points that are no rectangle: an angle is 39 deg"),
        ("0 0 10 5 10 0 0 5 cardiac 0", r"a rectangle of 10 x 0 px, both are expected above 0"),
        ("3 3 3 3 3 3 3 3 cardiac 0", r"a rectangle of 0 x 0 px, both are expected above 0"),
        ("0 0 10 0 10 inf 0 5 cardiac 0", r"'inf' found, a finite number is expected"),
    ],
)
def test_a_broken_rectangle_is_named_with_line_and_cause(tmp_path, line, message):
    path = _file(tmp_path, line, THORAX_BOX)
    with pytest.raises(DataError, match=f"^{path}, line 1: {message}"):
        read_rectangles(path)


def test_a_file_that_is_no_text_and_one_that_is_not_there(tmp_path):
    (tmp_path / "001.txt").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(DataError, match=r"001.txt: not a text file in UTF-8"):
        read_ellipses(tmp_path / "001.txt")
    with pytest.raises(DataError, match=r"002.txt: cannot be read: No such file"):
        read_ellipses(tmp_path / "002.txt")


def test_every_real_line_is_read_and_every_box_agrees(real_data):
    gaps, fields = [], []
    for path in sorted((real_data / "focus").glob("*/annfiles_ellipse/*.txt")):
        ellipses = read_ellipses(path)
        boxed = read_rectangles(path.parent.parent / "annfiles_rectangle" / path.name)
        gaps += [_gap(boxed[name], ellipses[name]) for name in ellipses]
        fields += [line.split() for line in path.read_text().splitlines()]
    if not fields:
        pytest.skip("no FOCUS here")
    shorter_first = sum(float(words[2]) < float(words[3]) for words in fields)
    assert shorter_first > 0.05 * len(fields)
    assert max(gaps) < 0.2
