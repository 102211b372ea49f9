"""Noise from Python and from below Python is captured, and comes back afterwards."""

import os
import sys

import pytest

from fetal_tf.edge.io.captured_output import captured_noise


def test_both_levels_are_captured_and_readable(capfd):
    with captured_noise() as noise:
        print("from python")
        os.write(1, b"from C, out\n")
        os.write(2, b"from C, err\n")
        sys.stderr.write("python, err\n")
        text = noise()
    assert {"from python", "from C, out", "from C, err", "python, err"} <= set(text.splitlines())
    assert capfd.readouterr() == ("", "")


def test_output_returns_after_an_error(capfd):
    with pytest.raises(RuntimeError), captured_noise():
        raise RuntimeError
    print("visible")
    os.write(2, b"visible below\n")
    assert capfd.readouterr() == ("visible\n", "visible below\n")
