"""Measure images with a bundle: `python -m fetal_tf.predict BUNDLE|zoo:NAME PATH…`.

Runs without TensorFlow. Each row is in the table as soon as its image is measured.
"""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from fetal_tf.cli.command_options import command_parser
from fetal_tf.cli.launching import open_output, print_error, unread
from fetal_tf.edge.bundle.bundle import Bundle
from fetal_tf.edge.bundle.cluster_workers import measured_on_cluster
from fetal_tf.edge.bundle.prediction import Prediction
from fetal_tf.edge.bundle.results import Results, open_results, record_columns
from fetal_tf.edge.bundle.seal import SEAL
from fetal_tf.edge.bundle.workers import IMAGES_A_WORKER, Job, Task, measured, useful_workers
from fetal_tf.edge.draw.painting import painter
from fetal_tf.edge.errors import FetalTFError
from fetal_tf.edge.flag import split_flags
from fetal_tf.edge.inference.runtimes import MAX_THREADS
from fetal_tf.edge.io.cluster import ADDRESSES, cluster
from fetal_tf.edge.io.files import sha256_of
from fetal_tf.edge.io.foreign_text import plain_float, printable
from fetal_tf.edge.io.inputs import OVERLAYS, TABLE, image_paths, picture_names
from fetal_tf.edge.io.pixel_sizes import parse_mm_per_pixel, read_pixel_sizes
from fetal_tf.edge.io.stopping import exit_code, noted_signals
from fetal_tf.edge.measure.clinical import INTERGROWTH_WEEKS
from fetal_tf.version import __version__

T = TypeVar("T")
EXIT_CODES = """exit codes:
  0         every image has its row
  2         nothing could be done, or a row could not be written
  3         some files were broken, or pictures not written
  130, 143  Ctrl-C, SIGTERM: the table holds what was measured"""
MAX_WORKERS = 256
SHOWN = 10  # up to so many results are printed one by one; more are only in the table


