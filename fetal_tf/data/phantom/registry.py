"""The registry of phantoms: each writes files and yields the path of each image."""

from collections.abc import Iterator
from pathlib import Path

from fetal_tf.config.registry import Registry

PHANTOMS: Registry[Iterator[Path]] = Registry("phantom")
