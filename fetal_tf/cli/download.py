"""Fetch a public dataset: `python -m tools.download hc18 --root DIR`.

The same command resumes a broken download; files that are there stay.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fetal_tf.cli.command_options import command_parser
from fetal_tf.cli.launching import run_command
from fetal_tf.data.readers import DATASETS
from fetal_tf.data.sources.download import SOURCES, download


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Returns 0, or 2 with one line on stderr."""
    arguments = parser().parse_args(argv)
    kept = "what has arrived is kept, the same command goes on"
    return run_command(lambda: _download(arguments), kept, keras=False)


def _download(arguments: argparse.Namespace) -> int:
    source = SOURCES[arguments.name]
    print(f"{arguments.name}: {source.licence}. Please cite:\n  {source.citation}")
    fetched = download(source, arguments.root, progress=True)
    samples = DATASETS.get("name", arguments.name)(arguments.root)
    groups = {sample.group for sample in samples}
    print(f"fetched: {', '.join(fetched) or 'nothing, all was there'}")
    print(f"{arguments.root}: {len(samples)} annotated images of {len(groups)} groups")
    return 0


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    command = command_parser("python -m tools.download", __doc__, "hc18 --root data/hc18")
    command.add_argument("name", choices=sorted(SOURCES))
    command.add_argument("--root", type=Path, required=True, help="the folder to fill")
    return command


if __name__ == "__main__":
    sys.exit(main())
