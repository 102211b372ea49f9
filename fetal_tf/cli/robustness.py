"""Test robustness to image distortions: `python -m tools.robustness RUN`.

Scores the images under noise, speckle, blur, contrast, gamma and shadow. For several runs (seeds of
one experiment) it also says how far they agree.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fetal_tf.cli.command_options import add_judging_options, at_least, command_parser, short_names
from fetal_tf.cli.launching import run_command
from fetal_tf.edge.errors import DataError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Returns 0, or 2 with one line on stderr."""
    args = parser().parse_args(argv)
    return run_command(lambda: _study(args), "nothing was written")


def _study(args: argparse.Namespace) -> int:
    from fetal_tf.analysis.robustness import conditions, points, spread
    from fetal_tf.analysis.seed_agreement import check_one_experiment
    from fetal_tf.edge.io.files import make_writable_folder
    from fetal_tf.edge.io.folders import write_all
    from fetal_tf.evaluation.provenance import describe
    from fetal_tf.evaluation.target import open_target
    from fetal_tf.reporting.plots.figures import png_bytes
    from fetal_tf.reporting.plots.robustness import robustness_curves
    from fetal_tf.reporting.text.robustness import screen_text, study_record, title
    from fetal_tf.scores.rows import csv_text, frame_of, json_text

    labels = short_names(args.runs)
    targets = {
        label: open_target(reference, args.format)
        for label, reference in zip(labels, args.runs, strict=True)
    }
    differing = check_one_experiment(targets)
    first = targets[labels[0]]
    samples = spread(first.samples(args.split, args.data_root), args.limit)
    if not samples:
        raise DataError(f"{args.data_root or first.config.data.root}: no annotated image found")
    out = args.out or (first.run_path or Path()) / "robustness"
    make_writable_folder(out)  # fails before hours of work, not after them

    lines, clean = [], {}
    for label, target in targets.items():
        print(f"{label}: {len(samples)} images, undistorted and at every level", flush=True)
        task, seed = target.task, target.config.seed
        # Every run gets the same distorted frames, whatever its own seed.
        for condition in conditions(target.predictor, samples, task, seed=0, progress=True):
            lines += points(label, condition, task, seed)
            if condition.undistorted:
                clean[label] = condition.rows

    evaluated = {
        label: describe(target, samples, args.split, args.data_root, None, None)
        for label, target in targets.items()
    }
    found = frame_of(lines)
    record = study_record(found, clean, evaluated, first.task, differing)
    figure = robustness_curves(found, title(record), first.task.columns)
    files = {
        "robustness.csv": csv_text(found),
        "robustness.png": None if figure is None else png_bytes(figure),
        "summary.json": json_text(record),
    }
    paths = write_all(out, files)
    print(screen_text(found, record, first.task))
    for path in paths:
        print(path)
    return 0


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    command = command_parser(
        "python -m tools.robustness", __doc__, "runs/one runs/two --out robustness"
    )
    command.add_argument(
        "runs", metavar="RUN", nargs="+", help="a run; several: seeds of one experiment"
    )
    add_judging_options(command)
    command.add_argument(
        "--limit",
        type=at_least(2, "at least 2 images are expected"),
        metavar="N",
        help="study N images, evenly spread over them",
    )
    command.add_argument("--out", type=Path, metavar="DIR", help="default: RUN/robustness")
    return command


if __name__ == "__main__":
    sys.exit(main())
