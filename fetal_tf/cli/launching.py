"""Before a command imports its libraries: are they there, and are they quiet?"""

import logging
import os
import sys
import warnings
from collections.abc import Callable

from fetal_tf.edge.errors import FetalTFError
from fetal_tf.edge.extras import require
from fetal_tf.edge.io.captured_output import captured_noise


def run_command(story: Callable[[], int], interrupted: str) -> int:
    """Run a command that needs the training extra, and turn what goes wrong into one line.

    Args:
        story: imports what it needs, and returns the exit code.
        interrupted: what Ctrl-C leaves behind, said after it.

    Returns:
        The story's code, 2 where the user has something to mend, 130 after Ctrl-C.
    """
    try:
        _begin()
        return story()
    except FetalTFError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"interrupted; {interrupted}", file=sys.stderr)
        return 130


def _begin() -> None:
    """Check the training extra and import Keras without the greetings of its backend.

    Raises:
        MissingExtraError: with the pip line that installs what is missing.
    """
    require("train")
    warnings.formatwarning = lambda message, *_: f"warning: {message}\n"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it asks the network for its version
    with captured_noise():
        import keras

        if keras.backend.backend() == "tensorflow":
            import tensorflow  # noqa: F401
    for handler in logging.getLogger("tensorflow").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.stream = sys.__stderr__  # it kept the file that its noise was caught in
