"""A dataset looked at file by file, before it is trained on: what is good, suspect or wrong.

The audit of a dataset is one file here with one `@AUDITS.register(name)` function that takes the
root and returns an `Audit`. It only reads.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fetal_tf.registry import Registry

VERDICTS = ("good", "suspect", "wrong")
_SHOWN_FILES = 4


@dataclass(frozen=True)
class Finding:
    """Something about one frame that a person should look at.

    Attributes:
        code: what kind, one word for all frames that have it.
        sentence: where, what was found, what is expected.
        wrong: the reader refuses the frame for it; otherwise it is only suspect.
    """

    code: str
    sentence: str
    wrong: bool


@dataclass(frozen=True)
class AuditedFrame:
    """One frame and what was found.

    Attributes:
        file: path of the image below the root, or of what lies there without an image.
        findings: none where all is good.
        traits: what frames are counted by, for example `{"split": "train"}`.
        measures: what is averaged over frames, by name with unit.
    """

    file: str
    findings: tuple[Finding, ...] = ()
    traits: Mapping[str, str] = field(default_factory=dict)
    measures: Mapping[str, float] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """One of VERDICTS: as bad as the worst finding."""
        if not self.findings:
            return "good"
        return "wrong" if any(finding.wrong for finding in self.findings) else "suspect"


@dataclass(frozen=True)
class Duplicates:
    """Byte-identical images, by path below the root, and whether they lie in several splits."""

    files: tuple[str, ...]
    across_splits: bool


@dataclass(frozen=True)
class Audit:
    """All frames of a dataset in the order of their files, and which of them are the same image."""

    frames: Sequence[AuditedFrame]
    duplicates: Sequence[Duplicates] = ()

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
        """Counts, duplicates and statistics, ready for JSON."""
        return {
            "images": len(self.frames),
            "verdicts": self._verdicts(),
            "findings": {code: len(files) for code, files in self._files_by_code().items()},
            "duplicates": [
                {"files": list(group.files), "across_splits": group.across_splits}
                for group in self.duplicates
            ],
            "counts": self._counts(),
            "measures": self._statistics(),
        }

    def summary(self) -> str:
        """The same as a short text."""
        verdicts = ", ".join(f"{count} {verdict}" for verdict, count in self._verdicts().items())
        lines = [f"{len(self.frames)} images: {verdicts}"]
        for code, files in self._files_by_code().items():
            more = ", …" if len(files) > _SHOWN_FILES else ""
            lines.append(f"  {code:<22}{len(files):>5}  {', '.join(files[:_SHOWN_FILES])}{more}")
        for trait, counts in self._counts().items():
            values = ", ".join(f"{value} {count}" for value, count in counts.items())
            lines.append(f"{trait}: {values}")
        if self._statistics():
            lines.append(f"{'':<24}{'n':>5}{'min':>10}{'mean':>10}{'median':>10}{'max':>10}")
        for name, found in self._statistics().items():
            numbers = "".join(f"{found[key]:>10.3f}" for key in ("min", "mean", "median", "max"))
            lines.append(f"{name:<24}{found['n']:>5}{numbers}")
        return "\n".join(lines)

    def _verdicts(self) -> dict[str, int]:
        found = Counter(frame.verdict for frame in self.frames)
        return {verdict: found[verdict] for verdict in VERDICTS}

    def _files_by_code(self) -> dict[str, list[str]]:
        files: dict[str, list[str]] = {}
        for frame in self.frames:
            for code in dict.fromkeys(finding.code for finding in frame.findings):
                files.setdefault(code, []).append(frame.file)
        return files

    def _counts(self) -> dict[str, dict[str, int]]:
        counts: dict[str, Counter[str]] = {}
        for frame in self.frames:
            for trait, value in frame.traits.items():
                counts.setdefault(trait, Counter())[value] += 1
        return {trait: dict(values.most_common()) for trait, values in counts.items()}

    def _statistics(self) -> dict[str, dict[str, float]]:
        values: dict[str, list[float]] = {}
        for frame in self.frames:
            for name, value in frame.measures.items():
                values.setdefault(name, []).append(value)
        return {
            name: {
                "n": len(found),
                "min": min(found),
                "mean": float(np.mean(found)),
                "median": float(np.median(found)),
                "max": max(found),
            }
            for name, found in values.items()
        }


AUDITS: Registry[Audit] = Registry("audit")

from fetal_tf.data import audit_focus as audit_focus  # noqa: E402  (registers itself)
