"""Several datasets as one: frames keep their own split, and say where they come from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from fetal_tf.data.sample import Sample

SEPARATOR = ":"


def named_source(samples: Iterable[Sample], source: str) -> list[Sample]:
    """The samples of a further dataset: ids and groups as `source:id`, so that none coincide."""
    return [
        replace(
            sample,
            id=f"{source}{SEPARATOR}{sample.id}",
            group=f"{source}{SEPARATOR}{sample.group}",
            source=source,
        )
        for sample in samples
    ]


def unnamed_source(sample: Sample) -> Sample:
    """The sample as its own dataset names it: what `named_source` has added is taken away."""
    prefix = f"{sample.source}{SEPARATOR}"
    return replace(
        sample, id=sample.id.removeprefix(prefix), group=sample.group.removeprefix(prefix)
    )


def source_of(id: str) -> str:
    """The `Sample.source` in the id of a sample; empty for those of the first dataset."""
    name, separator, _ = id.partition(SEPARATOR)
    return name if separator else ""


def by_source(samples: Iterable[Sample]) -> dict[str, list[Sample]]:
    """Samples by `Sample.source`, in the order of their first frames."""
    found: dict[str, list[Sample]] = {}
    for sample in samples:
        found.setdefault(sample.source, []).append(sample)
    return found


def source_weights(samples: Sequence[Sample], weights: Mapping[str, float]) -> np.ndarray:
    """How often each frame is drawn, float32 [n], by `weights` of its source."""
    return np.array([weights[sample.source] for sample in samples], np.float32)
