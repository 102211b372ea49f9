"""Write a phantom dataset: `python -m tools.phantom hc18 --out DIR --count 200 --seed 1`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fetal_tf.data.phantom import PHANTOMS, write_phantom
from fetal_tf.edge.errors import FetalTFError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns 0, or 2 where the user has something to mend."""
    parser = argparse.ArgumentParser(prog="python -m tools.phantom", description=__doc__)
    parser.add_argument("name", choices=PHANTOMS.names(), help="whose layout to write")
    parser.add_argument("--out", type=Path, required=True, help="a folder that is empty or absent")
    parser.add_argument("--count", type=int, default=200, help="images (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="(default: %(default)s)")
    parser.add_argument("--annotation", choices=["outline", "filled"], default="outline")
    arguments = parser.parse_args(argv)
    try:
        written = write_phantom(
            arguments.name,
            arguments.out,
            arguments.count,
            arguments.seed,
            progress=True,
            annotation=arguments.annotation,
        )
    except FetalTFError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    state = "written" if written else "was there already"
    print(f"{arguments.out}: {arguments.count} images, seed {arguments.seed}, {state}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
