"""Which frames of a dataset show one image, and which of those lie where a split would leak."""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from fetal_tf.data.audit.frame import AuditedFrame, Finding
from fetal_tf.data.duplicates import identical_images, linked, near_pairs
from fetal_tf.data.readers.focus_checks import gap_px

_SAME_PX = 0.5  # copies of one image whose outlines are no further apart are annotated alike


@dataclass(frozen=True)
class Duplicates:
    """Frames that show one image, by file, and what they are spread over.

    Attributes:
        files: two and more.
        across_splits: they lie in several official splits.
        across_groups: they lie in several groups; None where the dataset tells none.
    """

    files: tuple[str, ...]
    across_splits: bool
    across_groups: bool | None = None

    def as_record(self) -> dict[str, object]:
        """The same, ready for JSON."""
        record: dict[str, object] = {
            "files": list(self.files),
            "across_splits": self.across_splits,
        }
        if self.across_groups is not None:
            record["across_groups"] = self.across_groups
        return record


@dataclass(frozen=True)
class Copies:
    """The frames with what was found out about copies among them.

    Attributes:
        frames: in the order given.
        exact: byte-identical files.
        near: nearly identical images that are no identical files.
    """

    frames: Sequence[AuditedFrame]
    exact: Sequence[Duplicates]
    near: Sequence[Duplicates]


def find_copies(frames: Sequence[AuditedFrame]) -> Copies:
    """Compare all images that were looked at.

    Identical files are a finding of each. Nearly identical images are one only across groups or
    official splits: frames of one examination may well resemble each other.
    """
    findings: dict[int, list[Finding]] = defaultdict(list)
    places = {frame.image: i for i, frame in enumerate(frames) if frame.image}
    exact = [[places[path] for path in group] for group in identical_images(places)]
    for group in exact:
        for one in group:
            for other in group:
                if one != other:
                    sentence = f"byte-identical with {_told(frames[one], frames[other])}"
                    findings[one].append(Finding("duplicate", sentence, wrong=False))
    near = []
    alike = {frozenset(pair) for group in exact for pair in itertools.combinations(group, 2)}
    hashes = [frame.look.hash if frame.look else None for frame in frames]
    for one, other, bits in near_pairs(hashes):
        if frozenset((one, other)) in alike:
            continue
        near.append((one, other))
        if _across(frames[one], frames[other]):
            for here, there in ((one, other), (other, one)):
                sentence = (
                    f"nearly identical with {_told(frames[here], frames[there])} "
                    f"({bits} of 256 bits of the perceptual hash differ)"
                )
                findings[here].append(Finding("near_duplicate", sentence, wrong=False))
    return Copies(
        [
            replace(frame, findings=(*frame.findings, *findings[i])) if i in findings else frame
            for i, frame in enumerate(frames)
        ],
        [_summed([frames[i] for i in group]) for group in exact],
        [_summed([frames[i] for i in sorted(group)]) for group in linked(near)],
    )


def _told(frame: AuditedFrame, other: AuditedFrame) -> str:
    return ", ".join([other.file, *_differences(frame, other)])


def _differences(frame: AuditedFrame, other: AuditedFrame) -> Iterator[str]:
    """What sets two frames of one image apart."""
    if frame.traits.get("split") != other.traits.get("split"):
        yield "in another official split"
    if frame.group != other.group:
        yield f"of another group ({other.group})"
    shared = frame.ellipses.keys() & other.ellipses.keys()
    gap = max((gap_px(other.ellipses[s], frame.ellipses[s]) for s in shared), default=0.0)
    if gap > _SAME_PX:
        yield f"annotated differently (up to {gap:.1f} px)"


def _across(frame: AuditedFrame, other: AuditedFrame) -> bool:
    return frame.group != other.group or frame.traits.get("split") != other.traits.get("split")


def _summed(frames: Sequence[AuditedFrame]) -> Duplicates:
    groups = {frame.group for frame in frames}
    return Duplicates(
        tuple(frame.file for frame in frames),
        across_splits=len({frame.traits.get("split") for frame in frames}) > 1,
        across_groups=None if groups == {None} else len(groups) > 1,
    )
