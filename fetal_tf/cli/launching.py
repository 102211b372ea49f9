"""Before a command imports its libraries: are they there, and are they quiet?"""

import importlib.util
import logging
import os
import sys
import warnings
from collections.abc import Callable

from fetal_tf.edge.errors import FetalTFError, MissingExtraError
from fetal_tf.edge.io.captured_output import captured_noise

# The modules of each extra in pyproject.toml.
EXTRAS = {
    "train": (
        "albumentations", "jinja2", "keras", "matplotlib", "pydantic", "scipy", "tensorboard",
        "tensorflow", "yaml",
    ),
    "export": ("onnx", "onnxruntime", "tf2onnx"),
    "mlflow": ("mlflow",),
}  # fmt: skip


def missing_modules(extra: str) -> list[str]:
    """Those modules of an extra that are not installed."""
    return [name for name in EXTRAS[extra] if importlib.util.find_spec(name) is None]


def require(extra: str) -> None:
    """Check an extra.

    Raises:
        MissingExtraError: with the pip line that installs it.
    """
    missing = missing_modules(extra)
    if missing:
        raise MissingExtraError(
            f'this needs {", ".join(missing)}; install with `pip install "fetal-tf[{extra}]"`, '
            f'in a checkout `pip install -e ".[{extra}]"`'
        )


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
