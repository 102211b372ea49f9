"""Check every file of a dataset before training: `python -m tools.audit focus --root DIR`.

The dataset is only read. Exit code 0: nothing is wrong, though something may be suspect; 1: the
audit found something wrong; 2: it could not be done.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fetal_tf.cli.command_options import command_parser
from fetal_tf.cli.launching import run_command
from fetal_tf.edge.errors import FetalTFError


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0, 1 where something is wrong with the data, or 2 with one line on stderr."""
    args = parser().parse_args(argv)
    return run_command(lambda: _audit(args), "nothing was written")


def _audit(args: argparse.Namespace) -> int:
    from fetal_tf.data.audit import AUDITS
    from fetal_tf.edge.io.files import make_writable_folder
    from fetal_tf.edge.io.folders import write_all
    from fetal_tf.edge.io.foreign_text import printable_lines
    from fetal_tf.reporting.audit_page import audit_page
    from fetal_tf.scores.rows import csv_text, json_text

    audit_dataset = AUDITS.get("audit", args.name)
    if args.out.resolve().is_relative_to(args.root.resolve()):
        raise FetalTFError(
            f"--out {args.out} lies inside --root {args.root}: nothing is written into a dataset. "
            "Choose another folder."
        )
    audit = audit_dataset(args.root)
    make_writable_folder(args.out)
    record = {"dataset": args.name, "root": args.root.name, **audit.as_record()}
    texts = {
        "audit.csv": csv_text(audit.rows()),
        "audit.json": json_text(record),
        "index.html": audit_page(audit, args.name, args.root.resolve().name),
        **audit.tables,
    }
    paths = write_all(args.out, texts)
    print(printable_lines(audit.summary()))
    for path in paths:
        print(path)
    return 1 if audit.wrong else 0


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    command = command_parser("python -m tools.audit", __doc__, "hc18 --root DATA --out audit")
    command.add_argument("name", metavar="NAME", help="the dataset, for example focus")
    command.add_argument("--root", type=Path, required=True, metavar="DIR", help="where it lies")
    command.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="gets audit.csv, audit.json and index.html; landmarks also repaired.csv",
    )
    return command


if __name__ == "__main__":
    sys.exit(main())
