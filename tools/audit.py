"""The command `fetal-tf audit`, from a checkout."""

import sys

from fetal_tf.cli.audit import main

if __name__ == "__main__":
    sys.exit(main())
