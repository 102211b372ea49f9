"""Reading `.keras` files in safe mode, and a dtype policy for a `with` block."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras

from fetal_tf.edge.errors import FetalTFError
from fetal_tf.edge.io.foreign_text import printable


def load_model(path: Path, *, with_optimizer: bool = False) -> keras.Model:
    """Read a `.keras` file in safe mode: weights and known layers are loaded, code is refused.

    Args:
        path: the file.
        with_optimizer: compile the model as it was saved; predicting does not need it.

    Raises:
        FetalTFError: the file is missing, damaged, or holds something that safe mode refuses.
    """
    import fetal_tf.losses
    import fetal_tf.metrics.classes
    import fetal_tf.metrics.masks
    import fetal_tf.models  # noqa: F401  (each registers what it serialises)

    if not path.is_file():
        raise FetalTFError(f"{path}: no such model file")
    if not zipfile.is_zipfile(path):
        raise FetalTFError(f"{path}: damaged or incomplete: a .keras file is a zip archive")
    try:
        return keras.models.load_model(path, safe_mode=True, compile=with_optimizer)
    except Exception as error:  # any: a foreign file can make Keras and TensorFlow raise all kinds
        # Keras prints the whole configuration before the cause.
        cause = str(error).rpartition("Exception encountered: ")[2] or type(error).__name__
        reason = printable(" ".join(cause.split())[:300])
        raise FetalTFError(f"{path}: not a loadable Keras model: {reason}") from error


@contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Set Keras' global dtype policy inside a `with` block, e.g. "mixed_float16"."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
