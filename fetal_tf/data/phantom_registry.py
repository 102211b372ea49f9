"""The registry of phantoms, apart from `phantom.py` so that a phantom's file can import it."""

from collections.abc import Iterator
from pathlib import Path

from fetal_tf.registry import Registry

PHANTOMS: Registry[Iterator[Path]] = Registry("phantom")
