"""`python -m tools.phantom`: what it writes and what it says."""

import json
import re

import pytest

from fetal_tf.cli import phantom
from fetal_tf.data.readers.hc18 import read_hc18
from fetal_tf.edge.io.images import read_mask


def test_it_writes_a_dataset_and_keeps_it_on_the_second_call(tmp_path, capsys):
    out = tmp_path / "hc18"
    command = ["hc18", "--out", str(out), "--count", "2", "--seed", "3"]
    command += ["--set", "annotation=filled"]
    assert phantom.main(command) == 0
    assert f"{out}: 2 images, seed 3, written" in capsys.readouterr().out
    assert len(read_hc18(out)) == 2
    assert read_mask(out / "training_set" / "000_HC_Annotation.png").mean() > 25  # filled
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


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("annotation=dotted", r"phantom\.annotation: .*'outline' or 'filled'.*'dotted'"),
        ("anotation=filled", r"phantom\.anotation: unknown parameter .*did you mean annotation"),
        ("seed=3", r"phantom\.seed: unknown parameter of hc18; allowed: annotation"),
        ("annotation", r"--set annotation: write it as KEY=VALUE"),
        ("=filled", r"--set =filled: write it as KEY=VALUE"),
        ("name=hc18", r"--set name=hc18: write it as KEY=VALUE"),
        ("annotation=[", r"--set annotation=\[: the value is not valid YAML"),
    ],
)
def test_a_wrong_option_is_named_and_nothing_is_written(tmp_path, capsys, setting, message):
    assert phantom.main(["hc18", "--out", str(tmp_path / "x"), "--set", setting]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.match(f"error: {message}", line)
    assert list(tmp_path.iterdir()) == []


def test_values_are_yaml_and_the_last_one_of_a_key_counts(tmp_path):
    out = tmp_path / "brain"
    command = ["fetal_head_biometry", "--out", str(out), "--count", "1"]
    command += ["--set", "anomaly_share=0.5", "--set", "masks=zip", "--set", "anomaly_share=1.0"]
    assert phantom.main(command) == 0
    marker = json.loads((out / "phantom.json").read_text())
    assert (marker["anomaly_share"], marker["masks"]) == (1.0, "zip")
