"""The audit of a dataset: all of its frames with their findings, and the figures over them.

Each dataset has one file here with a table of checks and one `@AUDITS.register(name)` function that
takes the root and returns an `Audit`. It only reads.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tqdm import tqdm

from fetal_tf.config.registry import Registry
from fetal_tf.data.audit.checks import check_units, check_within_groups
from fetal_tf.data.audit.copies import Duplicates, find_copies
from fetal_tf.data.audit.frame import AuditedFrame, Check, Files, check_frame
from fetal_tf.data.fingerprint import describe_images, statistics

VERDICTS = ("good", "suspect", "wrong")
# Measures whose outermost frames are worth a look, and which end of them.
Extremes = Mapping[str, Literal["lowest", "highest"]]
# A check of all frames together, which adds to their findings.
WholeCheck = Callable[[Sequence[AuditedFrame]], None]
_SHOWN_FILES = 4


@dataclass(frozen=True)
class Audit:
    """All frames of a dataset in the order of their files, and which of them are the same image.

    Attributes:
        frames: all have the same `doubt`.
        duplicates: byte-identical images.
        near_duplicates: other images that are nearly the same.
        extremes: measures whose outermost frames are worth a look.
        tables: further files to write beside the audit's own, text by name.
    """

    frames: Sequence[AuditedFrame]
    duplicates: Sequence[Duplicates] = ()
    near_duplicates: Sequence[Duplicates] = ()
    extremes: Extremes = field(default_factory=dict)
    tables: Mapping[str, str] = field(default_factory=dict)

    @property
    def wrong(self) -> bool:
        """Whether anything cannot be used as it is."""
        return any(frame.verdict == VERDICTS[2] for frame in self.frames)

    def rows(self) -> list[dict[str, str]]:
        """A row a frame: `file`, `verdict`, and `reasons` as `code: sentence; code: sentence`."""
        return [
            {
                "file": frame.file,
                "verdict": frame.verdict,
                "reasons": "; ".join(
                    # The semicolon is the separator of reasons.
                    f"{finding.code}: {finding.sentence.replace(';', ',')}"
                    for finding in frame.findings
                ),
            }
            for frame in self.frames
        ]

    def as_record(self) -> dict[str, Any]:
        """Counts, duplicates, statistics and the fingerprint, ready for JSON."""
        return {
            "images": len(self.frames),
            "verdicts": self.verdicts(),
            "findings": {code: len(frames) for code, frames in self.frames_by_code().items()},
            "duplicates": [group.as_record() for group in self.duplicates],
            "near_duplicates": [group.as_record() for group in self.near_duplicates],
            "counts": self.counts(),
            "measures": self.statistics(),
            "fingerprint": self.fingerprint(),
        }

    def summary(self) -> str:
        """The same as a short text."""
        verdicts = ", ".join(f"{count} {verdict}" for verdict, count in self.verdicts().items())
        lines = [f"{len(self.frames)} images: {verdicts}"]
        for code, frames in self.frames_by_code().items():
            files = ", ".join(frame.file for frame in frames[:_SHOWN_FILES])
            more = ", …" if len(frames) > _SHOWN_FILES else ""
            lines.append(f"  {code:<22}{len(frames):>5}  {files}{more}")
        for trait, counts in self.counts().items():
            values = ", ".join(f"{value} {count}" for value, count in counts.items())
            lines.append(f"{trait}: {values}")
        found = self.statistics()
        if found:
            lines.append(f"{'':<28}{'n':>5}{'min':>10}{'mean':>10}{'median':>10}{'max':>10}")
        for name, of in found.items():
            numbers = "".join(f"{of[key]:>10.3f}" for key in ("min", "mean", "median", "max"))
            lines.append(f"{name:<28}{of['n']:>5}{numbers}")
        return "\n".join(lines)

    def verdicts(self) -> dict[str, int]:
        """Frames by verdict, from best to worst."""
        found = Counter(frame.verdict for frame in self.frames)
        doubt = self.frames[0].doubt if self.frames else VERDICTS[1]
        return {verdict: found[verdict] for verdict in (VERDICTS[0], doubt, VERDICTS[2])}

    def frames_by_code(self) -> dict[str, list[AuditedFrame]]:
        """Frames of each kind of finding, the kinds in order of appearance."""
        frames: dict[str, list[AuditedFrame]] = {}
        for frame in self.frames:
            for code in frame.codes():
                frames.setdefault(code, []).append(frame)
        return frames

    def counts(self) -> dict[str, dict[str, int]]:
        """Frames by value of each trait, the most frequent value first."""
        counts: dict[str, Counter[str]] = {}
        for frame in self.frames:
            for trait, value in frame.traits.items():
                counts.setdefault(trait, Counter())[value] += 1
        return {trait: dict(values.most_common()) for trait, values in counts.items()}

    def statistics(self) -> dict[str, dict[str, float]]:
        """Statistics over frames of each measure, and of each class where it is shown."""
        values: dict[str, list[float]] = {}
        for frame in self.frames:
            for name, value in frame.measures.items():
                values.setdefault(name, []).append(value)
            for name, value in frame.areas_percent.items():
                values.setdefault(f"{name}_area_percent", []).append(value)
        return {name: statistics(found) for name, found in values.items()}

    def fingerprint(self) -> dict[str, Any]:
        """What the images and classes are like, `describe_images` and counts of groups."""
        groups = Counter(frame.group for frame in self.frames if frame.group is not None)
        record = describe_images([frame.look for frame in self.frames if frame.look])
        if groups:
            record["groups"] = len(groups)
            record["images_per_group"] = statistics(list(groups.values()))
        record["classes"] = dict(Counter(name for f in self.frames for name in f.areas_percent))
        return record


AUDITS: Registry[Audit] = Registry("audit")


def audit_frames(
    dataset: str,
    root: Path,
    frames: Sequence[tuple[AuditedFrame, Files]],
    checks: Sequence[Check[Files]],
    extremes: Extremes,
    *,
    whole: Sequence[WholeCheck] = (),
    exclude: Sequence[str] = (),
) -> Audit:
    """Run the checks over frames that are images of their own, then compare the frames.

    Args:
        dataset: its name, for the progress bar.
        root: its folder.
        frames: each with what the checks get beside it.
        checks: of every frame, in order.
        extremes: of the `Audit`.
        whole: checks of all frames together, after those.
        exclude: ids of frames to pass over.
    """
    frames = [(frame, files) for frame, files in frames if frame.id not in exclude]
    bar = tqdm(frames, f"audit {dataset}", unit="frame", disable=None, leave=False)
    audited = [check_frame(frame, files, checks, root) for frame, files in bar]
    for check in (check_within_groups, check_units, *whole):
        check(audited)
    duplicates, near_duplicates = find_copies(audited)
    return Audit(audited, duplicates, near_duplicates, extremes)
