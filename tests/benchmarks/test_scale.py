"""The benchmark of a step: wider nets and larger frames cost more, and a fault names its value."""

import subprocess
import sys

import pytest

from fetal_tf.cli.benchmark import main
from tests.benchmarks.test_pipeline import CONFIG


@pytest.fixture
def config(tmp_path):
    file = tmp_path / "trial.yaml"
    file.write_text(CONFIG)  # its data need not be there
    return file


def test_each_value_is_tried_alone(config, capsys):
    assert (
        main(["scale", "--config", str(config), "--steps", "2", "--vary", "model.base=8;16"]) == 0
    )
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[-2:]]
    assert [row[:2] for row in rows] == [["model.base", "8"], ["model.base", "16"]]
    weights, peaks = ([float(row[n]) for row in rows] for n in (2, -1))
    assert weights[0] < weights[1] and all(peak > 100 for peak in peaks)


def test_a_value_that_does_not_fit_is_one_line(config, capsys):
    command = ["scale", "--config", str(config), "--steps", "1"]
    assert main([*command, "--vary", "train.batch_size=many"]) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1 and "train.batch_size" in said and "'many'" in said


def test_memory_at_its_highest_is_what_the_system_counts():
    program = "from fetal_tf.benchmarks.memory import peak_mib; before = peak_mib()\n"
    program += "block = b'x' * (64 * 2**20); del block; print(peak_mib() - before)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert 60 < float(done.stdout) < 80, done.stderr
