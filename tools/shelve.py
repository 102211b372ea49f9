"""Put a trained run into the package's zoo: `python -m tools.shelve RUN NAME`.

Exports the run as int8, checks parity, size and data, and writes `fetal_tf/zoo/NAME`: the bundle,
the training log, and the float model where it is small.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fetal_tf.cli.launching import run_command, use_tensorflow_on_cpu

LARGEST_INT8_BYTES = 1_500_000
LARGEST_KERAS_BYTES = 5_000_000
TRAINING_LOG = "metrics.csv"
FLOAT_MODEL = "model.keras"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Returns 0, or 2 with one line on stderr."""
    args = _parser().parse_args(argv)
    use_tensorflow_on_cpu()
    return run_command(lambda: _shelve(args), "the zoo is as it was")


def _shelve(args: argparse.Namespace) -> int:
    import shutil

    from fetal_tf.edge.bundle.bundle import ALIASES, Bundle
    from fetal_tf.edge.errors import FetalTFError
    from fetal_tf.edge.io.files import write_text_atomic
    from fetal_tf.edge.io.folders import staged_folder
    from fetal_tf.exporting.bundle_folder import check_replaceable, write_checksums
    from fetal_tf.exporting.float_model import float32_model
    from fetal_tf.exporting.formats import FORMATS
    from fetal_tf.exporting.model_card import CARD, CardFacts, model_card
    from fetal_tf.exporting.pipeline import export_run
    from fetal_tf.runs.run import open_run

    if args.name in ALIASES:
        raise FetalTFError(
            f"{args.name}: is another name of zoo:{ALIASES[args.name]}; shelve it as that"
        )
    target = args.zoo / args.name
    check_replaceable(target)
    run = open_run(args.run)
    with tempfile.TemporaryDirectory() as scratch:
        exported = Path(scratch) / args.name
        failures = export_run(run, [FORMATS["int8"]], exported, data_root=args.data_root)
        if failures:
            raise FetalTFError(f"{args.run}: int8 does not measure as Keras does: {failures[0]}")
        bundle = Bundle.open(exported)
        size = int(bundle.manifest["files"]["int8"]["bytes"])
        if size > LARGEST_INT8_BYTES:
            raise FetalTFError(f"{args.run}: {size} bytes, the zoo takes {LARGEST_INT8_BYTES}")
        if bundle.phantom and not args.phantom:
            raise FetalTFError(
                f"{args.run}: trained on generated images; the zoo measures patients"
            )
        with staged_folder(target) as folder:
            shutil.copytree(exported, folder, dirs_exist_ok=True)
            shutil.copy2(run.path / TRAINING_LOG, folder / TRAINING_LOG)
            float32_model(run.keras_model()).save(folder / FLOAT_MODEL)
            if (folder / FLOAT_MODEL).stat().st_size > LARGEST_KERAS_BYTES:
                (folder / FLOAT_MODEL).unlink()
            write_text_atomic(folder / CARD, model_card(CardFacts.read(bundle, args.name)))
            write_checksums(folder)
    print(f"zoo:{args.name}: int8 {size / 1000:.0f} KB, in {target}")
    return 0


def _parser() -> argparse.ArgumentParser:
    from fetal_tf.edge.bundle.bundle import ZOO

    parser = argparse.ArgumentParser(
        prog="python -m tools.shelve", description="Put a trained run into the package's zoo."
    )
    parser.add_argument("run", metavar="RUN", type=Path, help="folder that training wrote")
    parser.add_argument("name", metavar="NAME", help="its name on the shelf: zoo:NAME")
    parser.add_argument("--data-root", type=Path, help="where the run's data are on this machine")
    parser.add_argument("--zoo", type=Path, default=ZOO, help="the shelf (default: the package's)")
    parser.add_argument(
        "--phantom", action="store_true", help="take a net trained on generated images, for tests"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