@dataclass
class Outcome:
    """What a command has done.

    Attributes:
        folder: of the results.
        planned: how many images there were to measure.
        pictured: whether pictures were asked for.
        earlier: how many more had a row from before.
        counts: images that are measured, flagged among these, refused, broken, without a picture.
        texts: for the screen, of the first SHOWN images that were no broken files.
        flags: images by the code of their flags and refusals.
        stopped: exit code of an interruption, None where there was none.
        has_errors: whether a row of the table, also one from before, has an error.
    """

    folder: Path
    planned: int
    pictured: bool = True
    earlier: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    texts: list[str] = field(default_factory=list)
    flags: Counter[str] = field(default_factory=Counter)
    stopped: int | None = None
    has_errors: bool = False

    @property
    def done(self) -> int:
        return sum(self.counts[kind] for kind in ("measured", "refused", "broken"))

    def add(self, prediction: Prediction) -> None:
        """Count an image."""
        self.has_errors = self.has_errors or bool(prediction.error)
        if prediction.broken:
            self.counts["broken"] += 1
            return
        self.counts["refused" if prediction.refused else "measured"] += 1
        self.counts["flagged"] += bool(prediction.flags) and not prediction.refused
        self.counts["without a picture"] += self.pictured and prediction.overlay is None
        doubts = (*prediction.flags, *split_flags(prediction.refused or ""))
        self.flags.update({flag.code for flag in doubts})
        if len(self.texts) < SHOWN:
            self.texts.append(prediction.as_text(painter(sys.stdout)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    open_output()
    options = _parsed(arguments)
    try:
        with noted_signals():
            outcome = predict(options)
    except FetalTFError as error:
        return print_error(error)
    except KeyboardInterrupt as stopped:
        print("interrupted; nothing more was written", file=sys.stderr)
        return exit_code(stopped)
    try:
        report(outcome)
        sys.stdout.flush()
    except OSError:  # nobody reads it; the table is whole
        return unread()
    if outcome.stopped is not None:
        print(
            f"interrupted after {outcome.done} of {outcome.planned} images; --resume goes on with "
            f"--out {printable(str(outcome.folder))}",
            file=sys.stderr,
        )
        return outcome.stopped
    return 3 if outcome.has_errors else 0


def predict(options: argparse.Namespace) -> Outcome:
    """Open the bundle, measure every image, write pictures and tables.

    Returns:
        What was done; fewer images than planned if the user interrupted.

    Raises:
        FetalTFError: bundle, inputs, pixel sizes or the folder `out` cannot be used, or a row not
            be written.
        KeyboardInterrupt: before the first image was measured or while the JSON was written.
    """
    paths = image_paths(options.paths, recursive=options.recursive)
    sizes = read_pixel_sizes(options.pixel_size_csv).of(paths) if options.pixel_size_csv else {}
    job = Job(options.bundle, options.format, options.convention, options.threads, options.ga_weeks)
    net = job.open()
    bundle, predictor, form = net.bundle, net.predictor, net.format
    for warning in bundle.warnings(form):
        print(printable(f"warning: {warning}"), file=sys.stderr)

    if options.out is not None:
        _check_apart(paths, options.out)
    with (
        cluster(options.ray, options.workers) if options.ray else nullcontext(),
        open_results(
            options.out,
            _settings(options, bundle, form),
            record_columns(bundle, predictor),
            resume=options.resume,
            overwrite=options.overwrite,
        ) as results,
    ):
        results.retry(paths)
        new = [path for path in paths if not results.knows(path)]
        pictured = not options.no_overlays
        outcome = Outcome(results.folder, len(new), pictured, len(paths) - len(new))
        outcome.has_errors = bool(results.errors_before)
        names = dict(zip(paths, picture_names(paths, results.pictures_before), strict=True))
        tasks = [
            Task(
                path,
                results.picture(names[path]) if pictured else None,
                sizes.get(path, options.mm_per_pixel),
            )
            for path in new
        ]
        if options.ray:
            found = measured_on_cluster(job, tasks, options.workers)
        else:
            workers = min(options.workers or useful_workers(len(tasks)), max(1, len(tasks)))
            found = measured(job, net, tasks, workers)
        try:
            with closing(found) as predictions:
                _record(predictions, options, sizes, results, outcome)
        except KeyboardInterrupt as stopped:
            if not outcome.done:
                raise
            outcome.stopped = exit_code(stopped)
        except FetalTFError as error:
            rows = results.table.count
            raise FetalTFError(
                f"{error} {rows} rows are whole; --resume goes on after them."
            ) from error
        if options.json:
            results.write_json(bundle, form)
    return outcome


def _check_apart(paths: Iterable[Path], out: Path) -> None:
    """Refuse images where pictures are to be written: a picture would take an image's place."""
    pictures = os.path.realpath(out / OVERLAYS)
    for path in paths:
        if os.path.dirname(os.path.realpath(path)) == pictures:
            raise FetalTFError(
                f"{path}: lies in {out / OVERLAYS}, where the pictures are to be written; name "
                "another folder with --out"
            )


def _settings(options: argparse.Namespace, bundle: Bundle, form: str) -> dict[str, Any]:
    """What the rows depend on, beside the images."""
    table = options.pixel_size_csv
    return {
        "fetal_tf": __version__,
        "bundle": bundle.name,
        "bundle_seal_sha256": sha256_of(bundle.path / SEAL),
        "format": form,
        "convention": options.convention,
        "mm_per_pixel": options.mm_per_pixel,
        "pixel_size_csv_sha256": None if table is None else sha256_of(table),
        "ga_weeks": options.ga_weeks,
    }


def _record(
    predictions: Iterable[Prediction],
    options: argparse.Namespace,
    sizes: Mapping[Path, float],
    results: Results,
    outcome: Outcome,
) -> None:
    """Write a row of each image as it is measured; an interruption leaves what is done."""
    total, table = outcome.planned, options.pixel_size_csv
    with tqdm(predictions, "measuring", total, unit="image", disable=None) as progress:
        for prediction in progress:
            _append(results, prediction)
            outcome.add(prediction)
            if prediction.error:
                _say(f"{'broken' if prediction.broken else 'no picture'}: {prediction.error}")
            if table and not prediction.broken and prediction.path not in sizes:
                _say(f"warning: {prediction.path}: no row in {table}, measured in pixels only")


def _append(results: Results, prediction: Prediction) -> None:
    try:
        results.add(prediction)
    except FetalTFError:
        print(prediction.as_text())  # not lost even on a full disk
        raise


def _say(text: str) -> None:
    tqdm.write(printable(text), file=sys.stderr)


def report(outcome: Outcome) -> None:
    """Print the results if they are few, and the number of each kind."""
    if outcome.done <= SHOWN:
        for text in outcome.texts:
            print(text)
    counts = outcome.counts
    parts = [
        f"{counts['measured']} measured ({counts['flagged']} flagged)",
        f"{counts['refused']} refused",
        f"{counts['broken']} broken",
    ]
    if counts["without a picture"]:
        parts.append(f"{counts['without a picture']} without a picture")
    if outcome.earlier:
        parts.append(f"{outcome.earlier} before")
    print(", ".join(parts))
    if outcome.done > SHOWN:
        for code, images in outcome.flags.most_common():
            print(f"    {code} {images}")
    beside = f", pictures: {OVERLAYS}/ beside it" if outcome.pictured else ""
    print(f"table: {printable(str(outcome.folder / TABLE))}{beside}")


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    command = parser()
    options = command.parse_args(arguments)
    if "" in (options.bundle, *options.paths):
        command.error("an empty name; is a variable not set?")
    if options.out is None and (options.resume or options.overwrite):
        command.error("--resume and --overwrite need the folder that is meant: --out DIR")
    return options


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    command = command_parser(
        "python -m fetal_tf.predict",
        "Measure ultrasound images with a bundle.",
        "zoo:hc18 frame.png --mm-per-pixel 0.13",
    )
    command.epilog = f"{command.epilog}\n\n{EXIT_CODES}"
    command.add_argument("bundle", metavar="BUNDLE", help="folder of a bundle, a run, or zoo:NAME")
    command.add_argument("paths", metavar="PATH", nargs="+", help="images, folders, quoted globs")
    size = command.add_mutually_exclusive_group()
    size.add_argument(
        "--mm-per-pixel",
        type=_argument(parse_mm_per_pixel),
        metavar="X",
        help="millimetres per pixel of all images, 0.01 to 2 (ultrasound: about 0.02 to 0.5); "
        "without it lengths are in pixels only",
    )
    size.add_argument(
        "--pixel-size-csv",
        type=Path,
        metavar="FILE",
        help="table with the columns filename (or a path) and pixel size(mm), 0.01 to 2",
    )
    command.add_argument(
        "--ga-weeks",
        type=_argument(_ga_weeks),
        metavar="X",
        help="gestational age by dates or an early scan, 14 to 40; gives z-scores and centiles",
    )
    command.add_argument(
        "--convention",
        metavar="SITE",
        help="measure as this site's experts put their calipers, where the bundle states how "
        "(default: the skull's outline, which age and centiles come from in any case)",
    )
    command.add_argument(
        "--format", metavar="F", help="int8, float32, onnx … (the bundle's choice)"
    )
    command.add_argument(
        "--threads", type=_argument(_threads), default=1, metavar="N", help=f"1 to {MAX_THREADS}"
    )
    command.add_argument(
        "--out",
        type=_argument(_folder),
        metavar="DIR",
        help="folder for the results (default: a new one, predictions, predictions-2 …)",
    )
    again = command.add_mutually_exclusive_group()
    again.add_argument(
        "--resume",
        action="store_true",
        help="go on with the table in DIR; files that have a row without an error are left out, "
        "whatever they hold now",
    )
    again.add_argument(
        "--overwrite", action="store_true", help="begin anew where DIR holds a table"
    )
    command.add_argument(
        "--workers",
        type=_argument(_workers),
        metavar="N",
        help="processes that measure, each with its own net (default: one for each core, fewer "
        f"for fewer than {IMAGES_A_WORKER} images each); the rows and their order are the same",
    )
    command.add_argument(
        "--ray",
        type=_argument(_address),
        metavar="ADDRESS",
        help=f"spread the images over a Ray cluster: {ADDRESSES}; every machine needs fetal_tf, "
        "bundle, images and --out under the same names; rows and order are the same",
    )
    command.add_argument(
        "--recursive", action="store_true", help="images in the subfolders of folders as well"
    )
    command.add_argument(
        "--no-overlays", action="store_true", help="write the table and no pictures"
    )
    command.add_argument("--json", action="store_true", help="write measurements.json as well")
    return command


def _argument(parse: Callable[[str], T]) -> Callable[[str], T]:
    """Wrap `parse` so that argparse prints the message of its ValueError."""

    def parsed(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return parsed


def _ga_weeks(text: str) -> float:
    weeks, (first, last) = plain_float(text), INTERGROWTH_WEEKS
    if not first <= weeks <= last:
        raise ValueError(f"weeks from {first:g} to {last:g} are expected, not {text!r}")
    return weeks


def _folder(text: str) -> Path:
    if not text:
        raise ValueError("an empty name; is a variable not set?")
    return Path(text)


def _address(text: str) -> str:
    if not text:
        raise ValueError("an empty address; is a variable not set?")
    return text


def _threads(text: str) -> int:
    return _whole(text, "threads", MAX_THREADS)


def _workers(text: str) -> int:
    return _whole(text, "workers", MAX_WORKERS)


def _whole(text: str, what: str, most: int) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise ValueError(f"{what} from 1 to {most} are expected, not {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
