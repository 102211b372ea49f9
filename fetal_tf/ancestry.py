"""The nets that a net descends from: the one whose weights it starts with, those that teach it.

What they have learnt is in it, too: frames that it holds out must not be among theirs, and the
credits of their data are due wherever it goes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fetal_tf.config import Config, DataConfig, load_config
from fetal_tf.data.mixture import SEPARATOR
from fetal_tf.data.splits import SplitRow, read_splits
from fetal_tf.edge.bundle import resolve_bundle
from fetal_tf.edge.errors import ConfigError


@dataclass(frozen=True)
class Ancestor:
    """A run or a bundle that a config names.

    Attributes:
        key: of the config.
        folder: of the run or the bundle, with its config, split and credits.
    """

    key: str
    folder: Path


def weights_file(init: Path) -> Path:
    """The file that `model.init` names: a run's best.keras, or the `.keras` file itself."""
    return init / "best.keras" if init.is_dir() else init


def ancestors(config: Config) -> list[Ancestor]:
    """Of a run with this config, the weights that it starts from first.

    Raises:
        BundleError: a teacher that is not there.
    """
    found = []
    if config.model.init is not None:
        found.append(Ancestor("model.init", weights_file(config.model.init).parent))
    for path in config.teacher.bundles if config.teacher else ():
        found.append(Ancestor("teacher.bundles", resolve_bundle(str(path))))
    return found


def check_ancestors(config: Config, splits: Mapping[str, SplitRow]) -> None:
    """Make sure that no ancestor has been trained on what this run holds out.

    Args:
        config: of this run.
        splits: its samples.

    Raises:
        BundleError: a teacher that is not there.
        ConfigError: the same dataset, of which an ancestor has learnt from images that are val or
            test here.
    """
    for ancestor in ancestors(config):
        _check_split(ancestor, config.data, splits)


def _check_split(ancestor: Ancestor, data: DataConfig, splits: Mapping[str, SplitRow]) -> None:
    folder = ancestor.folder
    if not ((folder / "splits.csv").is_file() and (folder / "config.yaml").is_file()):
        return
    theirs = load_config(folder / "config.yaml").data
    rows = read_splits(folder / "splits.csv")
    learnt = {_origin(id, theirs) for id, row in rows.items() if row.split == "train"}
    held_out = [id for id, row in splits.items() if row.split != "train"]
    leaked = [id for id in held_out if _origin(id, data) in learnt]
    if leaked:
        raise ConfigError(
            f"{ancestor.key}: {folder} was trained on {len(leaked)} images that this run holds out "
            f"(first: {leaked[0]}), so its figures would measure memory; take the same split (and "
            "fold) for both"
        )


def _origin(id: str, data: DataConfig) -> tuple[str | None, str]:
    """A sample's dataset and its id there, whether or not it was mixed with others."""
    name, separator, rest = id.partition(SEPARATOR)
    if separator and name in data.mixed_with:
        return data.sources[name].dataset, rest
    return data.dataset, id
