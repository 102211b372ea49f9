"""Mixing of several datasets: frames keep their own split, and ids say where they come from."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from fetal_tf.data.sample import Sample

_SEPARATOR = ":"


def named_source(samples: Iterable[Sample], source: str, mixed: Collection[str]) -> list[Sample]:
    """The samples of one of several datasets, with ids and groups that no other dataset has.

    Those of a further dataset become `source:id`. Those of the first dataset stay as they are; but
    one that begins like a further dataset's becomes `:id`, so that `source_and_id` reads it right.

    Args:
        samples: as the dataset's reader gives them.
        source: the name of a further dataset, or empty for the first.
        mixed: the names of all further datasets, `data.mixed_with` of the config.
    """

    def named(text: str) -> str:
        own = not source and source_and_id(text, mixed) == ("", text)
        return text if own else f"{source}{_SEPARATOR}{text}"

    return [replace(s, id=named(s.id), group=named(s.group), source=source) for s in samples]


def unnamed_source(sample: Sample) -> Sample:
    """The sample as its own dataset names it: without what `named_source` has added."""
    prefix = f"{sample.source}{_SEPARATOR}"
    return replace(
        sample, id=sample.id.removeprefix(prefix), group=sample.group.removeprefix(prefix)
    )


def source_and_id(id: str, mixed: Collection[str]) -> tuple[str, str]:
    """The `Sample.source` of an id, and the id in that dataset: `planes:7` → `planes`, `7`.

    A file's name may hold a colon, so only the names in `mixed` (`data.mixed_with` of the config
    that the id was made with) are sources; the first dataset's is empty.
    """
    name, separator, rest = id.partition(_SEPARATOR)
    return (name, rest) if separator and mixed and name in ("", *mixed) else ("", id)


def by_source(samples: Iterable[Sample]) -> dict[str, list[Sample]]:
    """Samples by `Sample.source`, in the order of their first frames."""
    found: dict[str, list[Sample]] = {}
    for sample in samples:
        found.setdefault(sample.source, []).append(sample)
    return found


def source_weights(samples: Sequence[Sample], weights: Mapping[str, float]) -> np.ndarray:
    """How often each frame is drawn, float32 [n], by `weights` of its source."""
    return np.array([weights[sample.source] for sample in samples], np.float32)
