"""Runs programs on Keras' JAX backend in one separate process that cannot import TensorFlow."""

import atexit
import contextlib
import functools
import json
import os
import subprocess
import sys
import tempfile
from typing import IO

# Runs one program after the other, each in its own namespace, until the input ends.
_SERVER = """
import contextlib
import io
import json
import sys
import traceback

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "torch"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
import keras
import numpy as np

assert keras.backend.backend() == "jax"

def draw(self, shape, dtype=None):
    values = np.random.default_rng(0).normal(0, (2 / np.prod(shape[:-1])) ** 0.5, shape)
    return keras.ops.convert_to_tensor(values, dtype)

# Initial weights come from NumPy: XLA would compile a random generator for each shape.
keras.initializers.VarianceScaling.__call__ = draw

answers = sys.stdout
for line in sys.stdin:
    program, *sys.argv[1:] = json.loads(line)
    keras.utils.clear_session()
    printed, failure = io.StringIO(), ""
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(program, "<program>", "exec"), {"sys": sys, "keras": keras})
    except BaseException:
        failure = traceback.format_exc()
    print(json.dumps([printed.getvalue(), failure]), file=answers, flush=True)
"""


@functools.cache
def _server() -> tuple[subprocess.Popen, IO[str]]:
    """The process, started at its first program, and what it writes to stderr."""
    errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  as long as the process
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVER],
        # These programs are too small for XLA's optimizations to pay off.
        env=os.environ | {"KERAS_BACKEND": "jax", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
    )
    atexit.register(process.communicate)  # closes its input, and waits for its end
    return process, errors


def run_on_jax(program, *arguments):
    """What the program printed; it finds `arguments` in sys.argv and must not fail."""
    process, errors = _server()
    answer = ""
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(json.dumps([program, *map(str, arguments)]) + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
    if not answer:  # it is dead
        errors.seek(0)
        raise AssertionError(errors.read())
    printed, failure = json.loads(answer)
    assert not failure, failure
    return printed
