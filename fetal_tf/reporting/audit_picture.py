"""A frame under audit as a picture: what is labelled there, named in a strip below."""

from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageDraw

from fetal_tf.data.audit.frame import AuditedFrame
from fetal_tf.data.audit.landmark_row import USUAL_SHAPE
from fetal_tf.edge.draw.head_overlay import BPD, ELLIPSE, MASK, OFD
from fetal_tf.edge.draw.legend import Color, Entry, legend_strip
from fetal_tf.edge.draw.lettering import draw_text, text_size
from fetal_tf.edge.draw.lines import (
    TRUTH,
    caliper_line,
    dashed_outline,
    enlarged,
    line_thickness,
    polyline,
    whole_zoom,
    zoomed,
)
from fetal_tf.edge.geometry.landmarks import AXES
from fetal_tf.edge.io.images import read_gray

_AXIS_COLORS: dict[str, Color] = {"ofd": OFD, "bpd": BPD}
_OUTLINE_COLORS: tuple[Color, ...] = (MASK, ELLIPSE, BPD, OFD)
_MIN_WIDTH = 560  # narrower images are enlarged, so that the strip stays readable


def draw_frame(frame: AuditedFrame) -> np.ndarray | None:
    """Draw masks' borders, annotated ellipses (dashed) and labelled axes with numbered ends.

    Returns:
        RGB uint8 (H, W, 3), a legend below the image; black where labels have no image, None where
        there is neither.

    Raises:
        ImageError: the image cannot be read any more.
    """
    axes = None if frame.axes is None or not np.isfinite(frame.axes).all() else frame.axes
    if frame.image is None and axes is None:
        return None
    image = read_gray(frame.image) if frame.image else np.zeros(USUAL_SHAPE, np.uint8)
    zoom = whole_zoom(image, _MIN_WIDTH)
    canvas = enlarged(image, zoom)
    thickness = line_thickness(canvas)
    for (_, outlines), color in zip(frame.outlines.items(), _OUTLINE_COLORS, strict=False):
        for outline in outlines:
            polyline(canvas, zoomed(outline, zoom), color, thickness)
    for ellipse in frame.ellipses.values():
        dashed_outline(canvas, zoomed(ellipse.points(480), zoom), TRUTH, 2 * thickness)
    if axes is not None:
        canvas = _with_axes(canvas, zoomed(axes, zoom), 2 * thickness)
    return np.concatenate([canvas, legend_strip(canvas.shape[1], _entries(frame, axes))])


def _with_axes(canvas: np.ndarray, points: np.ndarray, thickness: int) -> np.ndarray:
    for axis, ends in AXES.items():
        first, last = points[ends]
        if not np.array_equal(first, last):
            caliper_line(canvas, first, last, _AXIS_COLORS[axis], thickness)
    picture = Image.fromarray(canvas)
    pen, size = ImageDraw.Draw(picture), text_size(canvas.shape[1])
    for axis, ends in AXES.items():
        for number, (x, y) in enumerate(points[ends], start=1):
            draw_text(pen, (x + 0.6 * size, y - 0.6 * size), str(number), _AXIS_COLORS[axis], size)
    return np.array(picture)


def _entries(frame: AuditedFrame, axes: np.ndarray | None) -> Iterator[Entry]:
    if axes is not None:
        for axis, ends in AXES.items():
            length_px = float(np.linalg.norm(np.diff(axes[ends], axis=0)))
            yield Entry(f"labelled {axis.upper()}, {length_px:.0f} px", _AXIS_COLORS[axis])
    for name, color in zip(frame.outlines, _OUTLINE_COLORS, strict=False):
        yield Entry(f"mask: {name}", color)
    if frame.ellipses:
        yield Entry(f"ellipse: {', '.join(frame.ellipses)}", TRUTH)
    if frame.image is None:
        yield Entry("no image")
