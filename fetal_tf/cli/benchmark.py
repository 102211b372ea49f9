"""Measure speed and memory of whole commands, as ratios within one run."""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fetal_tf.cli.command_options import add_config_options, at_least, command_parser
from fetal_tf.cli.launching import run_command
from fetal_tf.edge.errors import ConfigError
from fetal_tf.edge.extras import require

PHANTOMS = 24
_COUNT = at_least(1, "a whole number from 1 on is expected")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Returns 0, or 2 with one line on stderr."""
    args = parser().parse_args(argv)
    return run_command(lambda: args.run(args), "nothing was written", keras=args.keras)


def _predict(args: argparse.Namespace) -> int:
    require("train")
    import statistics

    from fetal_tf.benchmarks.prediction import (
        Way,
        copies,
        predict_cost,
        shares,
        stage_times_ms,
        throughput,
    )
    from fetal_tf.edge.bundle.net import open_net
    from fetal_tf.edge.io.inputs import image_paths
    from fetal_tf.reporting.text.table import text_table
    from fetal_tf.scores.wording import DASH

    net = open_net(args.bundle)
    with _frames(args.paths, image_paths) as frames:
        times = stage_times_ms(net, frames, args.rounds)
        part = shares(times)
        print(f"a frame of {args.bundle}, {net.format}, one thread; medians, {len(frames)} frames")
        rows = [[name, f"{times[name]:.2f}", f"{part[name]:.0%}"] for name in times]
        print(text_table([["stage", "ms", "share"], *rows], rule=True), end="\n\n")

        ways = [Way(n, pictures) for pictures in (True, False) for n in args.workers]
        with copies(frames, args.images) as folder:
            costs = throughput(args.bundle, folder, ways, args.rounds)
        speed = {w: statistics.median(c.frames_per_second for c in costs[w]) for w in ways}
        rows = [
            [str(way), f"{speed[way]:.1f}", f"{speed[way] / speed[ways[0]]:.2f}"] for way in ways
        ]
        print(f"predict, {args.images} frames, start-up included; medians of {args.rounds} rounds")
        print(text_table([["way", "frames/s", "to the first"], *rows], rule=True), end="\n\n")

        if args.memory:
            print("memory at its highest, MiB, without pictures")
            rows = []
            for count in args.memory:
                with copies(frames, count) as folder:
                    found = [predict_cost(args.bundle, folder, Way(n, False)) for n in args.workers]
                for n, cost in zip(args.workers, found, strict=True):
                    peaks = [cost.peak_mib, *([cost.worker_peak_mib] if n > 1 else [])]
                    cells = [f"{peak:.0f}" for peak in peaks] + [DASH] * (2 - len(peaks))
                    rows.append([f"{n}", f"{count}", *cells])
            header = ["workers", "frames", "the command", "a worker"]
            print(text_table([header, *rows], rule=True))
    return 0


def _pipeline(args: argparse.Namespace) -> int:
    import statistics

    from fetal_tf.benchmarks.pipeline import (
        pipeline_seconds,
        reading_seconds,
        stage_seconds,
        step_times,
        transform_seconds,
    )
    from fetal_tf.config.loading import load_config
    from fetal_tf.experiment import open_experiment
    from fetal_tf.reporting.text.table import text_table
    from fetal_tf.training.frames import load_frames

    config = load_config(args.config, args.set)
    experiment = open_experiment(config)
    frames = load_frames(experiment)
    batch = config.train.batch_size

    stages = stage_seconds(experiment, frames.train, args.frames)
    rows = [[name, f"{1000 * s:.2f}", f"{1 / s:.0f}"] for name, s in stages.items()]
    print("one thread; medians")
    print(text_table([["stage", "ms a frame", "frames/s"], *rows], rule=True), end="\n\n")

    costs = transform_seconds(experiment, frames.train, args.frames)
    rows = [[name, f"{1000 * seconds:.2f}"] for name, seconds in costs.items()]
    print("augmentations, the dearest first; means, with their probabilities")
    print(text_table([["augmentation", "ms a frame"], *rows], rule=True), end="\n\n")

    reading = reading_seconds(experiment, frames.train)
    alone = pipeline_seconds(experiment, frames, args.steps)
    epoch = alone * len(frames.train)
    print(f"an epoch of the pipeline alone, {len(frames.train)} frames")
    rows = [
        ["the first, frames read from their files", f"{reading + epoch:.1f} s", "1.00"],
        ["each other, frames from memory", f"{epoch:.1f} s", f"{epoch / (reading + epoch):.2f}"],
    ]
    print(text_table([["", "", "to the first"], *rows], rule=True), end="\n\n")

    times = step_times(experiment, frames, args.steps, args.rounds)
    cached, real = (statistics.median(each) for each in (times.cached, times.real))
    print(f"{config.name}: steps of {batch} frames, {args.rounds} rounds of {args.steps} in turns")
    rows = [
        ["a step on a batch that is kept", f"{1000 * cached:.1f} ms"],
        ["a step with the pipeline", f"{1000 * real:.1f} ms"],
        ["the pipeline adds", f"{times.added:.1%}"],
        ["of its time a step waits", f"{times.waiting:.1%}"],
        ["the pipeline alone", f"{1 / alone:.0f} frames/s"],
        ["the net trains", f"{batch / cached:.0f} frames/s"],
        ["the pipeline alone is faster", f"{cached / batch / alone:.1f} times"],
    ]
    print(text_table([["", ""], *rows]))
    return 0


def _training(args: argparse.Namespace) -> int:
    from fetal_tf.benchmarks.training import training_speed
    from fetal_tf.config.loading import load_config
    from fetal_tf.reporting.text.table import text_table
    from fetal_tf.scores.wording import DASH
    from fetal_tf.training.devices import on_this_device

    ways = [on_this_device(load_config(args.config, [*args.set, *way])) for way in args.way]
    found = training_speed(ways, args.steps, args.rounds)
    if found[0].fault:
        raise ConfigError(found[0].fault)
    first = found[0].frames_per_second
    print(f"{ways[0].name}: {args.rounds} rounds of up to {args.steps} batches each, in turns")
    rows = []
    for way, training in zip(args.way, found, strict=True):
        cells = [DASH] * 4
        if not training.fault:
            cells = [
                f"{training.compile_seconds:.1f}",
                f"{training.frames_per_second:.1f}",
                f"{training.frames_per_second / first:.2f}",
                f"{training.losses[-1]:.4f}",
            ]
        rows.append([", ".join(part.removeprefix("train.") for part in way), *cells])
    header = ["way", "first round s", "frames/s", "to the first", "loss at last"]
    print(text_table([header, *rows], rule=True))
    for training in found:
        if training.fault:
            print(training.fault)
    return 0


def _way(text: str) -> list[str]:
    return [f"train.{part.strip()}" for part in text.split(",")]


def _scale(args: argparse.Namespace) -> int:
    from fetal_tf.benchmarks.scale import step_cost
    from fetal_tf.reporting.text.table import text_table

    first = step_cost(args.config, args.set, args.steps)
    rows = []
    for key, values in [("as it is", [""]), *args.vary]:
        for value in values:
            change = [f"{key}={value}"] if value else []
            cost = step_cost(args.config, [*args.set, *change], args.steps) if change else first
            rows.append(
                [
                    key,
                    value,
                    f"{cost.weights / 1e6:.2f}",
                    f"{1000 * cost.step_s:.0f}",
                    f"{1000 * cost.frame_s:.1f}",
                    f"{cost.frame_s / first.frame_s:.2f}",
                    f"{cost.peak_mib:.0f}",
                ]
            )
    print(f"{args.config}: a training step on noise; medians of {args.steps}")
    header = ["", "", "M weights", "ms a step", "ms a frame", "to the first", "peak MiB"]
    print(text_table([header, *rows], rule=True))
    return 0


def _variation(text: str) -> tuple[str, list[str]]:
    key, found, values = text.partition("=")
    if not key or not found or not values:
        raise argparse.ArgumentTypeError(f"{text!r}: KEY.PATH=VALUE;VALUE… is expected")
    return key, [value.strip() for value in values.split(";")]


@contextmanager
def _frames(paths: Sequence[str], expand) -> Iterator[list[Path]]:
    """The frames that are named, else phantoms."""
    if paths:
        yield expand(paths)
        return
    from fetal_tf.data.phantom.writing import write_phantom

    with tempfile.TemporaryDirectory(prefix="fetal_tf-phantom-") as name:
        root = Path(name) / "hc18"
        write_phantom("hc18", root, count=PHANTOMS, seed=0)
        print("PHANTOM frames; their content says nothing about patients")
        yield expand([str(root / "training_set")])


def _counts(text: str) -> list[int]:
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or min(found) < 1:
        raise argparse.ArgumentTypeError(f"numbers from 1 on are expected, as 1,2; found {text!r}")
    return found


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    command = command_parser(
        "python -m fetal_tf.cli.benchmark", __doc__, "predict zoo:hc18 --images 200"
    )
    kinds = command.add_subparsers(metavar="WHAT", required=True)
    predict = kinds.add_parser("predict", help="frames a second, stages of a frame, memory")
    predict.set_defaults(run=_predict, keras=False)
    predict.add_argument("bundle", metavar="BUNDLE", help="folder of a bundle, a run, or zoo:NAME")
    predict.add_argument("paths", metavar="PATH", nargs="*", help="frames (default: phantoms)")
    predict.add_argument(
        "--images", type=_COUNT, default=400, metavar="N", help="frames to measure"
    )
    predict.add_argument(
        "--rounds", type=_COUNT, default=3, metavar="N", help="repetitions, in turns"
    )
    predict.add_argument("--workers", type=_counts, default=[1, 2], metavar="N,…")
    predict.add_argument(
        "--memory", type=_counts, metavar="N,…", help="numbers of frames to measure memory at"
    )
    training = kinds.add_parser("training", help="precision, XLA and the like, side by side")
    training.set_defaults(run=_training, keras=True)
    add_config_options(training)
    training.add_argument(
        "--way",
        action="append",
        type=_way,
        required=True,
        metavar="KEY=VALUE,…",
        help="keys of the section train, as precision=auto,jit_compile=true; the first is compared",
    )
    training.add_argument(
        "--steps", type=_COUNT, default=20, metavar="N", help="batches of a round"
    )
    training.add_argument(
        "--rounds", type=_COUNT, default=3, metavar="N", help="repetitions, in turns"
    )
    scale = kinds.add_parser("scale", help="a step against frame size, width and batch")
    scale.set_defaults(run=_scale, keras=True)
    add_config_options(scale)
    scale.add_argument(
        "--vary",
        action="append",
        type=_variation,
        default=[],
        metavar="KEY.PATH=VALUE;…",
        help="values of one key, as 'train.batch_size=1;8;32'; each is tried alone",
    )
    scale.add_argument("--steps", type=_COUNT, default=10, metavar="N", help="that are timed")
    pipeline = kinds.add_parser("pipeline", help="the input of training, stage by stage")
    pipeline.set_defaults(run=_pipeline, keras=True)
    add_config_options(pipeline)
    pipeline.add_argument("--frames", type=_COUNT, default=200, metavar="N", help="for the stages")
    pipeline.add_argument("--steps", type=_COUNT, default=20, metavar="N", help="of a round")
    pipeline.add_argument(
        "--rounds", type=_COUNT, default=3, metavar="N", help="repetitions, in turns"
    )
    return command


if __name__ == "__main__":
    sys.exit(main())
