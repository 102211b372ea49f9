"""FOCUS's masks: join the two of an image to an index image, compare and fit ellipses."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fetal_tf.data.readers.focus_annotations import turned
from fetal_tf.edge.errors import DataError
from fetal_tf.edge.geometry.contours import sub_pixel_contour
from fetal_tf.edge.geometry.ellipse import Ellipse, rasterise
from fetal_tf.edge.geometry.ellipse_fit import fit_ellipse
from fetal_tf.edge.io.images import read_mask

LABELS = ("thorax", "heart")
MIN_IOU = 0.9  # of a mask and its ellipse; of 500 real pairs none is below 0.973
# Measured on FOCUS (500 masks): a mask's border lies 0.39 px (sd 0.21) outside its ellipse, for the
# pixels that the outline runs through were filled too.
MASK_BORDER_PX = 0.4


def load_nested_mask(
    id: str, shape: tuple[int, int], ellipses: Mapping[str, Ellipse], masks: Mapping[str, Path]
) -> np.ndarray:
    """Index image of both structures, uint8 (height, width): 0 outside, 1 thorax, 2 heart.

    The index image is drawn from the ellipses. Mask files are only compared with them: a mask's
    border lies `MASK_BORDER_PX` further out, which is 0.4 % of Dice for a heart.

    Args:
        id: the frame, for the way out of an error.
        shape: (height, width) of its image.
        ellipses: outlines by structure, px.
        masks: mask files by structure, where there are any.

    Raises:
        ImageError: a file cannot be decoded.
        DataError: a mask is empty, or overlaps with its ellipse by less than IoU 0.9.
    """
    index = np.zeros(shape, np.uint8)
    for value, structure in enumerate(LABELS, start=1):
        index[rasterise(ellipses[structure], shape)] = value
    for structure, path in masks.items():
        try:
            problem = disagreement(read_inside(path), ellipses[structure])
        except DataError as error:
            raise DataError(f"{error}. {_way_out(id)}") from error
        if problem:
            raise DataError(f"{path}: {problem}. {_way_out(id)}")
    return index


def _way_out(id: str) -> str:
    return f"Correct the annotation, or leave the frame out with `data.exclude: [{id}]`."


def read_inside(path: Path) -> np.ndarray:
    """Read the inside of a mask file, bool (height, width).

    Raises:
        ImageError: it cannot be decoded.
        DataError: it fills nothing.
    """
    mask = read_mask(path)
    if not mask.any():
        raise DataError(f"{path}: the mask is empty, a filled outline is expected")
    return mask > mask.max() // 2


def fitted_ellipse(path: Path, inside: np.ndarray) -> Ellipse:
    """The ellipse that a mask was filled from, px; on real masks within 1.4 px of the annotation.

    Args:
        path: the mask's file, for the message.
        inside: what it fills, bool (height, width), as `read_inside` gives it.

    Raises:
        DataError: no ellipse has IoU 0.9 with the mask.
    """
    if inside.all():
        raise DataError(f"{path}: the mask fills the whole image, a filled outline is expected")
    try:
        ellipse = fit_ellipse(sub_pixel_contour(inside)).shrunk(MASK_BORDER_PX)
    except ValueError as error:
        raise DataError(f"{path}: no ellipse can be fitted to the mask: {error}") from error
    iou = mask_iou(inside, ellipse)
    if iou < MIN_IOU:
        raise DataError(
            f"{path}: not an ellipse: the best one has IoU {iou:.2f} with the mask, at least "
            f"{MIN_IOU} is expected"
        )
    return ellipse


def mask_iou(inside: np.ndarray, ellipse: Ellipse) -> float:
    """Intersection over union of a mask, bool (height, width), and an ellipse in its pixels."""
    drawn = rasterise(ellipse, inside.shape)
    return float((inside & drawn).sum() / max(1, (inside | drawn).sum()))


def disagreement(inside: np.ndarray, ellipse: Ellipse) -> str | None:
    """How a mask, bool (height, width), and its ellipse differ; None if they agree."""
    iou = mask_iou(inside, ellipse)
    if iou >= MIN_IOU:
        return None
    found = f"IoU {iou:.2f} with its ellipse, at least {MIN_IOU} is expected"
    across = mask_iou(inside, turned(ellipse))
    if across >= MIN_IOU:
        return f"{found} (its semi-axes look swapped: IoU {across:.2f} with b before a)"
    return found
