"""Test how an autoencoder flags other planes: `python -m tools.plane_gate RUN|BUNDLE`.

Compares its own images with those of other datasets and with corrupted versions of themselves.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fetal_tf.cli.command_options import add_judging_options, command_parser
from fetal_tf.cli.launching import run_command
from fetal_tf.edge.errors import ConfigError, DataError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Returns 0, or 2 with one line on stderr."""
    args = parser().parse_args(argv)
    return run_command(lambda: _study(args), "nothing was written")


def _study(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    import pandas as pd

    from fetal_tf.analysis import plane_gate
    from fetal_tf.edge.io.files import make_writable_folder
    from fetal_tf.edge.io.folders import write_all
    from fetal_tf.evaluation.provenance import describe
    from fetal_tf.evaluation.target import open_target
    from fetal_tf.reporting.plots.figures import png_bytes
    from fetal_tf.reporting.plots.plane_gate import gate_histograms
    from fetal_tf.reporting.text.plane_gate import screen_text
    from fetal_tf.scores.rows import csv_text, json_text

    target = open_target(args.target, args.format)
    task, predictor, seed = target.task, target.predictor, target.config.seed
    if task.name != "reconstruction":
        raise ConfigError(f"{args.target}: its task is {task.name}; an autoencoder is needed here")
    samples = target.samples(args.split, args.data_root)
    if not samples:
        raise DataError(f"{args.data_root or target.config.data.root}: no annotated image found")
    elsewhere = {
        name: target.samples("all", root, name) for name, root in map(_named_root, args.others)
    }
    out = args.out or (target.run_path or Path()) / "plane_gate"
    make_writable_folder(out)  # fails before minutes of work, not after them

    print(f"{target.name}: {len(samples)} images of its own", flush=True)
    own = plane_gate.own_frames(predictor, samples, task, progress=True)
    datasets = []
    for name, others in elsewhere.items():
        print(f"{name}: {len(others)} images", flush=True)
        found = plane_gate.other_frames(name, predictor, others, task, progress=True)
        datasets.append(found)
    corrupted = []
    if args.corruptions:
        print("its own images, corrupted", flush=True)
        corrupted = list(plane_gate.corrupted_frames(predictor, samples, task, progress=True))

    evaluated = describe(target, samples, args.split, args.data_root, None, None)
    validation = {id for id, row in target.splits.items() if row.split == "val"}
    record = plane_gate.study_record(
        own,
        [*datasets, *corrupted],
        task.measurement_settings,
        seed,
        fitted_here=any(sample.id in validation for sample in samples),
    )
    figure = gate_histograms(own, datasets or corrupted)
    lines = pd.concat([frames.lines() for frames in (own, *datasets, *corrupted)])
    tree = {"schema": 1, "evaluated": asdict(evaluated), **record}
    plot = None if figure is None else png_bytes(figure)
    files = {"gate.csv": csv_text(lines), "gate.json": json_text(tree), "gate.png": plot}
    paths = write_all(out, files)
    if evaluated.phantom:
        print("PHANTOM: generated images, which say nothing about patients")
    print(screen_text(record))
    for path in paths:
        print(path)
    return 0


def _named_root(text: str) -> tuple[str, Path]:
    """`hc18=DIR`: the dataset's name and its folder."""
    name, equals, root = text.partition("=")
    if not (name and equals and root):
        raise ConfigError(f"--others {text}: write it as DATASET=DIR, for example hc18=data/hc18")
    return name, Path(root)


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    command = command_parser(
        "python -m tools.plane_gate",
        __doc__,
        "runs/focus_autoencoder --split val --others hc18=HC18",
    )
    command.add_argument("target", metavar="RUN|BUNDLE", help="of the task reconstruction")
    add_judging_options(command)
    command.add_argument(
        "--others",
        action="append",
        default=[],
        metavar="DATASET=DIR",
        help="frames of another dataset, for example hc18=DIR; may be repeated",
    )
    command.add_argument(
        "--corruptions", action="store_true", help="also its own images under distortions"
    )
    command.add_argument("--out", type=Path, metavar="DIR", help="default: RUN/plane_gate")
    return command


if __name__ == "__main__":
    sys.exit(main())
