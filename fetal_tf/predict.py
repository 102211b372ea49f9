"""Measure images with a bundle: `python -m fetal_tf.predict BUNDLE|zoo:NAME PATH…`.

Runs without TensorFlow. Exit code 0, 2 where nothing could be done, 3 where some files were broken
or pictures not written, 130 where it was interrupted; the table then holds what was measured.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from fetal_tf.edge.bundle.bundle import Bundle, resolve_bundle
from fetal_tf.edge.bundle.prediction import (
    Prediction,
    predict_file,
    write_csv,
    write_json,
)
from fetal_tf.edge.errors import FetalTFError
from fetal_tf.edge.inference.predictor import Predictor
from fetal_tf.edge.inference.runtimes import MAX_THREADS
from fetal_tf.edge.io.files import make_writable_folder
from fetal_tf.edge.io.foreign_text import printable
from fetal_tf.edge.io.inputs import image_paths, picture_names
from fetal_tf.edge.io.pixel_sizes import parse_mm_per_pixel, read_pixel_sizes
from fetal_tf.edge.measure.clinical import INTERGROWTH_WEEKS

SHOWN = 10  # up to so many results are printed one by one; more are only in the table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        predictions, planned = predict(options)
    except FetalTFError as error:
        print(printable(f"error: {error}"), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted before the tables were written", file=sys.stderr)
        return 130
    report(predictions, options.out)
    if len(predictions) < planned:
        print(f"interrupted after {len(predictions)} of {planned} images", file=sys.stderr)
        return 130
    return 3 if any(p.error for p in predictions) else 0


def predict(options: argparse.Namespace) -> tuple[list[Prediction], int]:
    """Open the bundle, measure every image, write pictures and tables.

    Returns:
        The predictions, and how many were planned; these are more if the user interrupted.

    Raises:
        FetalTFError: bundle, inputs, pixel sizes or the folder `out` cannot be used.
        KeyboardInterrupt: before the first image was measured or while the tables were written.
    """
    paths = image_paths(options.paths, options.out)
    sizes = read_pixel_sizes(options.pixel_size_csv).of(paths) if options.pixel_size_csv else {}
    bundle = Bundle.open(resolve_bundle(options.bundle))
    if options.convention:
        bundle = bundle.as_measured_at(options.convention)
    predictor = bundle.predictor(options.format, options.threads)
    form = options.format or bundle.default_format
    for warning in _warnings(bundle, form):
        print(printable(f"warning: {warning}"), file=sys.stderr)

    make_writable_folder(options.out)
    predictions: list[Prediction] = []
    try:
        _measure(options, paths, sizes, bundle, predictor, predictions)
    except KeyboardInterrupt:
        if not predictions:
            raise
    finally:
        if predictions:
            _write_tables(options, predictions, bundle, form)
    return predictions, len(paths)


def _warnings(bundle: Bundle, form: str) -> Iterator[str]:
    """Warnings about the bundle or its gate that belong before the results."""
    gate = bundle.gate
    if gate is not None and gate.phantom and not bundle.manifest.get("phantom"):
        yield (
            "PHANTOM: the gate was trained on generated images; "
            "its flags and its plane_score say nothing about patients"
        )
    elif bundle.phantom:
        yield (
            "PHANTOM: this model was trained on generated images; "
            "its measurements say nothing about patients"
        )
    if bundle.failed_parity(form):
        yield (
            f"{form} does not measure as well as the float model (see "
            f"{bundle.path / 'parity.json'})"
        )
    if gate is not None and gate.failed_parity(gate.default_format):
        yield (
            f"the gate's {gate.default_format} does not score as its float model does (see "
            f"{gate.path / 'parity.json'})"
        )


def _measure(
    options: argparse.Namespace,
    paths: Sequence[Path],
    sizes: Mapping[Path, float],
    bundle: Bundle,
    predictor: Predictor,
    predictions: list[Prediction],
) -> None:
    """Append a prediction for every path; an interruption leaves those that are done."""
    named = list(zip(paths, picture_names(paths), strict=True))
    with tqdm(named, desc="measuring", unit="image", disable=None) as progress:
        for path, name in progress:
            prediction = predict_file(
                bundle,
                predictor,
                path,
                overlay=options.out / "overlays" / name,
                mm_per_pixel=sizes.get(path, options.mm_per_pixel),
                ga_weeks=options.ga_weeks,
            )
            predictions.append(prediction)
            if prediction.error:
                what = "broken" if prediction.measurement is None else "no picture"
                _say(f"{what}: {prediction.error}")
            if prediction.measurement and options.pixel_size_csv and path not in sizes:
                table = options.pixel_size_csv
                _say(f"warning: {path}: no row in {table}, measured in pixels only")


def _say(text: str) -> None:
    tqdm.write(printable(text), file=sys.stderr)


def _write_tables(
    options: argparse.Namespace, predictions: Sequence[Prediction], bundle: Bundle, form: str
) -> None:
    try:
        write_csv(options.out / "measurements.csv", predictions)
        if options.json:
            write_json(options.out / "measurements.json", predictions, bundle, form)
    except FetalTFError:
        for prediction in predictions:  # not lost even on a full disk
            print(prediction.as_line())
        raise


def report(predictions: Sequence[Prediction], out: Path) -> None:
    """Print the results if they are few, and the number of each kind."""
    measured = [p.measurement for p in predictions if p.measurement is not None]
    if len(predictions) <= SHOWN:
        for prediction in predictions:
            if prediction.measurement is not None:
                print(prediction.as_line())
    refused = sum(m.refused is not None for m in measured)
    flagged = sum(bool(m.flags) and m.refused is None for m in measured)
    unwritten = sum(p.overlay is None for p in predictions if p.measurement is not None)
    pictures = f", {unwritten} without a picture" if unwritten else ""
    print(
        f"{len(measured) - refused} measured ({flagged} flagged), {refused} refused, "
        f"{len(predictions) - len(measured)} broken{pictures}: "
        + printable(str(out / "measurements.csv"))
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m fetal_tf.predict", description="Measure ultrasound images with a bundle."
    )
    parser.add_argument("bundle", metavar="BUNDLE", help="folder of a bundle, a run, or zoo:NAME")
    parser.add_argument("paths", metavar="PATH", nargs="+", help="images, folders, quoted globs")
    size = parser.add_mutually_exclusive_group()
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
    parser.add_argument(
        "--ga-weeks",
        type=_argument(_ga_weeks),
        metavar="X",
        help="gestational age by dates or an early scan, 14 to 40; gives z-scores and centiles",
    )
    parser.add_argument(
        "--convention",
        metavar="SITE",
        help="measure as this site's experts put their calipers, where the bundle states how "
        "(default: the skull's outline, which age and centiles come from in any case)",
    )
    parser.add_argument("--format", metavar="F", help="int8, float32, onnx … (the bundle's choice)")
    parser.add_argument(
        "--threads", type=_argument(_threads), default=1, metavar="N", help=f"1 to {MAX_THREADS}"
    )
    parser.add_argument("--out", type=Path, default=Path("predictions"), metavar="DIR")
    parser.add_argument("--json", action="store_true", help="write measurements.json as well")
    return parser


def _argument(parse: Callable[[str], float]) -> Callable[[str], float]:
    """Wrap `parse` so that argparse prints the message of its ValueError."""

    def parsed(text: str) -> float:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return parsed


def _ga_weeks(text: str) -> float:
    weeks, (first, last) = float(text), INTERGROWTH_WEEKS
    if not first <= weeks <= last:
        raise ValueError(f"weeks from {first:g} to {last:g} are expected, not {text!r}")
    return weeks


def _threads(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MAX_THREADS:
        raise ValueError(f"threads from 1 to {MAX_THREADS} are expected, not {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
