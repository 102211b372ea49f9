"""A program on Keras' JAX backend, in a process of its own where TensorFlow is out of reach."""

import os
import subprocess
import sys

_PRELUDE = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "torch"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
import keras

assert keras.backend.backend() == "jax"
"""


def run_on_jax(program, *arguments):
    """What the program printed; it finds `arguments` in sys.argv and must not fail."""
    done = subprocess.run(
        [sys.executable, "-c", _PRELUDE + program, *map(str, arguments)],
        env=os.environ | {"KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
