"""The ancestors of a net: the net whose weights it starts from, and its teachers.

A net also knows the images that its ancestors were trained on. So its run must not hold out any of
them for validation or test, and it has to credit their datasets.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fetal_tf.config.loading import load_config
from fetal_tf.config.tree import Config, DataConfig
from fetal_tf.data.credit import DataCredit, credits_of
from fetal_tf.data.mixture import source_and_id
from fetal_tf.data.sample import Sample
from fetal_tf.data.splits import SplitRow, read_splits
from fetal_tf.edge.bundle.bundle import Bundle, resolve_bundle
from fetal_tf.edge.errors import BundleError, ConfigError, FetalTFError
from fetal_tf.edge.io.files import sha256_of, write_text_atomic
from fetal_tf.scores.rows import json_text, read_object

INHERITED_NAME = "inherited.json"  # in a run or bundle: images that its ancestors were trained on
# What `descent` records, by the key of the config that names it.
ANCESTORS = {"initial_weights": "model.init", "teachers": "teacher.bundles"}
# Datasets that annotate another one's images under the same ids.
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
    """The file that `model.init` names: a run's best.keras, a shipped net's, or the file itself.

    Raises:
        BundleError: the zoo holds no such net.
    """
    if str(init).startswith("zoo:"):
        return resolve_bundle(str(init)) / "model.keras"
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
    """The runs and bundles that a config names, `model.init` first.

    Raises:
        ConfigError: a teacher that is not there.
    """
    found = []
    if config.model.init is not None:
        found.append(Ancestor("model.init", weights_file(config.model.init).parent))
    return found + [Ancestor("teacher.bundles", bundle.path) for bundle in teacher_bundles(config)]


def check_ancestors(config: Config, splits: Mapping[str, SplitRow]) -> None:
    """Raise an error if an ancestor was trained on images that this run holds out.

    Args:
        config: of this run.
        splits: its samples.

    Raises:
        ConfigError: a teacher is not there; or an ancestor, or one of its own ancestors, was
            trained on an image that is val or test here.
    """
    held_out = [id for id, row in splits.items() if row.split != "train"]
    for ancestor in ancestors(config):
        learnt = learnt_by(ancestor.folder)
        leaked = [id for id in held_out if origin_of(id, config.data) in learnt]
        if leaked:
            raise ConfigError(
                f"{ancestor.key}: {ancestor.folder} was trained on {len(leaked)} images that this "
                f"run holds out (first: {leaked[0]}), so its figures would measure memory; take "
                "the same split (and fold) for both"
            )


def credits_due(config: Config, samples: Sequence[Sample]) -> list[DataCredit]:
    """The credits of a run with this config: for `samples` and for its ancestors' data."""
    folders = [ancestor.folder for ancestor in ancestors(config)]
    return credits_of(samples, config.data.readers, folders)


def inherited(config: Config) -> set[Origin]:
    """The images that the ancestors of a run with this config were trained on."""
    return set().union(*(learnt_by(ancestor.folder) for ancestor in ancestors(config)))


def learnt_by(folder: Path) -> set[Origin]:
    """The images that the net of a run or bundle, or one of its ancestors, was trained on.

    Empty where the folder does not say: the origin of its weights is then unknown.

    Raises:
        FetalTFError: a file of the folder is damaged.
    """
    if not (folder / "config.yaml").is_file():
        return set()
    config = load_config(folder / "config.yaml")
    learnt = set()
    if (folder / "splits.csv").is_file():
        rows = read_splits(folder / "splits.csv")
        learnt = {origin_of(id, config.data) for id, row in rows.items() if row.split == "train"}
    if (folder / INHERITED_NAME).is_file():
        return learnt | read_inherited(folder)
    # An older run has no such list; the weights that it started from may still be there.
    init = config.model.init and weights_file(config.model.init).parent
    return learnt | (learnt_by(init) if init and init != folder else set())


def descent(config: Config) -> dict[str, object]:
    """The files that a run starts from and learns from, with checksums, for environment.json.

    Example:
        `{"initial_weights": {"file": "heads/best.keras", "sha256": "…"}, "teachers": []}`;
        without `model.init` the first is None.

    Raises:
        OSError, ConfigError: a file is not there.
    """
    init = config.model.init and weights_file(config.model.init)
    weights = init and {"file": "/".join(init.parts[-2:]), "sha256": sha256_of(init)}
    return {"initial_weights": weights, "teachers": teachers(config)}


def other_ancestor(
    there: Mapping[str, Any], here: Mapping[str, Any], keys: Iterable[str] = ANCESTORS
) -> str | None:
    """The first of `keys` whose files differ between two runs, by checksum; None where none does.

    Args:
        there: as `descent` gives it, or a run's environment.json.
        here: likewise.
        keys: of ANCESTORS.
    """
    return next((k for k in keys if _checksums(there.get(k)) != _checksums(here.get(k))), None)


def _checksums(files: Any) -> list[str | None]:
    """The checksums in an entry of `descent`, which is one file, a list or None."""
    listed = [files] if isinstance(files, Mapping) else files or []
    return [file.get("sha256") if isinstance(file, Mapping) else None for file in listed]


def teachers(config: Config) -> list[dict[str, str]]:
    """The model files that teach a run, with checksums; empty without `teacher`."""
    found = []
    for bundle in teacher_bundles(config):
        file = bundle.manifest["files"][bundle.default_format]
        found.append({"file": f"{bundle.name}/{file['path']}", "sha256": file["sha256"]})
    return found


def write_inherited(folder: Path, origins: Set[Origin]) -> None:
    """Write inherited.json into a run or bundle: for each dataset, the ids of the images."""
    by_dataset: dict[str, list[str]] = {}
    for dataset, id in sorted(origins):
        by_dataset.setdefault(dataset, []).append(id)
    write_text_atomic(folder / INHERITED_NAME, json_text(by_dataset))


def read_inherited(folder: Path) -> set[Origin]:
    """Read inherited.json.

    Raises:
        FetalTFError: it is not there, or damaged.
    """
    by_dataset = read_object(folder / INHERITED_NAME)
    if not all(isinstance(ids, list) for ids in by_dataset.values()):
        raise FetalTFError(
            f"{folder / INHERITED_NAME}: damaged: an object of lists of image ids is expected"
        )
    return {(dataset, str(id)) for dataset, ids in by_dataset.items() for id in ids}


def same_images(dataset: str) -> str:
    """The dataset whose images these are: another one may annotate them under the same ids."""
    return SAME_IMAGES.get(dataset, dataset)


def origin_of(id: str, data: DataConfig) -> Origin:
    """A sample's dataset and its id there; samples of mixed datasets have ids like `heads:001`."""
    source, own_id = source_and_id(id, data.mixed_with)
    dataset = data.readers[source] if source else data.dataset
    return same_images(dataset), own_id
