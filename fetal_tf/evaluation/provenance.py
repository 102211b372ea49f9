"""What was evaluated, on which data, with which versions: the part of a result that dates."""

import datetime
import hashlib
from collections.abc import Sequence
from pathlib import Path

from fetal_tf.data.phantom.writing import is_phantom
from fetal_tf.data.sample import Sample
from fetal_tf.edge.bundle.gate import gate_name
from fetal_tf.edge.io.files import sha256_of
from fetal_tf.evaluation.evaluate import Evaluated
from fetal_tf.evaluation.target import Subject
from fetal_tf.runs.environment import versions


def fingerprint(samples: Sequence[Sample]) -> str:
    """SHA-256 over the samples, in any order: ids, groups, pixel sizes, references, images.

    The files' content takes part: numbered frames of two datasets share their names.
    """
    lines = sorted(
        f"{s.id}\t{s.group}\t{s.mm_per_pixel!r}\t{sorted(s.reference.items())}\t"
        f"{sorted(s.ellipses.items())}\t{_content(s.image_path)}"
        for s in samples
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _content(image: Path) -> str:
    """SHA-256 of a file; empty where it cannot be read, which its own row will say."""
    try:
        return sha256_of(image)
    except OSError:
        return ""


def dataset_name(subject: Subject, data_root: Path | None, dataset: str | None = None) -> str:
    """What was read, as results state it: a layout, or all that the subject mixes and measures."""
    data = subject.config.data
    return dataset or (data.dataset if data_root else data.names)


def count_learnt(
    subject: Subject, samples: Sequence[Sample], data_root: Path | None, dataset: str | None
) -> int | None:
    """How many of the samples the subject was trained on, where they are its own data.

    None elsewhere, where nobody knows: ids of two datasets may coincide.
    """
    if not (subject.splits and subject.experiment.data.is_own(data_root, dataset)):
        return None
    return sum(s.id in subject.splits and subject.splits[s.id].split == "train" for s in samples)


def describe(
    subject: Subject,
    samples: Sequence[Sample],
    split: str,
    data_root: Path | None,
    dataset: str | None,
    tta: str | None,
    negatives: Sequence[Sample] = (),
) -> Evaluated:
    """State what `evaluate` did with `samples`; paths are cut to the folder's name.

    Negatives that were judged beside them are none of these images, but one that was generated
    makes a phantom of it all.
    """
    data = subject.config.data
    read = [
        source.root
        for name, source in data.sources.items()
        if (dataset in (name, source.dataset) if dataset else not source.negative)
    ]
    roots = [data_root] if data_root else read
    return Evaluated(
        subject=subject.name,
        format=subject.format,
        dataset=dataset_name(subject, data_root, dataset),
        data_root=" + ".join(root.resolve().name for root in roots),
        split=split,
        tta=tta,
        phantom=any(is_phantom(s.image_path) for s in (*samples, *negatives)),
        samples_sha256=fingerprint(samples),
        trained_on=count_learnt(subject, samples, data_root, dataset),
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        versions=versions(),
        gate=gate_name(subject.predictor),
    )
