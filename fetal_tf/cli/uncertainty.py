"""Compare uncertainty with error: `python -m tools.uncertainty RUN`.

Uncertainty is the spread of repeated answers (MC dropout, test-time views) in the measurement's
unit. Error is that of the single answer that `predict` gives.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fetal_tf.cli.command_options import add_judging_options, at_least, command_parser
from fetal_tf.cli.launching import run_command
from fetal_tf.edge.errors import DataError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Returns 0, or 2 with one line on stderr."""
    args = parser().parse_args(argv)
    return run_command(lambda: _study(args), "nothing was written")


def _study(args: argparse.Namespace) -> int:
    from fetal_tf.analysis.uncertainty import METHODS, dropout_sampler, study, view_sampler
    from fetal_tf.edge.io.files import make_writable_folder
    from fetal_tf.edge.io.folders import write_all
    from fetal_tf.evaluation.provenance import describe
    from fetal_tf.evaluation.target import open_target
    from fetal_tf.reporting.plots.figures import png_bytes
    from fetal_tf.reporting.plots.uncertainty import error_against_spread
    from fetal_tf.reporting.text.uncertainty import (
        main_first,
        pairs_of,
        screen_text,
        uncertainty_record,
    )
    from fetal_tf.scores.rows import csv_text, json_text
    from fetal_tf.scores.wording import plural

    target = open_target(args.run, args.format)
    task, seed = target.task, target.config.seed
    makers = dict(zip(METHODS, (dropout_sampler, view_sampler), strict=True))
    methods = METHODS if args.method == "both" else (args.method,)
    samplers = {m: makers[m](target.predictor, task, args.samples, seed) for m in methods}
    samples = target.samples(args.split, args.data_root)
    if not samples:
        raise DataError(f"{args.data_root or target.config.data.root}: no annotated image found")
    out = args.out or (target.run_path or Path()) / "uncertainty"
    make_writable_folder(out)

    rows, found = study(target.predictor, samples, task, samplers, progress=True)
    quantities = main_first(found, task)
    evaluated = describe(target, samples, args.split, args.data_root, None, None)
    record = uncertainty_record(rows, quantities, methods, evaluated, args.samples, seed)
    pairs = {q.name: {m: pairs_of(rows, q, m)[:2] for m in methods} for q in quantities}
    kind = "PHANTOM image" if evaluated.phantom else "image"
    title = f"{target.name} ({target.format}): {plural(len(rows), kind)}"
    figure = error_against_spread(pairs, f"{title}, {args.samples} answers each")
    files = {
        "per_image.csv": csv_text(rows),
        "summary.json": json_text(record),
        "uncertainty.png": None if figure is None else png_bytes(figure),
    }
    paths = write_all(out, files)
    if evaluated.phantom:
        print("PHANTOM: generated images, which say nothing about patients")
    print(screen_text(record))
    for path in paths:
        print(path)
    return 0


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    command = command_parser("python -m tools.uncertainty", __doc__, "runs/mine")
    command.add_argument("run", metavar="RUN", help="a run, or a bundle with --method tta")
    add_judging_options(command)
    command.add_argument(
        "--method",
        choices=("mc-dropout", "tta", "both"),
        default="tta",
        help="what makes the answers differ: dropout, other views of the frame (default: tta)",
    )
    command.add_argument(
        "--samples",
        type=at_least(2, "a spread needs at least 2 answers"),
        default=20,
        metavar="N",
        help="answers (default: 20)",
    )
    command.add_argument("--out", type=Path, metavar="DIR", help="default: RUN/uncertainty")
    return command


if __name__ == "__main__":
    sys.exit(main())
