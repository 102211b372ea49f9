"""Compare runs, and test each against the first: `python -m tools.compare RUN RUN`.

Results that `evaluate` has written into a run are read; missing ones are computed, but not stored.
Figures that a run's config states as published are shown beside its own.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fetal_tf.cli.command_options import add_judging_options, command_parser, short_names
from fetal_tf.cli.launching import run_command


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Returns 0, or 2 with one line on stderr."""
    args = parser().parse_args(argv)
    return run_command(lambda: _compare(args), "nothing was written")


def _compare(args: argparse.Namespace) -> int:
    from fetal_tf.analysis.comparison import compare_runs
    from fetal_tf.edge.io.folders import write_all
    from fetal_tf.evaluation.stored import judge
    from fetal_tf.reporting.text.comparison import comparison_lines, comparison_markdown
    from fetal_tf.scores.rows import csv_text, json_text

    references = [args.first, *args.others]
    judged = []
    for label, reference in zip(short_names(references), references, strict=True):
        judged.append(judge(label, reference, args.format, args.split, args.data_root))
        source = judged[-1].stored_in or "evaluated just now"
        print(f"{label}: {len(judged[-1].rows)} images, {source}", flush=True)
    comparison = compare_runs(judged, args.metrics)
    print("\n" + comparison_markdown(comparison, bar="|"))
    if args.out is None:
        return 0
    texts = {
        "comparison.csv": csv_text(comparison_lines(comparison)),
        "comparison.json": json_text(comparison.as_record()),
        "comparison.md": comparison_markdown(comparison),
    }
    for path in write_all(args.out, texts):
        print(path)
    return 0


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    command = command_parser("python -m tools.compare", __doc__, "runs/one runs/two")
    command.add_argument("first", metavar="RUN", help="what the others are held against")
    command.add_argument("others", metavar="RUN", nargs="+", help="runs, or bundles")
    add_judging_options(command)
    command.add_argument(
        "--metrics",
        type=lambda text: [name.strip() for name in text.split(",") if name.strip()],
        metavar="A,B",
        help="columns of per_image.csv, or keys of summary.json such as pixels.heart.roc_auc "
        "(default: the headline metrics, and what the configs state as published)",
    )
    command.add_argument("--out", type=Path, metavar="DIR", help="also write the comparison there")
    return command


if __name__ == "__main__":
    sys.exit(main())
