"""Print completion for a shell: of commands, options, recipes and the nets that ship."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fetal_tf.cli.command_options import PROGRAM, command_parser
from fetal_tf.cli.launching import run_command
from fetal_tf.edge.extras import missing_modules

_BASH = """_fetal_tf_recipes() {{ compgen -W "{recipes}" -- "$1"; compgen -f -- "$1"; }}
_fetal_tf_bundles() {{ compgen -W "{bundles}" -- "$1"; compgen -d -- "$1"; }}
COMP_WORDBREAKS="${{COMP_WORDBREAKS//:}}"
"""
_ZSH = """_fetal_tf_recipes() {{ compadd -- {recipes}; _files }}
_fetal_tf_bundles() {{ compadd -- {bundles}; _files -/ }}
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0, or 2 with one line on stderr."""
    args = parser().parse_args(argv)
    return run_command(lambda: _completion(args.shell), "nothing was changed", keras=False)


def _completion(shell: str) -> int:
    import shtab

    from fetal_tf.cli.program import program_parser
    from fetal_tf.edge.bundle.bundle import shelf_names

    recipes = []
    if not missing_modules("train"):  # without it no recipe can be used
        from fetal_tf.config.recipes import recipe_names

        recipes = recipe_names()

    program = program_parser()
    for action in _actions(program):
        if "--config" in action.option_strings:
            action.complete = dict.fromkeys(("bash", "zsh"), "_fetal_tf_recipes")  # type: ignore
        elif action.dest in ("bundle", "target"):
            action.complete = dict.fromkeys(("bash", "zsh"), "_fetal_tf_bundles")  # type: ignore
        elif action.type is Path:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    words = {
        "recipes": " ".join(recipes),
        "bundles": " ".join(f"zoo:{name}" for name in shelf_names()),
    }
    preamble = {"bash": _BASH.format(**words), "zsh": _ZSH.format(**words)}
    print(shtab.complete(program, shell=shell, preamble=preamble))  # type: ignore[arg-type]
    return 0


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    own = list(parser._actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            own += [inner for sub in action.choices.values() for inner in _actions(sub)]
    return own


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    command = command_parser("python -m fetal_tf.cli.completion", __doc__, "bash")
    command.add_argument(
        "shell",
        choices=("bash", "zsh"),
        help=f'to use it: eval "$({PROGRAM} completion bash)"',
    )
    return command


if __name__ == "__main__":
    sys.exit(main())
