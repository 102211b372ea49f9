"""The command `fetal-tf plane-gate`, from a checkout."""

import sys

from fetal_tf.cli.plane_gate import main

if __name__ == "__main__":
    sys.exit(main())
