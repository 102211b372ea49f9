"""Train a model: `python -m fetal_tf.train --config FILE`, or one per fold with `--folds N`."""

import argparse
import json
import sys
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from fetal_tf.cli.command_options import add_config_options, at_least, command_parser
from fetal_tf.cli.launching import run_command
from fetal_tf.edge.errors import ConfigError, FetalTFError
from fetal_tf.edge.extras import require
from fetal_tf.training.joining import leave

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fetal_tf.config.tree import Config
    from fetal_tf.training.distribution import Distribution
    from fetal_tf.training.frames import Frames
    from fetal_tf.training.joining import Job


def main(argv: list[str] | None = None) -> int:
    """Run the command.

    Returns 0, or 1 where `--overfit-batch` did not overfit or `--dry-run` found something wrong
    with the data, or 2 with one line on stderr.
    """
    arguments = sys.argv[1:] if argv is None else argv
    args = parser().parse_args(arguments)
    return leave(run_command(lambda: _choose(args, arguments), "continue with --resume"))


def _choose(args: argparse.Namespace, arguments: list[str]) -> int:
    from fetal_tf.config.loading import load_config
    from fetal_tf.training.devices import on_this_device
    from fetal_tf.training.joining import is_inside, job_of, run_inside

    job = job_of(args.coordinator, args.processes, args.process_id)
    if job is not None and not is_inside():
        if args.folds or args.dry_run or args.overfit_batch:
            raise ConfigError(
                "--coordinator trains one run; leave --folds, --dry-run and --overfit-batch out"
            )
        return run_inside(job, arguments)
    overrides = args.set if args.name is None else [*args.set, f"name='{args.name}'"]
    if args.tolerant:
        overrides = [*overrides, "data.options.tolerant=true"]
    config = load_config(args.config, overrides)
    if "mlflow" in config.tracking:
        require("mlflow")
    if job is not None:  # before JAX is asked for its devices
        return _train_together(config, job, resume=args.resume)
    config = on_this_device(config)
    if args.folds is not None:
        return _choose_folds(config, args)
    if args.dry_run:
        return _dry_run(config)
    if args.overfit_batch:
        return _overfit_batch(config)
    if config.train.distribute != "none":
        return _train_together(config, None, resume=args.resume)
    return _train(config, resume=args.resume)


def _choose_folds(config: "Config", args: argparse.Namespace) -> int:
    from fetal_tf.training.folds import fold_configs

    if args.overfit_batch:
        raise ConfigError("--overfit-batch learns one batch and needs no --folds; leave one out")
    configs = fold_configs(config, args.folds)
    if args.dry_run:
        return _dry_run_folds(configs)
    options = ["--config", str(args.config), *(["--tolerant"] if args.tolerant else [])]
    options += [part for override in args.set for part in ("--set", override)]
    return _train_folds(config, configs, options, resume=args.resume)


def _train(config: "Config", resume: bool, distribution: "Distribution | None" = None) -> int:
    run = Path("runs") / config.name
    with ExitStack() as held:
        if resume and run.is_dir():
            held.enter_context(_sole_trainer(run))
        return _train_alone(config, run, resume, held, distribution)


def _sole_trainer(run: Path) -> AbstractContextManager[None]:
    from fetal_tf.edge.io.lock import only_writer

    return only_writer(run, "One process trains a run: wait until it ends, or stop it first.")


def _train_together(config: "Config", job: "Job | None", resume: bool) -> int:
    """Train on several devices, or as one of several processes."""
    from fetal_tf.runs.environment import versions
    from fetal_tf.runs.run import unmovable
    from fetal_tf.training.devices import on_this_device
    from fetal_tf.training.distribution import open_distribution

    distribution = open_distribution(config.train, job)
    config = on_this_device(config)
    shared = f"{distribution.devices} devices share each batch of {config.train.batch_size}"
    with distribution.together():
        distribution.check_alike(
            {
                "the config": json.dumps(unmovable(config), sort_keys=True),
                "versions of packages": json.dumps(versions()),
            }
        )
        if distribution.leads:
            print(shared)
            return _train(config, resume, distribution)
        print(
            f"process {distribution.rank} of {distribution.processes}: {shared}; process 0 writes"
        )
        return _help_training(config, resume, distribution)


def _help_training(config: "Config", resume: bool, distribution: "Distribution") -> int:
    """Train with a process that writes the run's files; resuming reads them."""
    from fetal_tf.data.splits import read_splits
    from fetal_tf.experiment import open_experiment
    from fetal_tf.training.fit import prepare_model, train
    from fetal_tf.training.frames import load_frames

    run = Path("runs") / config.name
    experiment = open_experiment(config)
    resumed = resume and (run / "last.keras").is_file()
    model = prepare_model(experiment, resumed=resumed, distribution=distribution)
    splits = read_splits(run / "splits.csv", experiment.data.read()) if resume else None
    frames = load_frames(experiment, splits)
    train(experiment, model, frames, run, resume=resume, verbose=0, distribution=distribution)
    print("finished; process 0 wrote the run")
    return 0


