"""The command `fetal-tf sweep`, from a checkout."""

import sys

from fetal_tf.cli.sweep import main

if __name__ == "__main__":
    sys.exit(main())
