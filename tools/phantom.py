"""The command `fetal-tf phantom`, from a checkout."""

import sys

from fetal_tf.cli.phantom import main

if __name__ == "__main__":
    sys.exit(main())
