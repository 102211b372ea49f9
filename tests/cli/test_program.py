"""The program: commands, what a tablet can do, examples, recipes, completion."""

import importlib
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import fetal_tf
from fetal_tf.__main__ import main
from fetal_tf.cli.program import COMMANDS, program_parser
from fetal_tf.config import recipes
from fetal_tf.config.loading import load_config
from fetal_tf.config.recipes import find_recipe, recipe_folder, recipe_head, recipe_names
from fetal_tf.edge.errors import ConfigError
from fetal_tf.edge.extras import EXTRAS
from tests.edge.test_imports import BLOCKED

ROOT = Path(__file__).resolve().parents[2]
BASE = f"""
import importlib.abc, sys
class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {BLOCKED!r}:
            raise ModuleNotFoundError(f"blocked: {{name}}", name=name)
sys.meta_path.insert(0, Blocked())
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name in {BLOCKED!r} else find(name, *a)
from fetal_tf.__main__ import main
"""


def on_a_tablet(*arguments, folder):
    script = f"{BASE}\nsys.exit(main({list(arguments)!r}))"
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )  # fmt: skip


def test_help_names_every_command(capsys):
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    for name, command in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(command.summary)}$", said, re.MULTILINE)
    assert main([]) == 2  # no command is a mistake, answered with the same text
    assert capsys.readouterr().out == said


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"fetal_tf {fetal_tf.__version__}\n"


