"""One frame under audit: a table of checks fills it in."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from fetal_tf.data.fingerprint import ImageLook
from fetal_tf.edge.errors import DataError
from fetal_tf.edge.geometry.ellipse import Ellipse


@dataclass(frozen=True)
class Finding:
    """Something about one frame that a person should look at.

    Attributes:
        code: the kind, one word for all frames that have it.
        sentence: the place, what was found and what is expected.
        wrong: the frame cannot be used as it is; otherwise it is only suspect, or repairable.
    """

    code: str
    sentence: str
    wrong: bool = False


@dataclass
class AuditedFrame:
    """One frame and what was found.

    Attributes:
        file: path of the image below the root, or of what lies there without an image.
        findings: none where all is good.
        traits: what frames are counted by, for example `{"split": "train"}`.
        measures: what is averaged over frames, by name with unit.
        doubt: the verdict where nothing found is wrong: `suspect`, or `repairable` where it is
            known how to correct it.
        image: the file to show; None where there is none that can be decoded.
        look: of that image; None where it was not looked at.
        group: patient or examination; None where the dataset does not tell.
        areas_percent: share of the image that each class covers; classes not shown have none.
        ellipses: annotated outlines by structure, px.
        outlines: borders of masks by structure, each float (N, 2) as (x, y) px.
        axes: labelled ends [4, 2] in the order of LANDMARKS, px; NaN where unknown.
        perimeter_px: of the head; None where it is not known.
        id: of the sample, where the checks need it.
    """

    file: str
    findings: tuple[Finding, ...] = ()
    traits: dict[str, str] = field(default_factory=dict)
    measures: dict[str, float] = field(default_factory=dict)
    doubt: str = "suspect"
    image: Path | None = None
    look: ImageLook | None = None
    group: str | None = None
    areas_percent: dict[str, float] = field(default_factory=dict)
    ellipses: Mapping[str, Ellipse] = field(default_factory=dict)
    outlines: dict[str, Sequence[np.ndarray]] = field(default_factory=dict)
    axes: np.ndarray | None = None
    perimeter_px: float | None = None
    id: str = ""

    @property
    def verdict(self) -> str:
        """`good`, `wrong` or what `doubt` says: as bad as the worst finding."""
        if not self.findings:
            return "good"
        return "wrong" if any(finding.wrong for finding in self.findings) else self.doubt

    def codes(self) -> list[str]:
        """Codes of the findings, each once."""
        return list(dict.fromkeys(finding.code for finding in self.findings))


Files = TypeVar("Files")
# A check gets the frame and what the dataset has for it. It gives findings, and may keep measures
# in the frame. A DataError ends the check, and is a finding with the code that stands before it.
Check = tuple[str, Callable[[AuditedFrame, Files], Iterable[Finding] | None]]


def check_frame(
    frame: AuditedFrame, files: Files, checks: Iterable[Check[Files]], root: Path
) -> AuditedFrame:
    """Run the checks in their order; sentences of the findings name paths below `root`."""
    found: list[Finding] = []
    for code, check in checks:
        try:
            found.extend(check(frame, files) or ())
        except DataError as error:
            found.append(Finding(code, str(error), wrong=True))
    frame.findings += tuple(
        replace(finding, sentence=finding.sentence.replace(f"{root}/", "")) for finding in found
    )
    return frame