def _train_alone(
    config: "Config", run: Path, resume: bool, held: ExitStack, distribution: "Distribution | None"
) -> int:
    """Train while no other process does; a new run is held from the moment that it is there."""
    from fetal_tf.data.phantom.writing import is_phantom
    from fetal_tf.edge.io.files import remove_leftovers
    from fetal_tf.experiment import open_experiment
    from fetal_tf.runs.lineage import check_ancestors, credits_due
    from fetal_tf.runs.run import create_run, open_run, reopen_run
    from fetal_tf.tracking.tracker import tracked
    from fetal_tf.training.distribution import ONE_DEVICE
    from fetal_tf.training.fit import prepare_model, train
    from fetal_tf.training.fit_measurer import with_fitted_measurer
    from fetal_tf.training.frames import load_frames

    experiment = open_experiment(config)
    distribution = distribution or ONE_DEVICE
    resumed = resume and (run / "last.keras").is_file()
    model = prepare_model(experiment, resumed=resumed, distribution=distribution)
    splits = reopen_run(run, experiment, sys.argv) if resume else None
    frames = load_frames(experiment, splits)
    if not resume:
        check_ancestors(config, frames.splits)
        credits = credits_due(config, frames.train.samples)
        create_run(run, config, frames.splits, sys.argv, frames.class_pixels, credits)
        held.enter_context(_sole_trainer(run))
    remove_leftovers(run)
    print(f"{run}: {_sizes(config, frames.splits)}; tensorboard --logdir {run / 'tensorboard'}")
    if any(is_phantom(source.root) for source in config.data.sources.values()):
        print("PHANTOM: trained on generated images; its figures say nothing about patients")

    verbose = 1 if sys.stdout.isatty() else 2
    with tracked(config, run) as after_epoch:
        outcome = train(
            experiment,
            model,
            frames,
            run,
            resume=resume,
            verbose=verbose,
            distribution=distribution,
            after_epoch=after_epoch,
        )
        with_fitted_measurer(open_run(run))
    best = outcome.history[outcome.best_epoch]
    monitor = config.train.monitor
    why = "stopped early" if outcome.stopped_early else "finished"
    print(
        f"{why} after {len(outcome.history)} epochs; best epoch {outcome.best_epoch + 1}: "
        f"{monitor} {best[monitor]:.4f}\n"
        f"next: python -m {_next_command(config, frames.splits)}"
    )
    return 0


def _next_command(config: "Config", splits) -> str:
    """The command that judges the run: on test images, else on validation images."""
    from fetal_tf.data.configured import negative_ids

    run = f"runs/{config.name}"
    negative = negative_ids(config.data, splits)
    parts = {row.split for id, row in splits.items() if id not in negative}
    if "test" in parts:
        return f"fetal_tf.evaluate {run}"
    if "val" in parts:
        return f"fetal_tf.evaluate {run} --split val"
    return f"export {run} --parity-split val"  # it states the figures of the run that it refits


def _train_folds(
    config: "Config", configs: "Sequence[Config]", options: list[str], resume: bool
) -> int:
    from fetal_tf.evaluation.cross_validation import pool_folds, pooled_rows, read_fold, write_folds
    from fetal_tf.reporting.text.cross_validation import screen_text
    from fetal_tf.runs.run import open_run
    from fetal_tf.training.folds import check_folders, train_folds

    runs = [Path("runs") / part.name for part in configs]
    check_folders(runs, resume=resume)
    broken = train_folds(configs, runs, options, resume=resume)
    if broken:
        raise FetalTFError(
            f"{', '.join(map(str, broken))}: broke off, for the reasons above; all others are "
            f"there, go on with --folds {len(runs)} --resume"
        )
    folds = [read_fold(run) for run in runs]
    experiment = open_run(runs[0]).experiment
    record = pool_folds(config.name, folds, experiment.task, experiment.monitor, config.seed)
    paths = write_folds(Path("runs") / f"{config.name}-folds", record, pooled_rows(folds))
    if record["phantom"]:
        print("PHANTOM: generated images, which say nothing about patients")
    print(screen_text(record))
    for path in paths:
        print(path)
    return 0


