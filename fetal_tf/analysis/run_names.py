"""What to call several runs beside each other: as short as they can still be told apart."""

from collections.abc import Sequence
from pathlib import PurePath

from fetal_tf.edge.errors import ConfigError


def short_names(references: Sequence[str]) -> list[str]:
    """The last part of each path, or as many of the last parts as tell all of them apart.

    `["runs/ce", "runs/dice"]` → `["ce", "dice"]`; `["a/bundle", "b/bundle"]` stay as they are.

    Raises:
        ConfigError: one of them is given twice.
    """
    paths = [PurePath(reference) for reference in references]
    for place, path in enumerate(paths):
        if path in paths[:place]:
            raise ConfigError(f"{references[place]}: given twice; each run counts once")
    for length in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-length:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [path.as_posix() for path in paths]
