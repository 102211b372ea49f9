"""What commands share: the parser's texts, options of those that evaluate, names of runs."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path, PurePath

from fetal_tf.edge.errors import ConfigError

PROGRAM = "fetal-tf"


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the example's lines, and says every default that the help does not say itself."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help or ""
        unset = action.default in (None, False, [], argparse.SUPPRESS)
        if unset or "default" in text or not action.option_strings:
            return text
        return f"{text} (default: %(default)s)"


def command_parser(call: str, description: str, example: str) -> argparse.ArgumentParser:
    """The parser of a command, empty but for its texts.

    Args:
        call: how the module is called by itself, `python -m fetal_tf.train`; as a command of the
            program it is called by that name.
        description: what it does; its first paragraph is enough.
        example: a command line after the command's name, which must parse.
    """
    own = sys.argv[0] if sys.argv[0].startswith(f"{PROGRAM} ") else call
    return argparse.ArgumentParser(
        prog=own,
        description=description,
        epilog=f"example:\n  {own} {example}",
        formatter_class=_HelpFormatter,
        allow_abbrev=False,
    )


def add_config_options(parser: argparse.ArgumentParser, set_help: str = "override a key") -> None:
    """Add --config and --set."""
    parser.add_argument("--config", type=Path, required=True, help="YAML file, or a recipe")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY.PATH=VALUE", help=set_help
    )


def at_least(least: int, otherwise: str) -> Callable[[str], int]:
    """The type of an option: a whole number from `least` on, `otherwise` is what is said."""

    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r}: {otherwise}")
        return int(text)

    return number


def add_judging_options(parser: argparse.ArgumentParser) -> None:
    """Add --split, --data-root and --format."""
    parser.add_argument(
        "--split",
        choices=("train", "val", "test", "all"),
        default="test",
        help="part of the run's split (default: test); all: every annotated image found",
    )
    parser.add_argument("--data-root", type=Path, metavar="DIR", help="another copy, or other data")
    parser.add_argument(
        "--format", metavar="FORMAT", help="keras, int8, float32, onnx … (default: keras for a run)"
    )


def short_names(references: Sequence[str]) -> list[str]:
    """The last part of each path, or as many of the last parts as tell all of them apart.

    `["runs/ce", "runs/dice"]` → `["ce", "dice"]`; `["a/bundle", "b/bundle"]` stay as they are.

    Raises:
        ConfigError: one of them is given twice.
    """
    paths = [PurePath(reference) for reference in references]
    for place, path in enumerate(paths):
        if path in paths[:place]:
            raise ConfigError(f"{references[place]}: given twice; each run counts once")
    for length in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-length:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [path.as_posix() for path in paths]
