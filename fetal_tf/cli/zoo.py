"""List the nets that ship with their figures, or print the card of one."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fetal_tf.cli.command_options import command_parser
from fetal_tf.cli.launching import run_command
from fetal_tf.edge.bundle.bundle import ALIASES, Bundle, resolve_bundle, shelf_names
from fetal_tf.edge.errors import BundleError

CARD = "MODEL_CARD.md"
# By measurement: the figures that a person asks for first, as parity.json names them; in words,
# with their decimals and unit.
_FIGURES = {
    "head": (("dice", "Dice", 3, ""), ("hc_abs_error_mm", "|ΔHC|", 2, " mm")),
    "four_chamber": (
        ("focus_cardiac_dice", "cardiac Dice", 3, ""),
        ("focus_thorax_dice", "thorax Dice", 3, ""),
        ("focus_ctr_agreement", "agreement of the ratio", 3, ""),
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0, or 2 with one line on stderr."""
    args = parser().parse_args(argv)
    return run_command(lambda: _zoo(args.name), "nothing was changed", keras=False)


def _zoo(name: str | None) -> int:
    print("\n".join(_list() if name is None else [_card(name)]))
    return 0


def _list() -> Iterator[str]:
    aliases = [name for name in shelf_names() if name in ALIASES]
    for name in (name for name in shelf_names() if name not in ALIASES):
        bundle = Bundle.open(resolve_bundle(f"zoo:{name}"))
        file = bundle.manifest["files"][bundle.default_format]
        yield f"zoo:{name}  measures: {bundle.manifest['measurement']}"
        yield f"    {bundle.default_format}, {file['bytes'] / 1e6:.1f} MB, in {bundle.path}"
        yield from (f"    {line}" for line in _figures(bundle))
        for credit in bundle.manifest.get("attribution", []):
            yield f"    learnt from {credit}"
        yield ""
    for name in aliases:
        yield f"zoo:{name}  another name of zoo:{ALIASES[name]}"
    yield "`fetal-tf zoo NAME` prints the card of one. Not for diagnosis."


def _figures(bundle: Bundle) -> Iterator[str]:
    record = json.loads((bundle.path / "parity.json").read_text(encoding="utf-8"))
    measured: dict[str, Any] = record["formats"][bundle.default_format]["measured"]
    metrics, images = measured["metrics"], measured["images"]
    said = []
    for key, words, decimals, unit in _FIGURES.get(bundle.manifest["measurement"], ()):
        mean, (low, high) = metrics[key]["mean"], metrics[key]["ci95"]
        interval = f"[{low:.{decimals}f}, {high:.{decimals}f}]"
        said.append(f"{words} {mean:.{decimals}f}{unit} {interval}")
    by = record.get("measured_by")
    of = f", by {by}, which learnt less" if by else ""
    yield f"{'; '.join(said)} on {images['n']} images ({record['split']}{of}), mean [95 %]"


def _card(name: str) -> str:
    path = resolve_bundle(name if name.startswith("zoo:") else f"zoo:{name}") / CARD
    try:
        return Path(path).read_text(encoding="utf-8").rstrip()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror or error}") from error


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    command = command_parser("python -m fetal_tf.cli.zoo", __doc__, "hc18")
    command.add_argument("name", nargs="?", metavar="NAME", help="the net whose card is printed")
    return command


if __name__ == "__main__":
    sys.exit(main())
