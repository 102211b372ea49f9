"""Export a run for tablets: `python -m export RUN` writes RUN/bundle.

Exit code 0: every format measures as well as the float model. 1: parity failed; the bundle is
complete and says so (parity.json, bundle.json, the card), for a look at what went wrong; a format
that failed is its default only where none passed, and `predict` then warns. 2: no bundle was
written; what was there is unchanged.
"""

import argparse
import sys
from pathlib import Path

from fetal_tf.cli.command_options import command_parser
from fetal_tf.cli.launching import run_command, use_tensorflow_on_cpu
from fetal_tf.exporting.formats import FORMATS, parse_formats, require_extras


def main(argv: list[str] | None = None) -> int:
    """Returns 0, 1 where parity failed, or 2 with one line on stderr."""
    args = parser().parse_args(argv)
    use_tensorflow_on_cpu()
    return run_command(lambda: _export(args), "no bundle was written")


def _export(args: argparse.Namespace) -> int:
    from fetal_tf.exporting.bundle_folder import check_replaceable
    from fetal_tf.exporting.gate import open_gate
    from fetal_tf.exporting.parity import check_limit_names
    from fetal_tf.exporting.pipeline import export_run
    from fetal_tf.runs.run import open_run
    from fetal_tf.tracking.tracker import track_results

    run = open_run(args.run)
    names = args.formats.split(",") if args.formats else run.config.export.formats
    formats = parse_formats(names, "--formats" if args.formats else "export.formats")
    require_extras(formats)
    check_limit_names(run.config.export.parity_limits, FORMATS, run.task.columns)
    target = args.out or args.run / "bundle"
    check_replaceable(target)
    gate = open_gate(args.gate, target, run.task.measurement) if args.gate else None

    failures = export_run(run, formats, target, args.parity_split, args.data_root, gate)
    print(target)
    if args.out is None:
        track_results(run.config, run.path)
    for line in failures:
        print(f"parity failed: {line}", file=sys.stderr)
    return 1 if failures else 0


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    command = command_parser(
        "python -m export",
        "Convert a run, prove the files against the float model, and bundle them.",
        "runs/mine",
    )
    command.add_argument("run", type=Path, metavar="RUN", help="folder that training wrote")
    command.add_argument(
        "--formats",
        metavar="A,B",
        help=f"any of {','.join(FORMATS)}, or all (default: the config's export.formats, which are "
        "float32, float16 and int8 unless it says otherwise)",
    )
    command.add_argument(
        "--out", type=Path, metavar="DIR", help="default: RUN/bundle; only a bundle is replaced"
    )
    command.add_argument(
        "--parity-split",
        choices=("val", "test"),
        help="images that parity is judged on (default: the config's export.parity_split)",
    )
    command.add_argument(
        "--data-root", type=Path, metavar="DIR", help="where the run's data are on this machine"
    )
    command.add_argument(
        "--gate",
        metavar="RUN|BUNDLE",
        help="an autoencoder's bundle, put into this one to flag frames of another plane",
    )
    return command


if __name__ == "__main__":
    sys.exit(main())
