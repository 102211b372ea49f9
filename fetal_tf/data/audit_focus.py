"""FOCUS under audit: every file decoded, and each kind of annotation held against the others."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from tqdm import tqdm

from fetal_tf.data.audit import AUDITS, Audit, AuditedFrame, Duplicates, Finding
from fetal_tf.data.duplicates import identical_images
from fetal_tf.data.focus_annotations import (
    ELLIPSES,
    FOLDERS,
    IMAGES,
    MASKS,
    RECTANGLES,
    mask_name,
    read_ellipses,
    read_rectangles,
)
from fetal_tf.data.focus_checks import check_agreement, check_mask_size, check_places, gap_px
from fetal_tf.data.focus_files import FocusFiles, list_focus
from fetal_tf.data.focus_masks import LABELS, disagreement, fitted_ellipse, mask_iou, read_inside
from fetal_tf.edge.ellipse import Ellipse
from fetal_tf.edge.errors import DataError
from fetal_tf.edge.images import read_gray

# In FOCUS' 250 training and validation frames no IoU is below 0.973, and CTR is 35 to 58 %.
_CLEAR_IOU = 0.95
_USUAL_CTR_PERCENT = (25.0, 70.0)
_SAME_PX = 0.5  # copies of one image whose outlines are no further apart are annotated alike


@AUDITS.register("focus")
def audit_focus(root: Path) -> Audit:
    """Look at every frame below `root`; what is broken is a finding, and stops nothing.

    Raises:
        DataError: `root` holds none of the official folders, or one of them no images.
    """
    root = Path(root)
    files = list_focus(root)
    ids = tqdm(sorted(files), "audit focus", unit="frame", disable=None, leave=False)
    frames = [_Frame(root, files[id]) for id in ids]
    decoded = {frame.path: frame for frame in frames if frame.shape}
    groups = [[decoded[path] for path in paths] for paths in identical_images(decoded)]
    for group in groups:
        for frame in group:
            frame.note_copies([other for other in group if other is not frame])
    duplicates = [
        Duplicates(tuple(frame.file for frame in group), len({frame.split for frame in group}) > 1)
        for group in groups
    ]
    return Audit([frame.audited() for frame in frames], duplicates)


class _Frame:
    """One frame, looked at check by check.

    Attributes:
        path: the image, or what lies there without one.
        file: its place below the root.
        split: the one that its folder prescribes.
        shape: (height, width) of the image, None where it cannot be decoded.
        ellipses: outlines by structure, from the first kind of annotation that can be read.
    """

    def __init__(self, root: Path, files: FocusFiles):
        self._root, self._files = root, files
        self._findings: list[Finding] = []
        self._measures: dict[str, float] = {}
        self.path = (files.paths.get(IMAGES) or files.all_annotations())[0]
        self.file = self.path.relative_to(root).as_posix()
        self.split = FOLDERS[files.folder.name]
        self.shape = self._image_shape()
        masks = self._masks()
        self.ellipses = self._ellipses(masks)
        for structure, inside in masks.items():
            if structure in self.ellipses:
                self._compare(structure, inside)
        self._check_anatomy()
        self._check_complete()

    def audited(self) -> AuditedFrame:
        traits = {"split": self.split}
        if self.shape:
            traits["size"] = f"{self.shape[1]}x{self.shape[0]}"
        return AuditedFrame(self.file, tuple(self._findings), traits, self._measures)

    def note_copies(self, others: Sequence["_Frame"]) -> None:
        """Note which other frames hold the same image, and whether they are annotated alike."""
        for other in others:
            words = f"byte-identical with {other.file}"
            if other.split != self.split:
                words += ", in another official split"
            if self.ellipses and other.ellipses:
                gap = max(gap_px(other.ellipses[s], self.ellipses[s]) for s in LABELS)
                if gap > _SAME_PX:
                    words += f", annotated differently (up to {gap:.1f} px)"
            self._note("duplicate", words)

    def _note(self, code: str, sentence: str, wrong: bool = False) -> None:
        """Add a finding; paths in the sentence become those below the root."""
        self._findings.append(Finding(code, sentence.replace(f"{self._root}/", ""), wrong))

    @contextmanager
    def _noting(self, code: str) -> Iterator[None]:
        """A DataError in the block becomes a finding, and ends the block only."""
        try:
            yield
        except DataError as error:
            self._note(code, str(error), wrong=True)

    def _image_shape(self) -> tuple[int, int] | None:
        if not self._files.paths.get(IMAGES):
            self._note("no_image", self._files.without_image(), wrong=True)
            return None
        with self._noting("image"):
            self._files.only(IMAGES)
            image = read_gray(self.path)
            if image.min() == image.max():
                self._note("blank_image", f"{self.path}: every pixel is {image.min()}")
            return image.shape[0], image.shape[1]
        return None

    def _masks(self) -> dict[str, np.ndarray]:
        """Masks that can be read and fit the image, bool (height, width), by structure."""
        masks = {}
        with self._noting("mask"):
            self._files.check_labels()
        for structure in LABELS:
            with self._noting("mask"):
                path = self._files.mask(structure)
                if path is None:
                    continue
                inside = read_inside(path)
                if self.shape:
                    check_mask_size(path, inside.shape[:2], self.shape)
                masks[structure] = inside
        return masks

    def _ellipses(self, masks: Mapping[str, np.ndarray]) -> Mapping[str, Ellipse]:
        """Outlines of both structures, or nothing; two text files are held against each other."""
        ellipses: Mapping[str, Ellipse] = {}
        boxed: Mapping[str, Ellipse] = {}
        path = boxes = None
        with self._noting("ellipse"):
            path = self._files.only(ELLIPSES)
            ellipses = read_ellipses(path) if path else {}
        with self._noting("rectangle"):
            boxes = self._files.only(RECTANGLES)
            boxed = read_rectangles(boxes) if boxes else {}
        if path and ellipses and boxed:
            for structure in LABELS:
                gap = gap_px(boxed[structure], ellipses[structure])
                self._measures[f"{structure}_rectangle_gap_px"] = gap
                with self._noting("rectangle_disagrees"):
                    check_agreement(path, structure, ellipses[structure], boxed[structure])
        if ellipses or boxed:
            return ellipses or boxed
        if path is None and boxes is None and any(not self._files.masks.get(s) for s in LABELS):
            self._note("no_annotation", self._files.without_annotation(), wrong=True)
        if len(masks) == len(LABELS):
            with self._noting("mask"):
                return {s: fitted_ellipse(self._files.masks[s][0], masks[s]) for s in LABELS}
        return {}

    def _compare(self, structure: str, inside: np.ndarray) -> None:
        """Hold a mask against its ellipse."""
        ellipse = self.ellipses[structure]
        iou = self._measures[f"{structure}_mask_iou"] = mask_iou(inside, ellipse)
        path = self._files.masks[structure][0]
        problem = disagreement(inside, ellipse)
        if problem:
            self._note("mask_disagrees", f"{path}: {problem}", wrong=True)
        elif iou < _CLEAR_IOU:
            self._note("mask_iou", f"{path}: IoU {iou:.2f} with its ellipse, {_CLEAR_IOU} is usual")

    def _check_anatomy(self) -> None:
        """The two outlines against each other and against the image."""
        if not self.ellipses:
            return
        heart, thorax = self.ellipses["heart"], self.ellipses["thorax"]
        if self.shape:
            with self._noting("place"):
                check_places(self.path, self.ellipses, self.shape)
            for structure, ellipse in self.ellipses.items():
                share = 100 * ellipse.area / (self.shape[0] * self.shape[1])
                self._measures[f"{structure}_area_percent"] = share
        ctr = self._measures["ctr_diameter_percent"] = 100 * heart.semi_minor / thorax.semi_minor
        low, high = _USUAL_CTR_PERCENT
        if not low <= ctr <= high:
            self._note("unusual_ctr", f"CTR by diameter is {ctr:.0f} %, {low:g} to {high:g} usual")

    def _check_complete(self) -> None:
        """Note the kinds of annotation that the folder has, but this frame has not."""
        files = self._files
        absent = [
            f"{kind}/{files.stem}.txt" for kind in (ELLIPSES, RECTANGLES) if kind not in files.paths
        ]
        absent += [f"{MASKS}/{mask_name(files.stem, s)}" for s in LABELS if s not in files.masks]
        absent = [name for name in absent if (files.folder / name).parent.is_dir()]
        if absent and files.all_annotations():
            self._note("missing_file", f"no {', '.join(absent)} in {files.folder.name}/")
