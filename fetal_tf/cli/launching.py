"""Start a command: check its extra, import its libraries quietly, turn errors into one line."""

import errno
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable

from fetal_tf.edge.errors import FetalTFError
from fetal_tf.edge.extras import require
from fetal_tf.edge.io.captured_output import captured_noise
from fetal_tf.edge.io.foreign_text import printable_lines
from fetal_tf.edge.io.stopping import exit_code, noted_signals


def run_command(story: Callable[[], int], interrupted: str, *, keras: bool = True) -> int:
    """Run a command; print an error of the user's as one line.

    Args:
        story: the command itself. It imports what it needs, and returns the exit code.
        interrupted: what to say after Ctrl-C: what is left behind.
        keras: whether it needs the training extra, and Keras imported.

    Returns:
        That of `story`, 2 after a `FetalTFError`, 130 after Ctrl-C, 143 after SIGTERM, also where
        C++ code has swallowed the signal or made another error of it; 141 where nobody reads the
        output any more.
    """
    open_output()
    with noted_signals() as signals:
        try:
            if keras:
                _begin()
            code = story()
            sys.stdout.flush()
        except OSError as error:
            if not cannot_print(error):
                raise
            return unread()
        except KeyboardInterrupt as stopped:
            signals.append(stopped)
        except FetalTFError as error:
            if not signals:
                return print_error(error)
        except Exception:
            if not signals:
                raise
    if not signals:
        return code
    print(f"interrupted; {interrupted}", file=sys.stderr)
    return exit_code(signals[0])


def print_error(error: FetalTFError) -> int:
    """Print an error on standard error, and return its exit code, 2.

    Control characters, such as those of a file's name, are shown and not obeyed.
    """
    print(f"error: {printable_lines(str(error))}", file=sys.stderr)
    return 2


def open_output() -> None:
    """Give a command that was started without standard output, or error, a place to write to."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  (for all that follows)


def cannot_print(error: OSError) -> bool:
    """Whether an error is that of printing: the reader has gone, or the disk below is full.

    Files of our own that cannot be written are a `FetalTFError`, with the file's name.
    """
    full = error.errno == errno.ENOSPC and error.filename is None
    return isinstance(error, BrokenPipeError) or full


def unread() -> int:
    """End a command whose output goes nowhere: to a reader that has gone, or a full disk.

    Returns its exit code, 128 + SIGPIPE, as shells have it.
    """
    with open(os.devnull, "w") as nowhere:  # else the interpreter complains when it flushes
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
    return 128 + signal.SIGPIPE


def use_tensorflow_on_cpu() -> None:
    """Set up a process that converts or times models; call this before Keras is imported.

    Only TensorFlow graphs become TFLite or ONNX files, whatever backend a model was trained on.
    Parity and latency are those of the CPU: TF32 on a GPU would break the limits of float formats.
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # the converters log pages of C++ messages


def _begin() -> None:
    """Check the training extra and import Keras without the messages of its backend.

    Raises:
        MissingExtraError: with the pip line that installs what is missing.
    """
    require("train")
    warnings.formatwarning = lambda message, *_: f"warning: {printable_lines(str(message))}\n"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it asks the network for its version
    with captured_noise():
        import keras

        if keras.backend.backend() == "tensorflow":
            import tensorflow  # noqa: F401
    for handler in logging.getLogger("tensorflow").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.stream = sys.__stderr__  # it kept the file that its noise was caught in
