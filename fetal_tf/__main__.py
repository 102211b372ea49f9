"""The program: `fetal-tf COMMAND …`, or `python -m fetal_tf COMMAND …`."""

import sys
from collections.abc import Sequence

from fetal_tf.cli.program import run


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code of the command."""
    return run(sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
