"""List the recipes that ship, or print one with all that it inherits."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fetal_tf.cli.command_options import command_parser
from fetal_tf.cli.launching import run_command
from fetal_tf.edge.extras import require

_SHOWN = 100  # letters of what a recipe reaches


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0, or 2 with one line on stderr."""
    args = parser().parse_args(argv)
    return run_command(lambda: _configs(args.name), "nothing was changed", keras=False)


def _configs(name: str | None) -> int:
    require("train")
    return _show(name) if name else _list()


def _list() -> int:
    from fetal_tf.config.loading import load_config
    from fetal_tf.config.recipes import recipe_folder, recipe_head, recipe_names
    from fetal_tf.reporting.text.table import text_table

    rows = [["recipe", "task", "data", "time on 2 cores", "reaches"]]
    for name in recipe_names():
        config = load_config(Path(name))
        head = recipe_head(recipe_folder() / f"{name}.yaml")
        data = "+".join(str(source.dataset) for source in config.data.sources.values())
        reaches = head.expect
        shown = reaches if len(reaches) <= _SHOWN else f"{reaches[: _SHOWN - 2]} …"
        rows.append(
            [
                name,
                str(config.task.name),
                data,
                head.time.split(";")[0].split(" on ")[0].rstrip(".,"),
                shown,
            ]
        )
    print(text_table(rows, text_columns=5))
    print("\n`fetal-tf configs NAME` prints one; `fetal-tf train --config NAME` trains it")
    return 0


def _show(name: str) -> int:
    from fetal_tf.config.loading import dump_config, load_config
    from fetal_tf.config.recipes import find_recipe

    path = find_recipe(Path(name))
    comments = [line for line in path.read_text(encoding="utf-8").splitlines() if line[:1] == "#"]
    print("\n".join([*comments, "", dump_config(load_config(path)).rstrip()]))
    return 0


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    command = command_parser("python -m fetal_tf.cli.configs", __doc__, "hc18_unet")
    command.add_argument("name", nargs="?", metavar="NAME", help="the recipe to print")
    return command


if __name__ == "__main__":
    sys.exit(main())
