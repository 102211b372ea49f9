"""The command `fetal-tf mlflow-upload`, from a checkout."""

import sys

from fetal_tf.cli.mlflow_upload import main

if __name__ == "__main__":
    sys.exit(main())
