"""The audit of FOCUS: every file is decoded, and the kinds of annotation are compared."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from fetal_tf.data.audit.audit import AUDITS, Audit, Extremes, WholeCheck, audit_frames
from fetal_tf.data.audit.checks import borders, check_image, check_pieces
from fetal_tf.data.audit.frame import AuditedFrame, Check, Finding
from fetal_tf.data.audit.shelf import check_turned
from fetal_tf.data.readers.focus import written_ellipses
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
    check_angles,
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
from fetal_tf.data.readers.frames import check_mask_size
from fetal_tf.edge.errors import DataError
from fetal_tf.edge.geometry.ellipse import Ellipse

# In FOCUS' 250 training and validation frames no IoU is below 0.973, and CTR is 35 to 58 %.
_CLEAR_IOU = 0.95
_USUAL_CTR_PERCENT = (25.0, 70.0)
_EXTREMES: Extremes = {
    "heart_mask_iou": "lowest",
    "thorax_mask_iou": "lowest",
    "ctr_diameter_percent": "highest",
}


@dataclass
class _Annotations:
    """The files of one frame, and what the first checks read from them for the later ones.

    Attributes:
        masks: bool (height, width) by structure, those that can be read and fit the image.
        ellipses, boxed: of the ellipse file and of the rectangle file, by structure.
    """

    files: FocusFiles
    masks: dict[str, np.ndarray] = field(default_factory=dict)
    ellipses: Mapping[str, Ellipse] = field(default_factory=dict)
    boxed: Mapping[str, Ellipse] = field(default_factory=dict)


@AUDITS.register("focus")
def audit_focus(root: Path, *, exclude: Sequence[str] = ()) -> Audit:
    """Check every frame below `root`; faults are findings and stop nothing.

    Args:
        root: the folder that holds training/, validation/, testing/, or some of them.
        exclude: ids of frames to pass over.

    Raises:
        DataError: `root` holds none of the official folders, or one of them no images.
    """
    root = Path(root)
    listed, frames = list_focus(root), []
    for id, files in sorted(listed.items()):
        images = files.paths.get(IMAGES, [])
        path = (images or files.all_annotations())[0]
        frame = AuditedFrame(
            path.relative_to(root).as_posix(),
            id=id,
            traits={"split": FOLDERS[files.folder.name]},
            image=path if len(images) == 1 else None,
        )
        frames.append((frame, _Annotations(files)))
    whole: list[WholeCheck] = [
        partial(_check_angles, written=list(written_ellipses(listed.values()))),
        partial(check_turned, net="focus", structures={s: s for s in LABELS}),
    ]
    return audit_frames("focus", root, frames, _CHECKS, _EXTREMES, whole=whole, exclude=exclude)


def _check_image(frame: AuditedFrame, found: _Annotations) -> Iterator[Finding]:
    if found.files.only(IMAGES) is None:
        yield Finding("no_image", found.files.without_image(), wrong=True)
    yield from check_image(frame, found)
    if frame.look:
        frame.traits["size"] = f"{frame.look.shape[1]}x{frame.look.shape[0]}"


def _check_labels(frame: AuditedFrame, found: _Annotations) -> None:
    found.files.check_labels()


def _check_mask(frame: AuditedFrame, found: _Annotations, structure: str) -> None:
    path = found.files.mask(structure)
    if path is not None:
        inside = read_inside(path)
        if frame.look:
            check_mask_size(path, inside.shape[:2], frame.look.shape)
        found.masks[structure], frame.outlines[structure] = inside, borders(inside)


def _check_ellipses(frame: AuditedFrame, found: _Annotations) -> None:
    if path := found.files.only(ELLIPSES):
        frame.ellipses = found.ellipses = read_ellipses(path)


def _check_rectangles(frame: AuditedFrame, found: _Annotations) -> None:
    if path := found.files.only(RECTANGLES):
        found.boxed = read_rectangles(path)
        frame.ellipses = found.ellipses or found.boxed


def _check_agreement(frame: AuditedFrame, found: _Annotations, structure: str) -> None:
    """Compare both text files."""
    if found.ellipses and found.boxed:
        boxed, ellipse = found.boxed[structure], found.ellipses[structure]
        frame.measures[f"{structure}_rectangle_gap_px"] = gap_px(boxed, ellipse)
        check_agreement(found.files.paths[ELLIPSES][0], structure, ellipse, boxed)


def _check_annotated(frame: AuditedFrame, found: _Annotations) -> Iterator[Finding]:
    """Without a text file that can be read, fit the outlines to the masks."""
    if frame.ellipses:
        return
    files = found.files
    texts = [kind for kind in (ELLIPSES, RECTANGLES) if len(files.paths.get(kind, ())) == 1]
    if not texts and any(not files.masks.get(s) for s in LABELS):
        yield Finding("no_annotation", files.without_annotation(), wrong=True)
    if len(found.masks) == len(LABELS):
        frame.ellipses = {s: fitted_ellipse(files.masks[s][0], found.masks[s]) for s in LABELS}


def _compare_masks(frame: AuditedFrame, found: _Annotations) -> Iterator[Finding]:
    for structure, inside in found.masks.items() if frame.ellipses else ():
        ellipse, path = frame.ellipses[structure], found.files.masks[structure][0]
        iou = frame.measures[f"{structure}_mask_iou"] = mask_iou(inside, ellipse)
        if problem := disagreement(inside, ellipse):
            yield Finding("mask_disagrees", f"{path}: {problem}", wrong=True)
        elif fragments := list(check_pieces(path, inside)):
            yield from fragments
        elif iou < _CLEAR_IOU:
            sentence = f"{path}: IoU {iou:.2f} with its ellipse, {_CLEAR_IOU} is usual"
            yield Finding("mask_iou", sentence)


def _check_places(frame: AuditedFrame, found: _Annotations) -> None:
    if frame.ellipses and frame.image and frame.look:
        height, width = frame.look.shape
        for structure, ellipse in frame.ellipses.items():
            frame.areas_percent[structure] = 100 * ellipse.area / (height * width)
        check_places(frame.image, frame.ellipses, frame.look.shape)


def _check_angles(frames: Sequence[AuditedFrame], written: Iterable[Ellipse]) -> None:
    """Add a finding to every frame where all angles that are written look like radians."""
    try:
        check_angles(ELLIPSES, written)
    except DataError as error:
        for frame in frames:
            frame.findings += (Finding("radians", str(error), wrong=True),)


def _check_ctr(frame: AuditedFrame, found: _Annotations) -> Iterator[Finding]:
    if frame.ellipses:
        ctr = 100 * frame.ellipses["heart"].semi_minor / frame.ellipses["thorax"].semi_minor
        frame.measures["ctr_diameter_percent"] = ctr
        low, high = _USUAL_CTR_PERCENT
        if not low <= ctr <= high:
            sentence = f"CTR by diameter is {ctr:.0f} %, {low:g} to {high:g} usual"
            yield Finding("unusual_ctr", sentence)


def _check_complete(frame: AuditedFrame, found: _Annotations) -> Iterator[Finding]:
    """Note the kinds of annotation that the folder has, but this frame has not."""
    files = found.files
    absent = [
        f"{kind}/{files.stem}.txt" for kind in (ELLIPSES, RECTANGLES) if kind not in files.paths
    ]
    absent += [f"{MASKS}/{mask_name(files.stem, s)}" for s in LABELS if s not in files.masks]
    absent = [name for name in absent if (files.folder / name).parent.is_dir()]
    if absent and files.all_annotations():
        yield Finding("missing_file", f"no {', '.join(absent)} in {files.folder.name}/")


_CHECKS: tuple[Check[_Annotations], ...] = (
    ("image", _check_image),
    ("mask", _check_labels),
    *(("mask", partial(_check_mask, structure=structure)) for structure in LABELS),
    ("ellipse", _check_ellipses),
    ("rectangle", _check_rectangles),
    *(("rectangle_disagrees", partial(_check_agreement, structure=s)) for s in LABELS),
    ("mask", _check_annotated),
    ("mask_disagrees", _compare_masks),
    ("place", _check_places),
    ("unusual_ctr", _check_ctr),
    ("missing_file", _check_complete),
)
