"""The command `fetal-tf compare`, from a checkout."""

import sys

from fetal_tf.cli.compare import main

if __name__ == "__main__":
    sys.exit(main())
