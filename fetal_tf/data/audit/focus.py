"""FOCUS under audit: every file decoded, and each kind of annotation held against the others."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from tqdm import tqdm

from fetal_tf.data.audit.audit import Audit, Extremes, audit_images
from fetal_tf.data.audit.frame import AuditedFrame, Notes, borders, stray_pieces
from fetal_tf.data.audit.registry import AUDITS
from fetal_tf.data.fingerprint import ImageLook
from fetal_tf.data.readers.focus_annotations import (
    ELLIPSES,
    FOLDERS,
    IMAGES,
    MASKS,
    RECTANGLES,
    mask_name,
    read_ellipses,
    read_rectangles,
)
from fetal_tf.data.readers.focus_checks import (
    check_agreement,
    check_mask_size,
    check_places,
    gap_px,
)
from fetal_tf.data.readers.focus_files import FocusFiles, list_focus
from fetal_tf.data.readers.focus_masks import (
    LABELS,
    disagreement,
    fitted_ellipse,
    mask_iou,
    read_inside,
)
from fetal_tf.edge.geometry.ellipse import Ellipse

# In FOCUS' 250 training and validation frames no IoU is below 0.973, and CTR is 35 to 58 %.
_CLEAR_IOU = 0.95
_USUAL_CTR_PERCENT = (25.0, 70.0)
_EXTREMES: Extremes = {
    "heart_mask_iou": "lowest",
    "thorax_mask_iou": "lowest",
    "ctr_diameter_percent": "highest",
}


@AUDITS.register("focus")
def audit_focus(root: Path) -> Audit:
    """Look at every frame below `root`; what is broken is a finding, and stops nothing.

    Raises:
        DataError: `root` holds none of the official folders, or one of them no images.
    """
    root = Path(root)
    files = list_focus(root)
    ids = tqdm(sorted(files), "audit focus", unit="frame", disable=None, leave=False)
    return audit_images((_Frame(root, files[id]).audited() for id in ids), _EXTREMES)


class _Frame(Notes):
    """One frame, looked at check by check.

    Attributes:
        path: the image, or what lies there without one.
        file: its place below the root.
        split: the one that its folder prescribes.
        image: what was seen of it, None where it cannot be decoded.
        ellipses: outlines by structure, from the first kind of annotation that can be read.
    """

    def __init__(self, root: Path, files: FocusFiles):
        super().__init__(root)
        self._files = files
        self._measures: dict[str, float] = {}
        self._areas: dict[str, float] = {}
        self.path = (files.paths.get(IMAGES) or files.all_annotations())[0]
        self.file = self.path.relative_to(root).as_posix()
        self.split = FOLDERS[files.folder.name]
        self.image = self._seen()
        masks = self._masks()
        self.ellipses = self._ellipses(masks)
        for structure, inside in masks.items():
            if structure in self.ellipses:
                self._compare(structure, inside)
        self._outlines = {name: borders(inside) for name, inside in masks.items()}
        self._check_anatomy()
        self._check_complete()

    def audited(self) -> AuditedFrame:
        traits = {"split": self.split}
        if self.image:
            traits["size"] = f"{self.image.shape[1]}x{self.image.shape[0]}"
        return AuditedFrame(
            self.file,
            tuple(self.findings),
            traits,
            self._measures,
            image=self.path if self.image else None,
            look=self.image,
            areas_percent=self._areas,
            ellipses=self.ellipses,
            outlines=self._outlines,
        )

    def _seen(self) -> ImageLook | None:
        if not self._files.paths.get(IMAGES):
            self.note("no_image", self._files.without_image(), wrong=True)
            return None
        with self.noting("image"):
            self._files.only(IMAGES)
            return self.look(self.path)
        return None

    def _masks(self) -> dict[str, np.ndarray]:
        """Masks that can be read and fit the image, bool (height, width), by structure."""
        masks = {}
        with self.noting("mask"):
            self._files.check_labels()
        for structure in LABELS:
            with self.noting("mask"):
                path = self._files.mask(structure)
                if path is None:
                    continue
                inside = read_inside(path)
                if self.image:
                    check_mask_size(path, inside.shape[:2], self.image.shape)
                masks[structure] = inside
        return masks

    def _ellipses(self, masks: Mapping[str, np.ndarray]) -> Mapping[str, Ellipse]:
        """Outlines of both structures, or nothing; two text files are held against each other."""
        ellipses: Mapping[str, Ellipse] = {}
        boxed: Mapping[str, Ellipse] = {}
        path = boxes = None
        with self.noting("ellipse"):
            path = self._files.only(ELLIPSES)
            ellipses = read_ellipses(path) if path else {}
        with self.noting("rectangle"):
            boxes = self._files.only(RECTANGLES)
            boxed = read_rectangles(boxes) if boxes else {}
        if path and ellipses and boxed:
            for structure in LABELS:
                gap = gap_px(boxed[structure], ellipses[structure])
                self._measures[f"{structure}_rectangle_gap_px"] = gap
                with self.noting("rectangle_disagrees"):
                    check_agreement(path, structure, ellipses[structure], boxed[structure])
        if ellipses or boxed:
            return ellipses or boxed
        if path is None and boxes is None and any(not self._files.masks.get(s) for s in LABELS):
            self.note("no_annotation", self._files.without_annotation(), wrong=True)
        if len(masks) == len(LABELS):
            with self.noting("mask"):
                return {s: fitted_ellipse(self._files.masks[s][0], masks[s]) for s in LABELS}
        return {}

    def _compare(self, structure: str, inside: np.ndarray) -> None:
        """Hold a mask against its ellipse."""
        ellipse = self.ellipses[structure]
        iou = self._measures[f"{structure}_mask_iou"] = mask_iou(inside, ellipse)
        path = self._files.masks[structure][0]
        problem = disagreement(inside, ellipse)
        if problem:
            self.note("mask_disagrees", f"{path}: {problem}", wrong=True)
        elif (stray := stray_pieces(inside))[0]:
            pieces, area_px = stray
            self.note("fragments", f"{path}: {pieces} further pieces, {area_px} px together")
        elif iou < _CLEAR_IOU:
            self.note("mask_iou", f"{path}: IoU {iou:.2f} with its ellipse, {_CLEAR_IOU} is usual")

    def _check_anatomy(self) -> None:
        """The two outlines against each other and against the image."""
        if not self.ellipses:
            return
        heart, thorax = self.ellipses["heart"], self.ellipses["thorax"]
        if self.image:
            height, width = self.image.shape
            with self.noting("place"):
                check_places(self.path, self.ellipses, self.image.shape)
            for structure, ellipse in self.ellipses.items():
                self._areas[structure] = 100 * ellipse.area / (height * width)
        ctr = self._measures["ctr_diameter_percent"] = 100 * heart.semi_minor / thorax.semi_minor
        low, high = _USUAL_CTR_PERCENT
        if not low <= ctr <= high:
            self.note("unusual_ctr", f"CTR by diameter is {ctr:.0f} %, {low:g} to {high:g} usual")

    def _check_complete(self) -> None:
        """Note the kinds of annotation that the folder has, but this frame has not."""
        files = self._files
        absent = [
            f"{kind}/{files.stem}.txt" for kind in (ELLIPSES, RECTANGLES) if kind not in files.paths
        ]
        absent += [f"{MASKS}/{mask_name(files.stem, s)}" for s in LABELS if s not in files.masks]
        absent = [name for name in absent if (files.folder / name).parent.is_dir()]
        if absent and files.all_annotations():
            self.note("missing_file", f"no {', '.join(absent)} in {files.folder.name}/")
