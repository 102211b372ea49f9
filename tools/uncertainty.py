"""The command `fetal-tf uncertainty`, from a checkout."""

import sys

from fetal_tf.cli.uncertainty import main

if __name__ == "__main__":
    sys.exit(main())
