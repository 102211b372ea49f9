"""Train many runs, one for each value, seed and fold: `python -m tools.sweep --config FILE`.

Ray Tune gives the trials to this machine, or to a cluster. Each is a run of its own below runs/.
At the end there are one table and one plot.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fetal_tf.cli.command_options import add_config_options, at_least, command_parser
from fetal_tf.cli.launching import run_command
from fetal_tf.edge.errors import FetalTFError, UsageError
from fetal_tf.edge.extras import require
from fetal_tf.edge.io.cluster import ADDRESSES, LOCAL

EXIT_CODES = """exit codes:
  0         every trial has finished
  1         some failed: they are listed with their errors, also in sweep.csv
  2         nothing could be done
  130, 143  Ctrl-C, SIGTERM: --resume goes on"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Returns 0, 1 where a trial failed, or 2 with one line on stderr."""
    args = parser().parse_args(argv)
    return run_command(lambda: _sweep(args), "continue with --resume")


def _sweep(args: argparse.Namespace) -> int:
    from fetal_tf.edge.io.files import make_writable_folder
    from fetal_tf.edge.io.lock import only_writer
    from fetal_tf.training.sweep import make_trials, read_grid

    require("ray")
    grid = read_grid(args.grid)
    if not (grid or args.seeds or args.folds):
        raise UsageError("nothing varies; --grid, --seeds or --folds says what does")
    trials = make_trials(args.config, args.set, args.name, grid, args.seeds, args.folds)
    name = args.name or _own_name(args)
    begun = [trial.run for trial in trials if trial.run.exists()]
    if begun and not args.resume:
        raise FetalTFError(
            f"{begun[0]}: this run exists; continue with --resume, or choose another --name"
        )
    out = args.out or Path("runs") / f"{name}-sweep"
    make_writable_folder(out)
    with only_writer(out, "One sweep at a time: wait until it ends, or choose another --name."):
        errors = _train(trials, out, args)
    return _report(name, grid, trials, errors, out)


def _own_name(args: argparse.Namespace) -> str:
    from fetal_tf.config.loading import load_config

    return load_config(args.config, args.set).name


def _train(trials: Sequence, out: Path, args: argparse.Namespace) -> dict[str, str]:
    """Train what is not finished, and print a line for each. Returns the errors by name."""
    from fetal_tf.training.ray_trials import train_trials

    left = [trial for trial in trials if not trial.finished]
    done = len(trials) - len(left)
    print(f"{len(trials)} trials, {done} of them finished; what they print: {out / 'logs'}")

    def ended(name: str, error: str) -> None:
        nonlocal done
        done += 1
        print(f"{done} of {len(trials)}: {name}: {error or 'finished'}", flush=True)

    return train_trials(left, out, args.ray, args.parallel, ended) if left else {}


def _report(name: str, grid, trials: Sequence, errors: dict[str, str], out: Path) -> int:
    from fetal_tf.analysis.sweep import point_lines, sweep_record, trial_lines
    from fetal_tf.edge.io.folders import write_all
    from fetal_tf.reporting.plots.figures import png_bytes
    from fetal_tf.reporting.plots.sweep import parallel_coordinates
    from fetal_tf.reporting.text.sweep import screen_text
    from fetal_tf.scores.rows import csv_text, json_text

    record = sweep_record(name, grid, trials, errors)
    figure = parallel_coordinates(record)
    paths = write_all(
        out,
        {
            "sweep.csv": csv_text(trial_lines(record)),
            "points.csv": csv_text(point_lines(record)),
            "sweep.json": json_text(record),
            "sweep.png": None if figure is None else png_bytes(figure),
        },
    )
    if record["phantom"]:
        print("PHANTOM: generated images, which say nothing about patients")
    print(screen_text(record))
    for path in paths:
        print(path)
    return int(any(row["state"] == "failed" for row in record["trials"]))


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    command = command_parser(
        "python -m tools.sweep",
        __doc__,
        "--config hc18_unet --grid optimizer.learning_rate=1e-3,3e-4 --folds 5",
    )
    command.epilog = f"{command.epilog}\n\n{EXIT_CODES}"
    add_config_options(command, "for all trials")
    command.add_argument(
        "--grid",
        action="append",
        default=[],
        metavar="KEY.PATH=V1,V2",
        help="values to try; of several --grid every combination is a trial",
    )
    command.add_argument(
        "--seeds", type=_seeds, default=[], metavar="S1,S2", help="seeds of training (key seed)"
    )
    command.add_argument(
        "--folds",
        type=at_least(2, "at least 2 folds are needed"),
        metavar="N",
        help="each trial on all folds of the data",
    )
    command.add_argument("--name", help="what the runs' names begin with (default: the config's)")
    command.add_argument(
        "--ray",
        default=LOCAL,
        metavar="ADDRESS",
        help=f"{ADDRESSES}; all its machines need fetal_tf, and a shared disk with the working "
        "folder, runs/ in it, the config and the data under the same names",
    )
    command.add_argument(
        "--parallel",
        type=at_least(1, "a whole number from 1 on is expected"),
        metavar="N",
        help="trials at once on a machine (default: one for each GPU, else for every 4 cores)",
    )
    command.add_argument(
        "--resume", action="store_true", help="train what is not finished, also what has failed"
    )
    command.add_argument(
        "--out", type=Path, metavar="DIR", help="for table and plot (default: runs/NAME-sweep)"
    )
    return command


def _seeds(text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.isdecimal() for part in parts) or len(set(parts)) < len(parts):
        raise argparse.ArgumentTypeError(f"{text!r}: different whole numbers are expected: 1,2,3")
    return [int(part) for part in parts]


if __name__ == "__main__":
    sys.exit(main())
