"""Read the datasets of a config and divide them into train, val and test."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from fetal_tf.config.registry import nearest
from fetal_tf.config.tree import DataConfig, SourceConfig, SplitConfig
from fetal_tf.data.mixture import by_source, named_source, source_and_id, unnamed_source
from fetal_tf.data.negatives import as_negatives
from fetal_tf.data.readers import DATASETS
from fetal_tf.data.sample import Sample
from fetal_tf.data.splits import SplitRow, belonging_to, select, split_groups, validate_on_fold
from fetal_tf.edge.errors import ConfigError, DataError


@dataclass(frozen=True)
class ConfiguredData:
    """The datasets of a config, one or several, and how they are divided.

    Attributes:
        config: the section `data`.
        division: the section `split`.
        refit: `train.refit`, the run whose validation frames are trained on too; None for most.
    """

    config: DataConfig
    division: SplitConfig
    refit: Path | None = None

    def read(
        self,
        data_root: Path | None = None,
        dataset: str | None = None,
        negative: bool | None = None,
    ) -> list[Sample]:
        """Every annotated frame under the config's roots, or under another root.

        `exclude` of a dataset applies to its own root only, its `options` to any root that is read
        as this dataset.

        Args:
            data_root: another root; None takes the config's.
            dataset: the layout there, or a dataset that the config mixes, which is then read alone.
                Without both arguments all of them are read.
            negative: True reads the config's negatives only, False all others; None both. The roots
                of datasets that are not read may be missing.

        Raises:
            ConfigError: the root does not exist.
            DataError: what is wrong with the dataset.
        """
        sources = self.config.sources
        wanted = {n: s for n, s in sources.items() if negative in (None, s.negative)}
        chosen = self._source(dataset)
        if data_root is None and (dataset is None or (chosen is not None and len(sources) > 1)):
            names = wanted if dataset is None else [n for n in wanted if n == chosen]
            return [sample for name in names for sample in self._read(name, sources[name])]
        if data_root is not None and not data_root.is_dir():
            raise ConfigError(f"--data-root: {data_root} is not a folder")
        if chosen is None:
            root = data_root or self.config.root
            return [] if negative else DATASETS.build("data", {"name": dataset}, root)
        return self._read(chosen, sources[chosen], data_root) if chosen in wanted else []

    def is_own(self, data_root: Path | None, dataset: str | None = None) -> bool:
        """Whether these are the config's own data, which `splits.csv` divides."""
        chosen = self._source(dataset)
        if chosen is None:
            return False
        root = self.config.sources[chosen].root
        return data_root is None or data_root.resolve() == root.resolve()

    def _source(self, dataset: str | None) -> str | None:
        """Name of the config's dataset that is meant; by default the first, ``""``."""
        sources = self.config.sources
        if dataset is None:
            return ""
        if dataset in sources:
            return dataset
        return next((name for name, s in sources.items() if s.dataset == dataset), None)

    def _read(self, name: str, source: SourceConfig, data_root: Path | None = None) -> list[Sample]:
        root = data_root or source.root
        if not root.is_dir():
            way_out = "train with --set KEY=DIR, evaluate and export with --data-root DIR"
            key = f"data.mixed_with.{name}.root" if name else "data.root"
            raise ConfigError(f"{key}: {root} is not a folder; {way_out.replace('KEY', key)}")
        spec = {"name": source.dataset, **source.options}
        if root.resolve() == source.root.resolve():
            spec["exclude"] = source.exclude
        samples = DATASETS.build("data", spec, root)
        if source.negative:
            samples = as_negatives(samples)
        return named_source(samples, name, self.config.mixed_with)

    def samples_of(
        self,
        part: str,
        splits: Mapping[str, SplitRow],
        data_root: Path | None = None,
        dataset: str | None = None,
    ) -> list[Sample]:
        """Samples of train, val, test or all, from the config's root or from another one.

        Negatives are left out, see `negatives_of`; the list is empty if `dataset` is one of them.

        Raises:
            DataError: there are none, or val of a refit, which was trained on it.
        """
        samples = self.read(data_root, dataset, negative=False)
        chosen = self._source(dataset)
        if chosen is not None and self.config.sources[chosen].negative:
            return []
        refit = self.refit
        if refit is not None and part == "val" and chosen is not None:
            raise DataError(
                f"{data_root or self.config.root}: no sample belongs to the split 'val': the "
                f"net has learnt the validation frames too; {refit.name} was measured on them "
                "before, and the card of the bundle states its figures"
            )
        return select(samples, splits, part, str(data_root or self.config.root))

    def negatives_of(
        self,
        part: str,
        splits: Mapping[str, SplitRow],
        data_root: Path | None = None,
        dataset: str | None = None,
    ) -> list[Sample]:
        """The config's negatives of a part, see `fetal_tf.data.negatives`; may be empty.

        They choose no epoch and fit no threshold, so val and test both mean: all that are held out.
        """
        samples = self.read(data_root, dataset, negative=True)
        source = str(data_root or self.config.root)
        held_out = ("val", "test")
        parts = held_out if part in held_out else (part,)
        return [s for p in parts for s in belonging_to(samples, splits, p, source)]

    def split(self, samples: list[Sample]) -> dict[str, SplitRow]:
        """Assign every sample to train, val or test by whole groups, each source separately.

        Negatives are drawn by their ids without the source's name. So a run that trains on their
        dataset alone, such as one that this run starts from, holds out the same frames.
        """
        split = self.division
        rows: dict[str, SplitRow] = {}
        for name, part in by_source(samples).items():
            negative = self.config.sources[name].negative
            drawn = split_groups(
                [unnamed_source(sample) for sample in part] if negative else part,
                val=split.val,
                test=split.test,
                seed=split.seed,
                folds=split.folds,
                stratify=split.stratify,
            )
            rows |= {
                s.id: replace(r, id=s.id, group=s.group)
                for s, r in zip(part, drawn.values(), strict=True)
            }
        return rows if split.fold is None else validate_on_fold(rows, split.fold)


def check_data(config: DataConfig) -> None:
    """Check the names and options of every dataset, without reading any.

    Raises:
        ConfigError: the key of an unknown dataset or option.
    """
    for name, source in config.sources.items():
        key = f"data.mixed_with.{name}" if name else "data"
        dataset, known = str(source.dataset), DATASETS.names()
        if dataset not in known:
            raise ConfigError(
                f"{key}.dataset: unknown dataset {dataset!r}{nearest(dataset, known)}; "
                f"allowed: {', '.join(known)}"
            )
        DATASETS.check(f"{key}.options", {"name": dataset, **source.options})


def negative_ids(config: DataConfig, ids: Iterable[str]) -> set[str]:
    """Those of the ids that belong to negatives of the config."""
    mixed = config.mixed_with
    negative = {name for name, source in mixed.items() if source.negative}
    return {id for id in ids if source_and_id(id, mixed)[0] in negative}
