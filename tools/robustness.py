"""The command `fetal-tf robustness`, from a checkout."""

import sys

from fetal_tf.cli.robustness import main

if __name__ == "__main__":
    sys.exit(main())
