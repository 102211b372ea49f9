"""The audit of fetal head biometry: every frame and coloured mask is decoded, and pixel sizes."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from fetal_tf.data.audit.audit import AUDITS, Audit, Extremes, audit_frames
from fetal_tf.data.audit.checks import (
    borders,
    check_head_size,
    check_image,
    check_pixel_size,
    stray_pieces,
)
from fetal_tf.data.audit.frame import AuditedFrame, Check, Finding
from fetal_tf.data.audit.shelf import check_turned
from fetal_tf.data.readers.color_mask import color_labels, decode_rgb
from fetal_tf.data.readers.fetal_head_biometry import PALETTE, STRUCTURES
from fetal_tf.data.readers.mask_sources import MASK_FOLDER
from fetal_tf.data.readers.trans_thalamic import PIXEL_SIZE_COLUMN, PlaneFiles, list_files
from fetal_tf.edge.geometry.contours import fit_mask_ellipse

# An ellipse fits the brain's outline this well in all but odd masks (intersection over union).
_CLEAR_IOU = 0.9
_EXTREMES: Extremes = {"brain_iou": "lowest", "hc_mm": "highest"}


@AUDITS.register("fetal_head_biometry")
def audit_fetal_head_biometry(
    root: Path, *, exclude: Sequence[str] = (), tolerant: bool = False
) -> Audit:
    """Check every trans-thalamic frame below `root`; faults are findings and stop nothing.

    Args:
        root: the folder that holds `Trans-thalamic/`.
        exclude: ids of frames to pass over.
        tolerant: as of the reader: a foreign colour in a mask makes it suspect, not wrong.

    Raises:
        DataError: a folder, all images, all masks or a column of a table are missing, or an archive
            of masks is damaged or hostile.
    """
    root = Path(root)
    files = list_files(root)
    frames = []
    for id in sorted(files.images.keys() | files.masks.keys()):
        image = next(iter(files.images.get(id, ())), None)
        file = (image or files.folder / f"{id}.png").relative_to(root).as_posix()
        patient = re.match(r"(Patient\d+)_", id)
        frames.append((AuditedFrame(file, id=id, image=image, group=patient and patient[1]), files))
    whole = [partial(check_turned, net="hc18", structures={"brain": "head"})]
    audit = audit_frames(
        "fetal_head_biometry", root, frames, _CHECKS, _EXTREMES, whole=whole, exclude=exclude
    )
    for frame in audit.frames if tolerant else ():
        frame.findings = tuple(
            replace(finding, wrong=finding.wrong and finding.code != "foreign_colors")
            for finding in frame.findings
        )
    return audit


def _check_image_files(frame: AuditedFrame, files: PlaneFiles) -> Iterator[Finding]:
    images = files.images.get(frame.id, [])
    if len(images) > 1:
        names = ", ".join(path.name for path in images)
        yield Finding("two_images", f"{names}: one file is expected", wrong=True)
    if not images:
        masks = ", ".join(map(str, files.masks[frame.id]))
        yield Finding("no_image", f"{frame.file}: missing, there is {masks}", wrong=True)


def _check_patient(frame: AuditedFrame, files: PlaneFiles) -> Iterator[Finding]:
    if frame.group is None:
        yield Finding("no_patient", f"{frame.file}: no patient number in its name", wrong=True)


def _check_mask(frame: AuditedFrame, files: PlaneFiles) -> Iterator[Finding]:
    masks = files.masks.get(frame.id, [])
    if not masks:
        where = f"no mask of this name in any {MASK_FOLDER}/"
        yield Finding("no_mask", f"{frame.file}: {where}", wrong=True)
        return
    contents = [mask.read() for mask in masks]
    if len(set(contents)) > 1:
        places = ", ".join(map(str, masks))
        yield Finding("two_masks", f"{places}: masks that differ", wrong=True)
    if frame.look:
        rgb = decode_rgb(contents[0], str(masks[0]), frame.look.shape)
        yield from _check_labels(frame, str(masks[0]), rgb)


def _check_labels(frame: AuditedFrame, place: str, rgb: np.ndarray) -> Iterator[Finding]:
    """Judge a decoded mask, uint8 [H, W, 3]."""
    found = color_labels(rgb, PALETTE)
    if found.foreign:
        color, count = next(iter(found.foreign.items()))
        yield Finding(
            "foreign_colors",
            f"{place}: {found.foreign_px} of {found.labels.size} pixels have a colour outside "
            f"the palette, {count} of them {color}",
            wrong=True,
        )
    if not found.labels.any():
        yield Finding("empty_mask", f"{place}: all pixels are background", wrong=True)
        return
    shown = {name: found.labels == index for index, name in enumerate(PALETTE) if index}
    shown = {name: inside for name, inside in shown.items() if inside.any()}
    for name, inside in shown.items():
        frame.areas_percent[name] = 100 * float(inside.mean())
        frame.outlines[name] = borders(inside)
    if "brain" not in shown:
        yield Finding("no_brain", f"{place}: structures, but no brain around them", wrong=True)
        return
    brain = shown["brain"] = found.labels > 0  # with all that lies in it
    for name in ("brain", *STRUCTURES):
        pieces, area_px = stray_pieces(shown[name]) if name in shown else (0, 0)
        # The two lateral ventricles may both be seen.
        if pieces > (name == "lv"):
            sentence = f"{place}: {name} has {pieces} further pieces, {area_px} px together"
            yield Finding("fragments", sentence)
    fit = fit_mask_ellipse(brain.astype(np.float32))
    if fit is None:
        yield Finding("not_an_ellipse", f"{place}: no ellipse fits the brain's outline")
        return
    frame.measures["brain_iou"], frame.perimeter_px = fit.iou, fit.ellipse.perimeter
    frame.ellipses = {"brain": fit.ellipse}
    if fit.iou < _CLEAR_IOU:
        yield Finding(
            "not_an_ellipse",
            f"{place}: the brain's best ellipse has IoU {fit.iou:.2f} with it, {_CLEAR_IOU:g} "
            "is usual",
        )


def _check_pixel_size(frame: AuditedFrame, files: PlaneFiles) -> Iterator[Finding]:
    rows = files.sizes.get(frame.id, [])
    frame.traits["pixel_size"] = "unknown"
    if len({row.text(PIXEL_SIZE_COLUMN) for row in rows}) > 1:
        said = ", ".join(f"{row.place}: {row.text(PIXEL_SIZE_COLUMN)}" for row in rows)
        yield Finding("two_pixel_sizes", said, wrong=True)
    if not rows:
        yield Finding("no_pixel_size", "no pixel size: measured in pixels, not in mm")
        return
    yield from check_pixel_size(frame, rows[0], PIXEL_SIZE_COLUMN)
    if "mm_per_pixel" in frame.measures:
        frame.traits["pixel_size"] = "known"


_CHECKS: tuple[Check[PlaneFiles], ...] = (
    ("two_images", _check_image_files),
    ("image", check_image),
    ("no_patient", _check_patient),
    ("mask", _check_mask),
    ("pixel_size", _check_pixel_size),
    ("head_size", check_head_size),
)
