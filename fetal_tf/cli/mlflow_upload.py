"""Upload a run to MLflow: `python -m tools.mlflow_upload RUN`.

Only what the server lacks is sent: a second upload changes nothing.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fetal_tf.cli.command_options import command_parser
from fetal_tf.cli.launching import run_command
from fetal_tf.edge.errors import FetalTFError
from fetal_tf.edge.extras import require

TIMEOUT_S = 60
RETRIES = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Returns 0, or 2 with one line on stderr."""
    args = parser().parse_args(argv)
    return run_command(lambda: _upload(args), "what was sent stays there; run it once more")


def _upload(args: argparse.Namespace) -> int:
    require("mlflow")
    from fetal_tf.config.tree import refuse_user_info
    from fetal_tf.runs.run import open_run
    from fetal_tf.tracking.run_folder import RunFolder, read_memory
    from fetal_tf.tracking.sync import set_network_limits, sync
    from fetal_tf.tracking.tracker import reason

    if args.uri:
        refuse_user_info(args.uri, "--uri")
    set_network_limits(TIMEOUT_S, RETRIES)
    for path in args.runs:
        config = open_run(path).config
        target = read_memory(path) or config.mlflow
        uri, experiment = args.uri or target.uri, target.experiment
        try:
            sent = len(list(sync(RunFolder(path), uri, experiment, None)))
        except FetalTFError:
            raise
        except Exception as error:  # network, database and MLflow errors share no base
            raise FetalTFError(f"MLflow at {uri}: {reason(error)}") from error
        memory = read_memory(path)
        assert memory is not None, "sync writes it"
        print(f"{path}: {sent} sent; run {memory.run_id} of {experiment} at {uri}")
    return 0


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    command = command_parser("python -m tools.mlflow_upload", __doc__, "runs/mine")
    command.add_argument("runs", metavar="RUN", nargs="+", type=Path, help="folders of runs")
    command.add_argument(
        "--uri", metavar="URI", help="where to (default: where the run is, else its mlflow.uri)"
    )
    return command


if __name__ == "__main__":
    sys.exit(main())
