"""Bring runs to MLflow that no server saw, or not to the end: `python -m tools.mlflow_upload RUN`.

What is there already is left: a second upload changes nothing.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fetal_tf.cli.launching import run_command
from fetal_tf.edge.extras import require

TIMEOUT_S = 60
RETRIES = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0, or 2 with one line on stderr."""
    args = _parser().parse_args(argv)
    return run_command(lambda: _upload(args), "what was sent stays there; run it once more")


def _upload(args: argparse.Namespace) -> int:
    require("mlflow")
    from fetal_tf.config.tree import refuse_user_info
    from fetal_tf.runs.run import open_run
    from fetal_tf.tracking.mlflow_run import read_memory, set_network_limits
    from fetal_tf.tracking.tracker import upload

    if args.uri:
        refuse_user_info(args.uri, "--uri")
    set_network_limits(TIMEOUT_S, RETRIES)
    for path in args.runs:
        config = open_run(path).config
        memory = read_memory(path)
        uri = args.uri or (memory.uri if memory else config.mlflow.uri)
        experiment = memory.experiment if memory else config.mlflow.experiment
        sent, run_id = upload(path, uri, experiment)
        print(f"{path}: {sent} sent; run {run_id} of {experiment} at {uri}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tools.mlflow_upload", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("runs", metavar="RUN", nargs="+", type=Path, help="folders of runs")
    parser.add_argument(
        "--uri", metavar="URI", help="where to (default: where the run is, else its mlflow.uri)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
