"""`python -m tools.phantom`: what it writes and what it says."""

import pytest

from fetal_tf.data.hc18 import read_hc18
from tools import phantom


def test_it_writes_a_dataset_and_keeps_it_on_the_second_call(tmp_path, capsys):
    out = tmp_path / "hc18"
    command = ["hc18", "--out", str(out), "--count", "2", "--seed", "3", "--annotation", "filled"]
    assert phantom.main(command) == 0
    assert f"{out}: 2 images, seed 3, written" in capsys.readouterr().out
    assert len(read_hc18(out)) == 2
    assert phantom.main(command) == 0
    assert "was there already" in capsys.readouterr().out


def test_an_error_is_one_line_and_exit_code_2(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    assert phantom.main(["hc18", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"error: {tmp_path}: holds")


def test_an_unknown_phantom_is_answered_with_those_there_are(tmp_path, capsys):
    with pytest.raises(SystemExit) as exit:
        phantom.main(["hc19", "--out", str(tmp_path / "x")])
    assert exit.value.code == 2
    assert "'hc18'" in capsys.readouterr().err
