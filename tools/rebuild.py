"""Retrain a net of the zoo and every net that it depends on: `python -m tools.rebuild NAME`.

A run that a config names (`model.init: runs/X`, `train.refit: runs/X`, `teacher.bundles: [runs/X]`)
is trained by the config X.yaml. Finished runs are not trained again, interrupted ones are resumed.
The result replaces the net in the zoo.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fetal_tf.cli.launching import run_command
from fetal_tf.edge.errors import ConfigError, FetalTFError

if TYPE_CHECKING:
    from fetal_tf.config.tree import Config

CONFIGS = Path("configs")
RUNS = Path("runs")
TEACHER = "teacher.bundles"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Returns 0, or 2 with one line on stderr."""
    args = _parser().parse_args(argv)
    return run_command(lambda: _rebuild(args), "what is trained stays; start the command again")


def _rebuild(args: argparse.Namespace) -> int:
    from fetal_tf.edge.bundle.bundle import Bundle, resolve_bundle

    roots = dict(args.data)
    shelf = resolve_bundle(f"zoo:{args.name}")
    recipe = CONFIGS / f"{Bundle.open(shelf).name}.yaml"
    steps = lineage(recipe)
    used = {name for config in steps.values() for name in config.data.readers.values()}
    unused = sorted(set(roots) - used)
    if unused:
        raise ConfigError(
            f"--data {unused[0]}=…: {recipe} needs no such dataset; it needs "
            f"{', '.join(sorted(used))}"
        )
    for path, config in steps.items():
        if config.train.refit is not None:
            # The refit will state the figures of this run.
            _export(config.train.refit, "--parity-split", "val", dry_run=args.dry_run)
        for run in config.teacher.bundles if config.teacher else ():
            if run.parent == RUNS:
                _export(run, dry_run=args.dry_run)
        _train(path, root_overrides(config, roots), dry_run=args.dry_run)
    _call("tools.shelve", str(RUNS / recipe.stem), shelf.name, dry_run=args.dry_run)
    return 0


def lineage(recipe: Path) -> dict[Path, "Config"]:
    """The configs to train one after the other, from the first ancestor to `recipe`.

    Args:
        recipe: a config; those of its ancestors lie beside it under the names of their runs.

    Raises:
        ConfigError: no such config, one whose name is not its file's, a run that is neither there
            nor made by a config, or a circle.
    """
    steps: dict[Path, Config] = {}
    _add_lineage(recipe, steps, below=())
    return steps


def _add_lineage(recipe: Path, steps: "dict[Path, Config]", below: tuple[Path, ...]) -> None:
    if recipe in below:
        raise ConfigError(f"{recipe}: rests on itself by way of {below[-1].name}")
    config = _named(recipe)
    for key, needed in _rests_on(config):
        earlier = recipe.parent / f"{needed.name}.yaml"
        if needed.parent == RUNS and earlier.is_file():
            _add_lineage(earlier, steps, (*below, recipe))
        elif not (needed.exists() or (key == TEACHER and str(needed).startswith("zoo:"))):
            raise ConfigError(
                f"{recipe}: {key}: {needed} is not there, and no config in {recipe.parent} makes it"
            )
    steps.setdefault(recipe, config)


def _rests_on(config: "Config") -> list[tuple[str, Path]]:
    """The runs that a config depends on, each with the key that names it."""
    named = [("model.init", config.model.init), ("train.refit", config.train.refit)]
    if config.teacher is not None:
        named += [(TEACHER, path) for path in config.teacher.bundles]
    return [(key, path) for key, path in named if path is not None]


def root_overrides(config: "Config", roots: Mapping[str, Path]) -> list[str]:
    """`key=value` for each of the config's datasets whose folder is in `roots`."""
    return [
        f"data.mixed_with.{source}.root={roots[dataset]}"
        if source
        else f"data.root={roots[dataset]}"
        for source, dataset in config.data.readers.items()
        if dataset in roots
    ]


def _named(recipe: Path) -> "Config":
    from fetal_tf.config.loading import load_config

    config = load_config(recipe)
    if config.name != recipe.stem:
        raise ConfigError(
            f"{recipe}: name: {config.name!r} is not the file's; its run is not found"
        )
    return config


def _train(recipe: Path, overrides: Sequence[str], *, dry_run: bool) -> None:
    from fetal_tf.config.loading import load_config
    from fetal_tf.training.folds import is_finished

    run = RUNS / recipe.stem
    if run.is_dir() and is_finished(run, load_config(recipe, overrides)):
        print(f"{run}: is finished", flush=True)
        return
    options = [part for override in overrides for part in ("--set", override)]
    resume = ["--resume"] if run.is_dir() else []
    _call("fetal_tf.train", "--config", str(recipe), *options, *resume, dry_run=dry_run)


def _export(run: Path, *options: str, dry_run: bool) -> None:
    """Export a run that others depend on as int8, unless its bundle is there.

    Raises:
        FetalTFError: int8 does not measure as well as the float model.
    """
    from fetal_tf.edge.bundle.bundle import Bundle

    bundle = run / "bundle"
    if not (bundle / "parity.json").is_file() or "int8" not in Bundle.open(bundle).formats:
        _call("export", str(run), "--formats", "int8", *options, dry_run=dry_run)
    elif Bundle.open(bundle).failed_parity("int8"):
        raise FetalTFError(
            f"{bundle}: int8 does not measure as well as the float model; nothing can rest on it"
        )


def _call(module: str, *arguments: str, dry_run: bool) -> None:
    from fetal_tf.training.folds import run_module

    command = f"python -m {' '.join([module, *arguments])}"
    print(command, flush=True)
    if not dry_run and run_module(module, *arguments):
        raise FetalTFError(f"{command}: broke off, for the reason above")


def _dataset_root(text: str) -> tuple[str, Path]:
    dataset, equals, root = text.partition("=")
    if not (dataset and equals and root):
        raise argparse.ArgumentTypeError(f"{text!r}: write it as DATASET=DIR")
    return dataset, Path(root)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tools.rebuild",
        description="Retrain a net of the zoo and every net that it depends on.",
    )
    parser.add_argument("name", metavar="NAME", help="on the shelf: hc18 for zoo:hc18")
    parser.add_argument(
        "--data",
        action="append",
        default=[],
        type=_dataset_root,
        metavar="DATASET=DIR",
        help="where a dataset is (default: where the config says); once for each",
    )
    parser.add_argument("--dry-run", action="store_true", help="only print the commands")
    return parser


if __name__ == "__main__":
    sys.exit(main())
