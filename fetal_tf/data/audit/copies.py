"""Frames that show the same image, and whether a split would put them on both sides."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fetal_tf.data.audit.frame import AuditedFrame, Finding
from fetal_tf.data.duplicates import identical_images, linked, near_pairs
from fetal_tf.data.readers.focus_checks import gap_px

_SAME_PX = 0.5  # copies of one image whose outlines are no further apart are annotated alike


@dataclass(frozen=True)
class Duplicates:
    """Frames that show the same image.

    Attributes:
        files: their names, two and more.
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


def find_copies(frames: Sequence[AuditedFrame]) -> tuple[list[Duplicates], list[Duplicates]]:
    """Compare all images that were looked at, and add what is found to the frames' findings.

    Identical files are a finding of each. Nearly identical images are one only across groups or
    official splits: frames of one examination may well resemble each other.

    Returns:
        Groups of byte-identical files; groups of other images that are nearly identical.
    """
    places = {frame.image: i for i, frame in enumerate(frames) if frame.image}
    exact = [[places[path] for path in group] for group in identical_images(places)]
    alike = dict.fromkeys(pair for group in exact for pair in itertools.permutations(group, 2))
    for one, other in alike:
        sentence = f"byte-identical with {_told(frames[one], frames[other])}"
        frames[one].findings += (Finding("duplicate", sentence),)
    hashes = [frame.look.hash if frame.look else None for frame in frames]
    near = [pair for pair in near_pairs(hashes) if pair[:2] not in alike]
    for one, other, bits in near:
        for here, there in ((frames[one], frames[other]), (frames[other], frames[one])):
            if _place(here) != _place(there):
                sentence = (
                    f"nearly identical with {_told(here, there)} "
                    f"({bits} of 256 bits of the perceptual hash differ)"
                )
                here.findings += (Finding("near_duplicate", sentence),)
    groups = linked((one, other) for one, other, _ in near)
    return (
        [_summed([frames[i] for i in group]) for group in exact],
        [_summed([frames[i] for i in sorted(group)]) for group in groups],
    )


def _told(frame: AuditedFrame, other: AuditedFrame) -> str:
    """The file of `other`, and in what it differs from `frame`, which shows the same image."""
    return ", ".join([other.file, *_differences(frame, other)])


def _differences(frame: AuditedFrame, other: AuditedFrame) -> Iterator[str]:
    if frame.traits.get("split") != other.traits.get("split"):
        yield "in another official split"
    if frame.group != other.group:
        yield f"of another group ({other.group})"
    shared = frame.ellipses.keys() & other.ellipses.keys()
    gap = max((gap_px(other.ellipses[s], frame.ellipses[s]) for s in shared), default=0.0)
    if gap > _SAME_PX:
        yield f"annotated differently (up to {gap:.1f} px)"


def _place(frame: AuditedFrame) -> tuple[str | None, str | None]:
    return frame.group, frame.traits.get("split")


def _summed(frames: Sequence[AuditedFrame]) -> Duplicates:
    groups = {frame.group for frame in frames}
    return Duplicates(
        tuple(frame.file for frame in frames),
        across_splits=len({frame.traits.get("split") for frame in frames}) > 1,
        across_groups=None if groups == {None} else len(groups) > 1,
    )
