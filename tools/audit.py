"""Check every file of a dataset before training: `python -m tools.audit focus --root DIR`.

The dataset is only read. Exit code 0: nothing is wrong, though something may be suspect; 1: the
audit found something wrong; 2: it could not be done.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fetal_tf.cli.launching import run_command
from fetal_tf.edge.errors import FetalTFError


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0, 1 where something is wrong with the data, or 2 with one line on stderr."""
    args = _parser().parse_args(argv)
    return run_command(lambda: _audit(args), "nothing was written")


def _audit(args: argparse.Namespace) -> int:
    from fetal_tf.data.audit import AUDITS
    from fetal_tf.edge.io.files import make_writable_folder, write_text_atomic
    from fetal_tf.edge.io.folders import staged_entries
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
    with staged_entries(args.out) as folder:
        for name, text in texts.items():
            write_text_atomic(folder / name, text)
    print(audit.summary())
    for name in texts:
        print(args.out / name)
    return 1 if audit.wrong else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tools.audit", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("name", metavar="NAME", help="the dataset, for example focus")
    parser.add_argument("--root", type=Path, required=True, metavar="DIR", help="where it lies")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="gets audit.csv, audit.json and index.html; landmarks also repaired.csv",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