def _dry_run_folds(configs: "Sequence[Config]") -> int:
    """Dry run of the first fold; of the others the frames, since a class may be missing there."""
    from fetal_tf.experiment import open_experiment
    from fetal_tf.runs.lineage import check_ancestors
    from fetal_tf.training.frames import load_frames

    print(f"fold 0 of {len(configs)}:")
    frames = _show_what_is_trained(configs[0])
    for number, config in enumerate(configs[1:], start=1):
        frames = load_frames(open_experiment(config))
        check_ancestors(config, frames.splits)
        print(f"fold {number} of {len(configs)}: {_sizes(config, frames.splits)}")
    return _conclude(configs[-1], frames.splits, f"{len(configs)} folds, the last ")


def _dry_run(config: "Config") -> int:
    """Returns 0, or 1 where something is wrong with the data."""
    return _conclude(config, _show_what_is_trained(config).splits)


def _conclude(config: "Config", splits, what: str = "") -> int:
    """List what the audits find, and end with one line. Returns 1 where something is wrong."""
    from fetal_tf.data.audit.configured import audit_config
    from fetal_tf.edge.io.foreign_text import printable_lines

    doubts = audit_config(config.data, set(splits))
    for doubt in doubts:
        print(printable_lines(str(doubt)))
    wrong = sum(doubt.wrong for doubt in doubts)
    found = f"{wrong} things wrong, listed above" if wrong > 1 else "1 thing wrong, listed above"
    if not wrong:
        found = "nothing wrong found"
    if len(doubts) > wrong:
        found += f"; to look at: {', '.join(dict.fromkeys(d.code for d in doubts if not d.wrong))}"
    print(f"would train {what}{config.name}: {_sizes(config, splits)}: {found}")
    return 1 if wrong else 0


def _show_what_is_trained(config: "Config") -> "Frames":
    from fetal_tf.config.loading import dump_config
    from fetal_tf.experiment import open_experiment
    from fetal_tf.runs.lineage import check_ancestors
    from fetal_tf.training.fit import prepare_model
    from fetal_tf.training.frames import first_batch_shapes, load_frames

    experiment = open_experiment(config)
    model = prepare_model(experiment)
    frames = load_frames(experiment)
    check_ancestors(config, frames.splits)
    print(dump_config(config))
    print(_sizes(config, frames.splits))
    model.summary(line_length=100)
    for name, (shape, dtype) in first_batch_shapes(experiment, frames).items():
        print(f"one batch: {name} {shape} {dtype}")
    return frames


def _overfit_batch(config: "Config") -> int:
    from fetal_tf.experiment import open_experiment
    from fetal_tf.training.fit import LEARNT, overfit_batch, prepare_model

    experiment = open_experiment(config)
    model = prepare_model(experiment)
    first, last = overfit_batch(
        experiment,
        model,
        lambda step, loss: print(f"step {step:4d}  loss {loss:.5f}", flush=True),
    )
    if last < LEARNT * first:
        print("the batch is learnt")
        return 0
    print("the batch is NOT learnt: its loss fell by less than 80 %")
    return 1


def _sizes(config: "Config", splits) -> str:
    from fetal_tf.data.configured import negative_ids

    negative = negative_ids(config.data, splits)
    parts: dict[str, list[str]] = {}
    for id, row in splits.items():
        if id not in negative:
            parts.setdefault(row.split, []).append(row.group)
    learnt = sum(splits[id].split == "train" for id in negative)
    return ", ".join(
        f"{part} {len(parts.get(part, []))} images of {len(set(parts.get(part, [])))} groups"
        for part in ("train", "val", "test")
    ) + (f", and {learnt} negatives to train on" if negative else "")


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    command = command_parser(
        "python -m fetal_tf.train", __doc__, "--config hc18_unet --set data.root=DATA --name mine"
    )
    add_config_options(command)
    command.add_argument("--name", help="the run's name (default: the config's)")
    command.add_argument(
        "--tolerant",
        action="store_true",
        help="map colours outside a mask's palette to the nearest one (data.options.tolerant)",
    )
    command.add_argument(
        "--folds",
        type=at_least(2, "at least 2 folds are needed"),
        metavar="N",
        help="train runs/NAME-fold0 to N-1, each validated on its fold, and compare them",
    )
    command.add_argument(
        "--resume", action="store_true", help="continue runs/NAME, or its folds with --folds"
    )
    together = command.add_argument_group(
        "several processes, on one machine or more (KERAS_BACKEND=jax; all three options)",
    )
    together.add_argument("--coordinator", metavar="HOST:PORT", help="of process 0; all meet there")
    together.add_argument("--processes", type=int, metavar="N", help="how many train together")
    together.add_argument("--process-id", type=int, metavar="I", help="this one, from 0")
    command.add_argument(
        "--dry-run",
        action="store_true",
        help="check everything, train nothing; 1 where the data are wrong",
    )
    command.add_argument(
        "--overfit-batch", action="store_true", help="prove that one batch is learnt"
    )
    return command


if __name__ == "__main__":
    sys.exit(main())
