"""The command `fetal-tf benchmark`, from a checkout."""

import sys

from fetal_tf.cli.benchmark import main

if __name__ == "__main__":
    sys.exit(main())
