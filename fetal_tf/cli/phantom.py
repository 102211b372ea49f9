"""Write a phantom dataset: `python -m tools.phantom hc18 --out DIR --count 200 --seed 1`."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from fetal_tf.cli.command_options import command_parser
from fetal_tf.cli.launching import run_command
from fetal_tf.data.phantom import PHANTOMS
from fetal_tf.data.phantom.writing import write_phantom
from fetal_tf.edge.errors import ConfigError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Returns 0, 2 on the user's error, or 130 after Ctrl-C."""
    arguments = parser().parse_args(argv)
    return run_command(lambda: _phantom(arguments), "nothing was written", keras=False)


def _phantom(arguments: argparse.Namespace) -> int:
    spec = {"name": arguments.name, **_options(arguments.options)}
    # Checked before the call, so that `--set seed=3` does not reach write_phantom as its seed.
    options = PHANTOMS.check("phantom", spec)
    written = write_phantom(
        arguments.name,
        arguments.out,
        arguments.count,
        arguments.seed,
        progress=True,
        **options,
    )
    state = "written" if written else "was there already"
    print(f"{arguments.out}: {arguments.count} images, seed {arguments.seed}, {state}")
    return 0


def _options(settings: Iterable[str]) -> dict[str, Any]:
    """Parse `KEY=VALUE` texts, the values as YAML; of a repeated key the last one counts."""
    options = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key.isidentifier() or key == "name":
            raise ConfigError(f"--set {setting}: write it as KEY=VALUE, for example masks=zip")
        try:
            options[key] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {setting}: the value is not valid YAML") from error
    return options


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    command = command_parser(
        "python -m tools.phantom", __doc__, "hc18 --out data/phantom --count 200 --seed 1"
    )
    command.add_argument("name", choices=PHANTOMS.names(), help="whose layout to write")
    command.add_argument("--out", type=Path, required=True, help="a folder that is empty or absent")
    command.add_argument("--count", type=int, default=200, help="images (default: %(default)s)")
    command.add_argument("--seed", type=int, default=1, help="(default: %(default)s)")
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="options",
        help="an option of this phantom, for example masks=zip; repeat for several",
    )
    return command


if __name__ == "__main__":
    sys.exit(main())
