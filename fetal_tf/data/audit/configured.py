"""What the audits find in the datasets of a config, before anything is trained on them."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fetal_tf.config.tree import DataConfig, SourceConfig
from fetal_tf.data.audit.audit import AUDITS, Audit
from fetal_tf.data.mixture import source_and_id

# Landmarks are labels of HC18's frames, which lie in this folder. Which labels are used, and that
# wrong ones are left out, `data.options.labels` says.
_FRAMES_OF = {"landmarks": ("hc18", "hc18")}


@dataclass(frozen=True)
class Doubt:
    """One kind of finding in one dataset.

    Attributes:
        where: the dataset, as the config names it.
        code: the kind.
        frames: how many have it.
        sentence: the first of them.
        wrong: some frame that is to be used cannot be, as it is.
    """

    where: str
    code: str
    frames: int
    sentence: str
    wrong: bool

    def __str__(self) -> str:
        verdict = "wrong" if self.wrong else "to look at"
        more = f" ({self.frames} frames)" if self.frames > 1 else ""
        return f"{verdict}: {self.where}: {self.code}: {self.sentence}{more}"


def audit_config(config: DataConfig, used: set[str]) -> list[Doubt]:
    """Audit every dataset of a config but negatives, of whose annotations nothing is used.

    Args:
        config: names the datasets, their options, and the frames that are excluded.
        used: ids of the samples that its readers give. What is wrong with another frame is only to
            be looked at: a reader has left it out, and has said so.

    Returns:
        What was found, the wrong first.
    """
    by_source: dict[str, set[str]] = defaultdict(set)
    for id in used:
        name, own_id = source_and_id(id, config.mixed_with)
        by_source[name].add(own_id)
    doubts = [
        doubt
        for name, source in config.sources.items()
        if not source.negative
        for doubt in _doubts(name, source, by_source[name])
    ]
    return sorted(doubts, key=lambda doubt: not doubt.wrong)


def _doubts(name: str, source: SourceConfig, used: set[str]) -> Iterator[Doubt]:
    for code, frames in _audit(source).frames_by_code().items():
        found = [
            (finding, frame.id)
            for frame in frames
            for finding in frame.findings
            if finding.code == code
        ]
        wrong = [finding for finding, id in found if finding.wrong and id in used]
        sentence = (wrong or [found[0][0]])[0].sentence
        yield Doubt(name or str(source.dataset), code, len(frames), sentence, bool(wrong))


def _audit(source: SourceConfig) -> Audit:
    dataset, folder = _FRAMES_OF.get(str(source.dataset), (str(source.dataset), ""))
    known = AUDITS.parameters("audit", dataset)
    options = {key: value for key, value in source.options.items() if key in known}
    spec = {"name": dataset, **options, "exclude": source.exclude}
    return AUDITS.build("audit", spec, Path(source.root) / folder)
