"""Captures what Python and native libraries print, to show it only where something fails."""

import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout


@contextmanager
def captured_noise() -> Iterator[Callable[[], str]]:
    """Redirect standard output and standard error of Python *and* of C++ to a file.

    Yields:
        A function that returns the text so far.

    The C++ side of TensorFlow and LiteRT writes to descriptors 1 and 2, Python to `sys.stdout` and
    `sys.stderr`, which a notebook or a test runner may have put elsewhere: both are redirected.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as sink:

        def text() -> str:
            sink.flush()
            # pread leaves the offset alone, which the redirected descriptors share.
            size = os.fstat(sink.fileno()).st_size
            return os.pread(sink.fileno(), size, 0).decode("utf-8", errors="replace")

        sys.stdout.flush()
        sys.stderr.flush()
        saved = [os.dup(1), os.dup(2)]
        try:
            os.dup2(sink.fileno(), 1)
            os.dup2(sink.fileno(), 2)
            with redirect_stdout(sink), redirect_stderr(sink), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield text
        finally:
            sink.flush()
            for descriptor, original in zip((1, 2), saved, strict=True):
                os.dup2(original, descriptor)
                os.close(original)
