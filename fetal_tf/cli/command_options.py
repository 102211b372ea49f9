"""Options of every command that evaluates: which images, which file of a run, names of runs."""

import argparse
from collections.abc import Sequence
from pathlib import Path, PurePath

from fetal_tf.edge.errors import ConfigError


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
