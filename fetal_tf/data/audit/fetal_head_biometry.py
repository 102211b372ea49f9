"""Fetal head biometry under audit: every frame and coloured mask decoded, and the pixel sizes."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from fetal_tf.data.audit.audit import Audit, Extremes, audit_images
from fetal_tf.data.audit.frame import AuditedFrame, Notes, borders, stray_pieces
from fetal_tf.data.audit.head_size import check_head_size, check_within_groups, read_pixel_size
from fetal_tf.data.audit.registry import AUDITS
from fetal_tf.data.readers.color_mask import color_labels, decode_rgb
from fetal_tf.data.readers.fetal_head_biometry import PALETTE, STRUCTURES
from fetal_tf.data.readers.mask_sources import MASK_FOLDER, MaskSource
from fetal_tf.data.readers.trans_thalamic import PIXEL_SIZE_COLUMN, PlaneFiles, list_files
from fetal_tf.edge.geometry.contours import fit_mask_ellipse

_BRAIN = "brain"
# An ellipse fits the brain's outline this well in all but odd masks (intersection over union).
_CLEAR_IOU = 0.9
_EXTREMES: Extremes = {"brain_iou": "lowest", "hc_mm": "highest"}


@AUDITS.register("fetal_head_biometry")
def audit_fetal_head_biometry(root: Path) -> Audit:
    """Look at every trans-thalamic frame below `root`; what is broken stops nothing.

    Raises:
        DataError: a folder, all images, all masks or a column of a table are missing, or an archive
            of masks is damaged or hostile.
    """
    root = Path(root)
    files = list_files(root)
    ids = sorted(files.images.keys() | files.masks.keys())
    bar = tqdm(ids, "audit fetal_head_biometry", unit="frame", disable=None, leave=False)
    frames = [_Frame(root, files, id).audited() for id in bar]
    return audit_images(check_within_groups(frames), _EXTREMES)


class _Frame(Notes):
    """One frame, looked at check by check."""

    def __init__(self, root: Path, files: PlaneFiles, id: str):
        super().__init__(root)
        self._files, self._id = files, id
        self._measures: dict[str, float] = {}
        self._areas: dict[str, float] = {}
        self._outlines: dict[str, list[np.ndarray]] = {}
        images = files.images.get(id, [])
        self._path = images[0] if images else files.folder / f"{id}.png"
        if len(images) > 1:
            names = ", ".join(path.name for path in images)
            self.note("two_images", f"{names}: one file is expected", wrong=True)
        if not images:
            masks = ", ".join(map(str, files.masks[id]))
            self.note("no_image", f"{self._path}: missing, there is {masks}", wrong=True)
        self._look = self.look(self._path) if images else None
        self._patient = re.match(r"(Patient\d+)_", id)
        if not self._patient:
            self.note("no_patient", f"{self._path}: no patient number in its name", wrong=True)
        perimeter_px = self._check_mask(files.masks.get(id, []))
        self._check_size(perimeter_px)

    def audited(self) -> AuditedFrame:
        known = "known" if "mm_per_pixel" in self._measures else "unknown"
        return AuditedFrame(
            self._path.relative_to(self._root).as_posix(),
            tuple(self.findings),
            traits={"pixel_size": known},
            measures=self._measures,
            image=self._path if self._look else None,
            look=self._look,
            group=self._patient[1] if self._patient else None,
            areas_percent=self._areas,
            outlines=self._outlines,
        )

    def _check_mask(self, masks: Sequence[MaskSource]) -> float | None:
        """Look at the mask; the perimeter of the brain's ellipse, px, where it has one."""
        if not masks:
            where = f"no mask of this name in any {MASK_FOLDER}/"
            self.note("no_mask", f"{self._path}: {where}", wrong=True)
            return None
        with self.noting("mask"):
            contents = [mask.read() for mask in masks]
            if len(set(contents)) > 1:
                places = ", ".join(map(str, masks))
                self.note("two_masks", f"{places}: masks that differ", wrong=True)
            if self._look:
                rgb = decode_rgb(contents[0], str(masks[0]), self._look.shape)
                return self._check_labels(str(masks[0]), rgb)
        return None

    def _check_labels(self, place: str, rgb: np.ndarray) -> float | None:
        """Look at a decoded mask, uint8 [H, W, 3]."""
        found = color_labels(rgb, PALETTE)
        if found.foreign:
            color, count = next(iter(found.foreign.items()))
            self.note(
                "foreign_colors",
                f"{place}: {found.foreign_px} of {found.labels.size} pixels have a colour outside "
                f"the palette, {count} of them {color}",
                wrong=True,
            )
        if not found.labels.any():
            self.note("empty_mask", f"{place}: all pixels are background", wrong=True)
            return None
        for index, name in enumerate(PALETTE):
            inside = found.labels == index
            if index and inside.any():
                self._areas[name] = 100 * float(inside.mean())
                self._outlines[name] = borders(inside)
        if _BRAIN not in self._areas:
            self.note("no_brain", f"{place}: structures, but no brain around them", wrong=True)
            return None
        for name, inside in (("brain", found.labels > 0), *self._structures(found.labels)):
            pieces, area_px = stray_pieces(inside)
            # The two lateral ventricles may both be seen.
            if pieces > (name == "lv"):
                sentence = f"{place}: {name} has {pieces} further pieces, {area_px} px together"
                self.note("fragments", sentence)
        return self._check_outline(place, found.labels > 0)

    def _structures(self, labels: np.ndarray) -> list[tuple[str, np.ndarray]]:
        names = list(PALETTE)
        return [(s, labels == names.index(s)) for s in STRUCTURES if s in self._areas]

    def _check_outline(self, place: str, inside: np.ndarray) -> float | None:
        """Hold the brain, with all that lies in it, against an ellipse."""
        fit = fit_mask_ellipse(inside.astype(np.float32))
        if fit is None:
            self.note("not_an_ellipse", f"{place}: no ellipse fits the brain's outline")
            return None
        self._measures["brain_iou"] = fit.iou
        if fit.iou < _CLEAR_IOU:
            self.note(
                "not_an_ellipse",
                f"{place}: the brain's best ellipse has IoU {fit.iou:.2f} with it, {_CLEAR_IOU:g} "
                "is usual",
            )
        return fit.ellipse.perimeter

    def _check_size(self, perimeter_px: float | None) -> None:
        """The pixel size, alone and against the brain's outline."""
        rows = self._files.sizes.get(self._id, [])
        if len({row.text(PIXEL_SIZE_COLUMN) for row in rows}) > 1:
            said = ", ".join(f"{row.place}: {row.text(PIXEL_SIZE_COLUMN)}" for row in rows)
            self.note("two_pixel_sizes", said, wrong=True)
        if not rows:
            self.note("no_pixel_size", "no pixel size: measured in pixels, not in mm")
            return
        mm_per_pixel = read_pixel_size(self, rows[0], PIXEL_SIZE_COLUMN)
        if mm_per_pixel is not None:
            self._measures["mm_per_pixel"] = mm_per_pixel
            if perimeter_px is not None:
                hc_mm = self._measures["hc_mm"] = perimeter_px * mm_per_pixel
                check_head_size(self, hc_mm)
