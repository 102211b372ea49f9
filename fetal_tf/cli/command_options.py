"""Options of every command that evaluates: which images, and which file of a run."""

import argparse
from pathlib import Path


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
