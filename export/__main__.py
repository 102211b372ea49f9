"""From a run to a bundle: `python -m export RUN`, see `fetal_tf.cli.export`."""

import sys

from fetal_tf.cli.export import main

if __name__ == "__main__":
    sys.exit(main())
