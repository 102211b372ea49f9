"""All commands of the program by name: where they are, and what they do in a line."""

import argparse
import difflib
import importlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fetal_tf.cli.command_options import PROGRAM
from fetal_tf.cli.launching import cannot_print, open_output, print_error, unread
from fetal_tf.edge.errors import FetalTFError, UsageError
from fetal_tf.edge.extras import missing_modules, require
from fetal_tf.version import __version__


@dataclass(frozen=True)
class Command:
    """A command.

    Attributes:
        module: has `main(argv) -> int` and `parser() -> ArgumentParser`.
        summary: what it does.
        extra: what must be installed to import the module, empty for nothing.
    """

    module: str
    summary: str
    extra: str = ""


COMMANDS: Mapping[str, Command] = {
    "predict": Command("fetal_tf.predict", "measure images"),
    "zoo": Command("fetal_tf.cli.zoo", "list the nets that ship, with their figures"),
    "configs": Command("fetal_tf.cli.configs", "list the recipes that ship"),
    "download": Command("fetal_tf.cli.download", "fetch a public dataset", "train"),
    "phantom": Command("fetal_tf.cli.phantom", "generate a dataset to try things on", "train"),
    "audit": Command("fetal_tf.cli.audit", "check every file of a dataset"),
    "train": Command("fetal_tf.train", "train a net by a recipe"),
    "sweep": Command("fetal_tf.cli.sweep", "train a grid of values, seeds and folds"),
    "evaluate": Command("fetal_tf.evaluate", "judge a net on annotated images"),
    "export": Command("fetal_tf.cli.export", "convert a run for tablets, with proof", "train"),
    "compare": Command("fetal_tf.cli.compare", "compare runs, with paired tests"),
    "robustness": Command("fetal_tf.cli.robustness", "judge runs on noise, blur, shadow …"),
    "uncertainty": Command("fetal_tf.cli.uncertainty", "error against spread over folds and views"),
    "plane-gate": Command("fetal_tf.cli.plane_gate", "how well an autoencoder tells planes apart"),
    "pareto": Command("fetal_tf.cli.pareto", "plot accuracy against size and time"),
    "benchmark": Command("fetal_tf.cli.benchmark", "measure speed and memory"),
    "mlflow-upload": Command("fetal_tf.cli.mlflow_upload", "bring a run to MLflow later"),
    "completion": Command("fetal_tf.cli.completion", "print completion for bash or zsh"),
}


def run(argv: Sequence[str]) -> int:
    """Run `COMMAND OPTIONS…`; returns its exit code, 2 for an unknown command."""
    open_output()
    try:
        if not argv or argv[0] in ("-h", "--help", "help"):
            print(_overview(), flush=True)
            return 0 if argv else 2
        if argv[0] == "--version":
            print(f"fetal_tf {__version__}", flush=True)
            return 0
        return _dispatch(argv[0], argv[1:])
    except FetalTFError as error:
        return print_error(error)
    except OSError as error:
        if not cannot_print(error):
            raise
        return unread()
    except KeyboardInterrupt:  # while a command is imported, before it notes signals itself
        print("interrupted; nothing was done", file=sys.stderr)
        return 130


def _dispatch(name: str, options: Sequence[str]) -> int:
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise UsageError(f"no command {name!r}{hint}; `{PROGRAM} --help` lists them")
    command = COMMANDS[name]
    if command.extra:
        require(command.extra)
    called, sys.argv[0] = sys.argv[0], f"{PROGRAM} {name}"
    try:
        return importlib.import_module(command.module).main(list(options))
    finally:
        sys.argv[0] = called


def program_parser() -> argparse.ArgumentParser:
    """One parser for the program with those of all commands, for completion and tests.

    A command whose extra is not installed has no options in it.
    """
    parser = argparse.ArgumentParser(prog=PROGRAM)
    parser.add_argument("--version", action="store_true")
    commands = parser.add_subparsers(metavar="COMMAND")
    for name, command in COMMANDS.items():
        usable = not (command.extra and missing_modules(command.extra))
        own = [importlib.import_module(command.module).parser()] if usable else []
        commands.add_parser(name, parents=own, add_help=False, help=command.summary)
    return parser


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = (f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items())
    return "\n".join(
        [
            f"usage: {PROGRAM} COMMAND …",
            "",
            "Fetal ultrasound models that measure. Not for diagnosis.",
            "",
            *lines,
            "",
            f"`{PROGRAM} COMMAND --help` has the options and an example of each.",
        ]
    )
