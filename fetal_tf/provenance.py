"""What was evaluated, on which data, with which versions: the part of a result that dates."""

import datetime
import hashlib
from collections.abc import Sequence
from pathlib import Path

from fetal_tf.data.phantom import is_phantom
from fetal_tf.data.sample import Sample
from fetal_tf.edge.files import sha256_of
from fetal_tf.edge.gate import gate_name
from fetal_tf.environment import versions
from fetal_tf.evaluation import Evaluated
from fetal_tf.subject import Subject


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


def describe(
    subject: Subject,
    samples: Sequence[Sample],
    split: str,
    data_root: Path | None,
    dataset: str | None,
    tta: str | None,
) -> Evaluated:
    """State what `evaluate` did with `samples`, at least one; paths are cut to the folder's name.

    Training images are counted where the data are the subject's own. Elsewhere nobody knows: ids of
    two datasets may coincide.
    """
    data = subject.config.data
    roots = [data_root] if data_root else [source.root for source in data.sources.values()]
    trained_on = None
    if subject.splits and subject.experiment.is_own(data_root, dataset):
        training = {id for id, row in subject.splits.items() if row.split == "train"}
        trained_on = sum(sample.id in training for sample in samples)
    return Evaluated(
        subject=subject.name,
        format=subject.format,
        dataset=dataset or (data.dataset if data_root else data.names),
        data_root=" + ".join(root.resolve().name for root in roots),
        split=split,
        tta=tta,
        phantom=any(is_phantom(s.image_path) for s in samples),
        samples_sha256=fingerprint(samples),
        trained_on=trained_on,
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        versions=versions(),
        gate=gate_name(subject.predictor),
    )
