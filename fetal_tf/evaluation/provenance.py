"""What was evaluated, on which data, when and with which versions."""

import datetime
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fetal_tf.data.phantom.writing import is_phantom
from fetal_tf.data.sample import Sample
from fetal_tf.edge.bundle.gate import gate_name
from fetal_tf.edge.io.files import sha256_of
from fetal_tf.evaluation.target import EvaluationTarget
from fetal_tf.runs.environment import versions


@dataclass(frozen=True)
class Evaluated:
    """What was evaluated, as `summary.json` and the report state it.

    Attributes:
        data_root: the folder's own name; the path before it belongs to one machine.
        samples_sha256: of ids, groups, pixel sizes, references and image files: other data in a
            folder of the same name differ in it.
        trained_on: how many of the images the model was trained on, None where nobody knows.
        date: with the time, UTC, ISO 8601: the later of two evaluations on a day is known.
        gate: the name of the gate whose flags the rows hold, None where there is none.
    """

    subject: str
    format: str
    dataset: str
    data_root: str
    split: str
    tta: str | None
    phantom: bool
    samples_sha256: str
    trained_on: int | None
    date: str
    versions: Mapping[str, str]
    gate: str | None = None


def fingerprint(samples: Sequence[Sample]) -> str:
    """SHA-256 over the samples, in any order: ids, groups, pixel sizes, references, images.

    The content of the files counts: numbered frames of two datasets have the same names.
    """
    lines = sorted(
        f"{s.id}\t{s.group}\t{s.mm_per_pixel!r}\t{sorted(s.reference.items())}\t"
        f"{sorted(s.ellipses.items())}\t{_content(s.image_path)}"
        for s in samples
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _content(image: Path) -> str:
    """SHA-256 of a file; empty for an unreadable one, whose row states the error."""
    try:
        return sha256_of(image)
    except OSError:
        return ""


def dataset_name(
    target: EvaluationTarget, data_root: Path | None, dataset: str | None = None
) -> str:
    """What was read, as results state it: a layout, or all that the target mixes and measures."""
    data = target.config.data
    return dataset or (data.dataset if data_root else data.names)


def count_learnt(
    target: EvaluationTarget, samples: Sequence[Sample], data_root: Path | None, dataset: str | None
) -> int | None:
    """How many of the samples the target was trained on; None for data that is not its own.

    There nobody knows: two datasets may use the same ids.
    """
    if not (target.splits and target.experiment.data.is_own(data_root, dataset)):
        return None
    return sum(s.id in target.splits and target.splits[s.id].split == "train" for s in samples)


def describe(
    target: EvaluationTarget,
    samples: Sequence[Sample],
    split: str,
    data_root: Path | None,
    dataset: str | None,
    tta: str | None,
    negatives: Sequence[Sample] = (),
) -> Evaluated:
    """State what `evaluate` did with `samples`; paths are cut to the folder's name.

    `negatives` do not count among these images, but a generated one marks the whole result as a
    phantom's.
    """
    data = target.config.data
    read = [
        source.root
        for name, source in data.sources.items()
        if (dataset in (name, source.dataset) if dataset else not source.negative)
    ]
    roots = [data_root] if data_root else read
    return Evaluated(
        subject=target.name,
        format=target.format,
        dataset=dataset_name(target, data_root, dataset),
        data_root=" + ".join(root.resolve().name for root in roots),
        split=split,
        tta=tta,
        phantom=any(is_phantom(s.image_path) for s in (*samples, *negatives)),
        samples_sha256=fingerprint(samples),
        trained_on=count_learnt(target, samples, data_root, dataset),
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        versions=versions(),
        gate=gate_name(target.predictor),
    )
