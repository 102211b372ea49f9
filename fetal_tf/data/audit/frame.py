"""One frame under audit: what was found, what it is counted by, and what a picture shows of it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from fetal_tf.data.fingerprint import ImageLook, look_at
from fetal_tf.edge.errors import DataError
from fetal_tf.edge.geometry.ellipse import Ellipse


@dataclass(frozen=True)
class Finding:
    """Something about one frame that a person should look at.

    Attributes:
        code: what kind, one word for all frames that have it.
        sentence: where, what was found, what is expected.
        wrong: the frame cannot be used as it is; otherwise it is only suspect, or repairable.
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
        doubt: the verdict where nothing found is wrong: `suspect`, or `repairable` where it is
            known what to put right.
        image: the file to show; None where there is none that can be decoded.
        look: of that image; None where it was not looked at.
        group: patient or examination; None where the dataset does not tell.
        areas_percent: share of the image that each class covers; classes not shown have none.
        ellipses: annotated outlines by structure, px.
        outlines: borders of masks by structure, each float (N, 2) as (x, y) px.
        axes: labelled ends [4, 2] in the order of LANDMARKS, px; NaN where unknown.
    """

    file: str
    findings: tuple[Finding, ...] = ()
    traits: Mapping[str, str] = field(default_factory=dict)
    measures: Mapping[str, float] = field(default_factory=dict)
    doubt: str = "suspect"
    image: Path | None = None
    look: ImageLook | None = None
    group: str | None = None
    areas_percent: Mapping[str, float] = field(default_factory=dict)
    ellipses: Mapping[str, Ellipse] = field(default_factory=dict)
    outlines: Mapping[str, Sequence[np.ndarray]] = field(default_factory=dict)
    axes: np.ndarray | None = None

    @property
    def verdict(self) -> str:
        """`good`, `wrong` or what `doubt` says: as bad as the worst finding."""
        if not self.findings:
            return "good"
        return "wrong" if any(finding.wrong for finding in self.findings) else self.doubt

    def codes(self) -> list[str]:
        """Codes of the findings, each once."""
        return list(dict.fromkeys(finding.code for finding in self.findings))


class Notes:
    """Findings of one frame while it is looked at.

    Attributes:
        findings: so far.
    """

    def __init__(self, root: Path):
        self._root = root
        self.findings: list[Finding] = []

    def note(self, code: str, sentence: str, wrong: bool = False) -> None:
        """Add a finding; paths in the sentence become those below the root."""
        self.findings.append(Finding(code, sentence.replace(f"{self._root}/", ""), wrong))

    @contextmanager
    def noting(self, code: str) -> Iterator[None]:
        """A DataError in the block becomes a finding, and ends the block only."""
        try:
            yield
        except DataError as error:
            self.note(code, str(error), wrong=True)

    def look(self, path: Path) -> ImageLook | None:
        """Decode an image, noting that it cannot be, or that all its pixels are alike."""
        with self.noting("image"):
            look = look_at(path)
            darkest, brightest = look.gray_range
            if darkest == brightest:
                self.note("blank_image", f"{path}: every pixel is {darkest}")
            return look
        return None


def borders(inside: np.ndarray) -> list[np.ndarray]:
    """Outlines of a mask, bool (height, width), to be drawn: each float (N, 2) as (x, y) px."""
    found, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_TC89_L1)
    return [outline[:, 0].astype(np.float64) for outline in found]


def stray_pieces(inside: np.ndarray) -> tuple[int, int]:
    """Pieces of a mask beside the largest, and their pixels together.

    A structure that the image cuts off may come in several pieces, so those at its edge do not
    count.

    Args:
        inside: bool (height, width).
    """
    height, width = inside.shape
    _, _, boxes, _ = cv2.connectedComponentsWithStats(inside.astype(np.uint8), connectivity=8)
    pieces = sorted(boxes[1:], key=lambda box: -box[cv2.CC_STAT_AREA])[1:]
    inner = [
        int(area)
        for left, top, wide, high, area in pieces
        if left > 0 and top > 0 and left + wide < width and top + high < height
    ]
    return len(inner), sum(inner)
