"""The command `fetal-tf download`, from a checkout."""

import sys

from fetal_tf.cli.download import main

if __name__ == "__main__":
    sys.exit(main())
