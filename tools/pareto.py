"""The command `fetal-tf pareto`, from a checkout."""

import sys

from fetal_tf.cli.pareto import main

if __name__ == "__main__":
    sys.exit(main())
