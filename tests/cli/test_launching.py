import importlib
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from fetal_tf.cli.launching import print_error, run_command
from fetal_tf.edge.errors import DataError, FetalTFError, MissingExtraError
from fetal_tf.edge.extras import EXTRAS, missing_modules, require

# What pip calls a package and what Python imports.
MODULES = {"pyyaml": "yaml", "tensorflow-cpu": "tensorflow", "keras-cv": "keras_cv"}


def test_an_extra_that_is_not_there_is_answered_with_its_pip_line(monkeypatch):
    monkeypatch.setitem(EXTRAS, "train", ("numpy", "surely_not_installed"))
    assert missing_modules("train") == ["surely_not_installed"]
    with pytest.raises(MissingExtraError, match=r'pip install "fetal-tf\[train\]"') as error:
        require("train")
    assert "surely_not_installed" in str(error.value)


def test_an_error_shows_control_characters_and_keeps_its_lines(capsys):
    assert print_error(DataError("\x1b[2Ja.png: bad\nsecond line")) == 2
    assert capsys.readouterr().err == "error: \\x1b[2Ja.png: bad\nsecond line\n"


def test_the_extras_are_those_of_the_package():
    extras = tomllib.loads(Path("pyproject.toml").read_text())["project"]["optional-dependencies"]

    def modules(*names):
        lines = [line for name in names for line in extras[name] if not line.startswith("fetal-tf")]
        packages = {line.split(">")[0].split("=")[0].split("[")[0].strip() for line in lines}
        return {MODULES.get(package, package) for package in packages}

    assert set(EXTRAS["train"]) == modules("train", "keras")
    assert set(EXTRAS["export"]) == modules("export")
    assert set(EXTRAS["keras-cv"]) == modules("keras-cv")
    assert set(EXTRAS["mlflow"]) == modules("mlflow")
    assert set(EXTRAS["ray"]) == modules("ray")


@pytest.mark.parametrize("command", ["fetal_tf.train", "fetal_tf.evaluate", "export"])
def test_a_command_without_its_extra_prints_one_line(command, tmp_path):
    """A finder that hides Keras stands for an installation without the extra."""
    arguments = ["--config", "x.yaml"] if command == "fetal_tf.train" else ["x"]
    program = f"""
import sys, runpy, importlib.util
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name == "keras" else real(name, *a)
sys.argv = [{command!r}, *{arguments!r}]
runpy.run_module({command!r}, run_name="__main__", alter_sys=True)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        'error: this needs keras; install with `pip install "fetal-tf[train]"`, '
        'in a checkout `pip install -e ".[train]"`'
    ]


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("fetal_tf.cli.export", ["run"]),
        ("tools.shelve", ["run", "name"]),
        ("fetal_tf.cli.pareto", ["bundle", "--out", "folder"]),
    ],
)
def test_what_converts_or_times_is_set_up_before_keras_is_imported(command, arguments, monkeypatch):
    module = importlib.import_module(command)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    found = []
    keys = ("KERAS_BACKEND", "CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(
        module, "run_command", lambda *_: found.extend(os.environ[key] for key in keys)
    )
    module.main(arguments)
    assert found == ["tensorflow", "-1"]


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("what", ["raises", "is swallowed", "becomes another error", "is refused"])
def test_a_signal_is_a_signal_whatever_becomes_of_it(number, code, what, capsys):
    def story():
        try:
            os.kill(os.getpid(), number)
        except KeyboardInterrupt:
            if what == "raises":
                raise
            if what == "becomes another error":
                raise RuntimeError("the converter failed") from None
            if what == "is refused":
                raise FetalTFError("cannot be converted") from None
        return 0

    before = signal.getsignal(number)
    assert run_command(story, "nothing was written", keras=False) == code
    assert capsys.readouterr().err == "interrupted; nothing was written\n"
    assert signal.getsignal(number) == before


def test_other_errors_stay_what_they_are(capsys):
    def refuse():
        raise FetalTFError("no")

    def fail():
        raise ZeroDivisionError

    assert run_command(refuse, "", keras=False) == 2
    assert capsys.readouterr().err == "error: no\n"
    with pytest.raises(ZeroDivisionError):
        run_command(fail, "", keras=False)


@pytest.mark.parametrize(
    "command",
    [
        ["--help"],
        ["zoo"],
        ["configs"],
        ["predict", "zoo:hc18", "frame.png", "--out", "out", "--mm-per-pixel", "0.142"],
    ],
)
def test_a_reader_that_has_gone_ends_a_command_without_a_word(command, tmp_path):
    (tmp_path / "frame.png").write_bytes(Path("docs/phantom_frame.png").read_bytes())
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "fetal_tf", *command],
        stdout=writer, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
    )  # fmt: skip
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")
    if command[0] == "predict" and "--out" in command:
        assert len((tmp_path / "out" / "measurements.csv").read_text().splitlines()) == 2


@pytest.mark.parametrize("output", ["closed", "full"])
@pytest.mark.parametrize("command", [["zoo"], ["predict", "zoo:hc18", "frame.png", "--out", "out"]])
def test_a_command_without_a_place_to_print_to_ends_without_a_traceback(command, output, tmp_path):
    (tmp_path / "frame.png").write_bytes(Path("docs/phantom_frame.png").read_bytes())
    where = {"closed": ">&-", "full": ">/dev/full"}[output]
    done = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -m fetal_tf {' '.join(command)} {where}"],
        stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
    )  # fmt: skip
    assert done.stderr == "" and done.returncode == {"closed": 0, "full": 141}[output]
    if command[0] == "predict":
        assert len((tmp_path / "out" / "measurements.csv").read_text().splitlines()) == 2
