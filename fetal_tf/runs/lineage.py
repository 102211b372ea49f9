"""The nets that a net descends from: the one whose weights it starts with, those that teach it.

What they have learnt is in it, too: frames that it holds out must not be among theirs, and the
credits of their data are due wherever it goes.
"""

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from fetal_tf.config.loading import load_config
from fetal_tf.config.tree import Config, DataConfig
from fetal_tf.data.credit import DataCredit, credits_of
from fetal_tf.data.mixture import SEPARATOR
from fetal_tf.data.sample import Sample
from fetal_tf.data.splits import SplitRow, read_splits
from fetal_tf.edge.bundle.bundle import Bundle, resolve_bundle
from fetal_tf.edge.errors import BundleError, ConfigError, FetalTFError
from fetal_tf.edge.io.files import write_text_atomic
from fetal_tf.scores.rows import json_text

INHERITED_NAME = "inherited.json"  # in a run or bundle: what its ancestors have learnt
# Readers of another one's images, under the same ids: a table of HC18's landmarks; brain structures
# and head axes in frames of FETAL_PLANES_DB.
SAME_IMAGES = {"landmarks": "hc18", "fetal_head_biometry": "planes"}
Origin = tuple[str, str]  # a dataset's name and an image's id there


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


def teacher_bundles(config: Config) -> list[Bundle]:
    """The bundles that `teacher` names; none without it.

    Raises:
        ConfigError: one that is not there, or not whole.
    """
    paths = config.teacher.bundles if config.teacher else []
    try:
        return [Bundle.open(resolve_bundle(str(path))) for path in paths]
    except BundleError as error:
        raise ConfigError(f"teacher.bundles: {error}") from error


def ancestors(config: Config) -> list[Ancestor]:
    """Of a run with this config, the weights that it starts from first.

    Raises:
        ConfigError: a teacher that is not there.
    """
    found = []
    if config.model.init is not None:
        found.append(Ancestor("model.init", weights_file(config.model.init).parent))
    return found + [Ancestor("teacher.bundles", bundle.path) for bundle in teacher_bundles(config)]


def check_ancestors(config: Config, splits: Mapping[str, SplitRow]) -> None:
    """Make sure that no ancestor has been trained on what this run holds out.

    Args:
        config: of this run.
        splits: its samples.

    Raises:
        ConfigError: a teacher that is not there, or an image that is val or test here and that an
            ancestor, or one of its own ancestors, has learnt.
    """
    held_out = [id for id, row in splits.items() if row.split != "train"]
    for ancestor in ancestors(config):
        learnt = learnt_by(ancestor.folder)
        leaked = [id for id in held_out if _origin(id, config.data) in learnt]
        if leaked:
            raise ConfigError(
                f"{ancestor.key}: {ancestor.folder} was trained on {len(leaked)} images that this "
                f"run holds out (first: {leaked[0]}), so its figures would measure memory; take "
                "the same split (and fold) for both"
            )


def credits_due(config: Config, samples: Sequence[Sample]) -> list[DataCredit]:
    """The credits of a run with this config: for `samples`, and those of its ancestors."""
    folders = [ancestor.folder for ancestor in ancestors(config)]
    return credits_of(samples, config.data.readers, folders)


def inherited(config: Config) -> set[Origin]:
    """What the ancestors of a run with this config have learnt."""
    return set().union(*(learnt_by(ancestor.folder) for ancestor in ancestors(config)))


def learnt_by(folder: Path) -> set[Origin]:
    """The images that the net of a run or bundle has learnt, itself or by its ancestors.

    Nothing where the folder does not say: then its weights are of unknown origin.

    Raises:
        FetalTFError: a file of the folder is damaged.
    """
    if not (folder / "config.yaml").is_file():
        return set()
    config = load_config(folder / "config.yaml")
    learnt = set()
    if (folder / "splits.csv").is_file():
        rows = read_splits(folder / "splits.csv")
        learnt = {_origin(id, config.data) for id, row in rows.items() if row.split == "train"}
    if (folder / INHERITED_NAME).is_file():
        return learnt | read_inherited(folder)
    # Made before there were such lists: the weights that it started from may still be there.
    init = config.model.init and weights_file(config.model.init).parent
    return learnt | (learnt_by(init) if init and init != folder else set())


def write_inherited(folder: Path, origins: Set[Origin]) -> None:
    """Keep what the ancestors have learnt in a run or bundle: image ids by dataset, maybe none."""
    by_dataset: dict[str, list[str]] = {}
    for dataset, id in sorted(origins):
        by_dataset.setdefault(dataset, []).append(id)
    write_text_atomic(folder / INHERITED_NAME, json_text(by_dataset))


def read_inherited(folder: Path) -> set[Origin]:
    """What `write_inherited` has kept.

    Raises:
        FetalTFError: it is damaged.
    """
    path = folder / INHERITED_NAME
    try:
        by_dataset = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FetalTFError(f"{path}: cannot be read: {error}") from error
    lists = isinstance(by_dataset, dict) and all(isinstance(v, list) for v in by_dataset.values())
    if not lists:
        raise FetalTFError(f"{path}: damaged: an object of lists of image ids is expected")
    return {(dataset, str(id)) for dataset, ids in by_dataset.items() for id in ids}


def _origin(id: str, data: DataConfig) -> Origin:
    """A sample's dataset and its id there, whether or not it was mixed with others."""
    name, separator, rest = id.partition(SEPARATOR)
    if separator and name in data.mixed_with:
        return _images_of(str(data.sources[name].dataset)), rest
    return _images_of(data.dataset), id


def _images_of(dataset: str) -> str:
    return SAME_IMAGES.get(dataset, dataset)
