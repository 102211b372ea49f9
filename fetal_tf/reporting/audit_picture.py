"""A frame under audit as a picture: what is labelled there, named in a strip below."""

from collections.abc import Iterator

import numpy as np

from fetal_tf.data.audit.frame import AuditedFrame
from fetal_tf.data.audit.landmarks import USUAL_SHAPE
from fetal_tf.edge.draw.head_overlay import BPD, ELLIPSE, MASK, OFD
from fetal_tf.edge.draw.landmark_overlay import AXIS_COLORS, axis_calipers
from fetal_tf.edge.draw.layers import TRUTH, Label, Outline
from fetal_tf.edge.draw.legend import Color, Entry
from fetal_tf.edge.draw.picture import Layer, draw
from fetal_tf.edge.geometry.landmarks import AXES
from fetal_tf.edge.io.images import read_gray

_OUTLINE_COLORS: tuple[Color, ...] = (MASK, ELLIPSE, BPD, OFD)


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
    layers: list[Layer] = [
        Outline(outline, color)
        for outlines, color in zip(frame.outlines.values(), _OUTLINE_COLORS, strict=False)
        for outline in outlines
    ]
    layers += [Outline(e.points(480), TRUTH, 2, dashed=True) for e in frame.ellipses.values()]
    if axes is not None:
        layers += axis_calipers(axes)
        for axis, ends in AXES.items():
            for number, end in enumerate(axes[ends], start=1):
                layers.append(Label(end, str(number), AXIS_COLORS[axis]))
    return draw(image, layers, _entries(frame, axes))


def _entries(frame: AuditedFrame, axes: np.ndarray | None) -> Iterator[Entry]:
    if axes is not None:
        for axis, ends in AXES.items():
            length_px = float(np.linalg.norm(np.diff(axes[ends], axis=0)))
            yield Entry(f"labelled {axis.upper()}, {length_px:.0f} px", AXIS_COLORS[axis])
    for name, color in zip(frame.outlines, _OUTLINE_COLORS, strict=False):
        yield Entry(f"mask: {name}", color)
    if frame.ellipses:
        yield Entry(f"ellipse: {', '.join(frame.ellipses)}", TRUTH)
    if frame.image is None:
        yield Entry("no image")