def test_a_mistyped_command_names_the_nearest(capsys):
    assert main(["evalute", "x"]) == 2
    assert capsys.readouterr().err.startswith(
        "error: no command 'evalute' (did you mean evaluate?)"
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_has_the_programs_name_and_an_example_that_parses(name, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    assert stopped.value.code == 0
    said = capsys.readouterr().out
    assert said.startswith(f"usage: fetal-tf {name} ")
    (example,) = re.findall(rf"^  fetal-tf {name} (.+)$", said, re.MULTILINE)
    importlib.import_module(COMMANDS[name].module).parser().parse_args(shlex.split(example))


def test_a_module_by_itself_says_how_it_was_called(capsys):
    for module, call in (("fetal_tf.predict", "python -m fetal_tf.predict"),
                         ("fetal_tf.cli.audit", "python -m tools.audit")):  # fmt: skip
        assert importlib.import_module(module).parser().prog == call


@pytest.mark.parametrize("name", ["audit", "compare", "download", "phantom", "pareto"])
def test_the_tools_of_a_checkout_are_the_same_commands(name):
    done = subprocess.run(
        [sys.executable, "-m", f"tools.{name}", "--help"], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0 and done.stdout.startswith(f"usage: python -m tools.{name}")


def test_a_tablet_has_help_the_zoo_and_predict(tmp_path):
    commands = (["--help"], ["zoo"], ["zoo", "hc18"], ["predict", "--help"], ["completion", "bash"])
    for arguments in commands:
        done = on_a_tablet(*arguments, folder=tmp_path)
        assert done.returncode == 0, done.stderr
    assert "|ΔHC|" in on_a_tablet("zoo", folder=tmp_path).stdout


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - {"predict", "zoo", "completion"}))
def test_a_tablet_is_told_what_to_install_for_the_rest(tmp_path, name):
    (example,) = re.findall(r"^  \S.*? -m \S+ (.+)$", _help_of(name), re.MULTILINE)
    done = on_a_tablet(name, *shlex.split(example), folder=tmp_path)
    assert done.returncode == 2
    assert 'pip install "fetal-tf[train]"' in done.stderr and done.stderr.count("\n") == 1


def _help_of(name):
    return importlib.import_module(COMMANDS[name].module).parser().format_help()


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_says_what_it_is_what_it_reaches_and_how_long_it_takes(name):
    head = recipe_head(recipe_folder() / f"{name}.yaml")
    assert head.summary and head.expect and head.time
    assert "Run:" not in head.time and "Time:" not in head.expect


def test_recipes_are_found_by_name_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for reference in ("hc18_unet", "hc18_unet.yaml", "configs/hc18_unet.yaml"):
        assert find_recipe(Path(reference)) == recipe_folder() / "hc18_unet.yaml"
    assert load_config(Path("hc18_unet")).name == "hc18_unet"


def test_a_file_that_is_there_comes_before_a_recipe_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("hc18_unet.yaml").write_text("extends: hc18_light_unet\nname: mine\n")
    assert load_config(Path("hc18_unet.yaml")).name == "mine"
    assert load_config(Path("hc18_unet")).name == "hc18_unet"


def test_a_folder_of_a_recipes_name_does_not_hide_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("quickstart").mkdir()
    assert find_recipe(Path("quickstart")) == recipe_folder() / "quickstart.yaml"


def test_what_is_no_recipe_is_answered_with_the_nearest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("hc18_unt", "hc18_unt.yaml", "hc18_unet.yml"):
        with pytest.raises(ConfigError, match=rf"{name}: no such config file .did you mean hc18_u"):
            find_recipe(Path(name))
    with pytest.raises(ConfigError, match="a folder; a config file or a recipe's name"):
        find_recipe(tmp_path)
    with pytest.raises(ConfigError, match="no such config file"):
        find_recipe(Path("elsewhere/hc18_unet"))


def test_the_wheel_holds_the_recipes_where_they_are_looked_for(monkeypatch, tmp_path):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert included == {"configs": "fetal_tf/recipes"}
    assert project["project"]["scripts"] == {"fetal-tf": "fetal_tf.__main__:main"}
    monkeypatch.setattr(recipes, "_PACKAGE", tmp_path / "fetal_tf")
    assert recipe_folder() == tmp_path / "configs"
    (tmp_path / "fetal_tf" / "recipes").mkdir(parents=True)
    assert recipe_folder() == tmp_path / "fetal_tf" / "recipes"


def test_the_recipes_in_a_table_and_one_resolved(capsys):
    assert main(["configs"]) == 0
    table = capsys.readouterr().out
    for name in recipe_names():
        assert re.search(rf"^{name} ", table, re.MULTILINE)
    assert main(["configs", "focus_unet"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("# Heart and thorax") and "\nname: focus_unet\n" in said


def test_the_zoo_says_its_figures_and_prints_a_card(capsys):
    assert main(["zoo"]) == 0
    said = capsys.readouterr().out
    assert "zoo:landmarks  another name of zoo:hc18" in said
    assert re.search(r"\|ΔHC\| \d\.\d\d mm \[\d\.\d\d, \d\.\d\d\] on \d+ images", said)
    assert main(["zoo", "hc18"]) == 0
    assert capsys.readouterr().out.startswith("# ")
    assert main(["zoo", "hc19"]) == 2
    assert "the zoo holds no 'hc19'" in capsys.readouterr().err


@pytest.mark.parametrize("line, offered", [
    ("fetal-tf ev", {"evaluate"}),
    ("fetal-tf train --dry", {"--dry-run"}),
    ("fetal-tf train --config focus_un", {"focus_unet"}),
    ("fetal-tf predict zoo:h", {"zoo:hc18"}),
])  # fmt: skip
def test_bash_completes_commands_options_recipes_and_nets(line, offered, tmp_path, capsys):
    assert main(["completion", "bash"]) == 0
    script = tmp_path / "completion.sh"
    script.write_text(capsys.readouterr().out)
    words = line.split()
    ask = (
        f"source {script}; COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; "
        f"$(complete -p fetal-tf | sed 's/.*-F \\([^ ]*\\).*/\\1/') fetal-tf {words[-1]} "
        f"{words[-2]}; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, cwd=tmp_path)
    assert set(done.stdout.split()) == offered, done.stderr


def test_zsh_has_a_completion_too(capsys):
    assert main(["completion", "zsh"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("#compdef fetal-tf") and "_fetal_tf_recipes" in said


def test_the_whole_program_has_one_parser():
    assert program_parser().parse_args(["zoo", "hc18"]).name == "hc18"


def test_completion_of_a_base_install_has_what_can_be_used_there(monkeypatch, capsys):
    monkeypatch.setitem(EXTRAS, "train", ("surely_not_installed",))
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    assert "--mm-per-pixel" in script and "zoo:hc18" in script and "hc18_unet" not in script
