"""What can be painted on a frame: outlines, borders of masks, fills, calipers and labels.

Places are (x, y) in pixels of the frame, with pixel centres at integers. A line of weight 1 is as
thick as its canvas says.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from fetal_tf.edge.draw.legend import Color
from fetal_tf.edge.draw.lettering import draw_text, text_size
from fetal_tf.edge.draw.picture import Canvas
from fetal_tf.edge.geometry.letterbox import Letterbox
from fetal_tf.edge.measure.fit_doubts import LEVEL

TRUTH: Color = (90, 225, 60)  # what the expert drew, dashed in every picture


@dataclass(frozen=True)
class Outline:
    """A line through points float (N, 2); a dashed one is closed."""

    points: np.ndarray
    color: Color
    weight: int = 1
    dashed: bool = False
    closed: bool = True

    def paint(self, canvas: Canvas) -> None:
        points = canvas.place(self.points)
        if self.dashed:
            canvas.dashes(points, self.color, self.weight)
        else:
            canvas.line(points, self.color, self.weight, self.closed)


@dataclass(frozen=True)
class MaskBorder:
    """The borders of a mask bool (H, W)."""

    mask: np.ndarray
    color: Color
    weight: int = 1
    dashed: bool = False

    def paint(self, canvas: Canvas) -> None:
        canvas.borders(canvas.enlarged(self.mask), self.color, self.weight, self.dashed)


@dataclass(frozen=True)
class MapBorder:
    """The borders of what a map float32 (h, w) of the letterboxed frame holds."""

    probability: np.ndarray
    letterbox: Letterbox
    color: Color

    def paint(self, canvas: Canvas) -> None:
        height, width = canvas.pixels.shape[:2]
        on_canvas = self.letterbox.resized_source(height, width)
        canvas.borders(on_canvas.restore(self.probability) >= LEVEL, self.color)


@dataclass(frozen=True)
class Fill:
    """A mask bool (H, W) filled with a translucent colour."""

    mask: np.ndarray
    color: Color
    opacity: float = 0.4

    def paint(self, canvas: Canvas) -> None:
        inside, share = canvas.enlarged(self.mask), self.opacity
        mixed = (1 - share) * canvas.pixels[inside] + share * np.array(self.color)
        canvas.pixels[inside] = np.rint(mixed).astype(np.uint8)


@dataclass(frozen=True)
class Calipers:
    """A dashed line, which hides little, between crosses at both `ends` (2, 2).

    It looks as on a scanner's screen. Two ends in one place are not drawn.
    """

    ends: np.ndarray
    color: Color
    weight: int = 1

    def paint(self, canvas: Canvas) -> None:
        first, last = canvas.place(self.ends)
        length = float(np.linalg.norm(last - first))
        if length == 0:
            return
        along, thickness = (last - first) / length, self.weight * canvas.thickness
        dash, step = 3.0 * thickness, 9.0 * thickness
        for start in np.arange(step, length - step, step):
            dash_ends = np.array([first + start * along, first + (start + dash) * along])
            canvas.line(dash_ends, self.color, self.weight)
        arms = 6.0 * thickness * np.array([along, [-along[1], along[0]]])
        for end in (first, last):
            for arm in arms:
                canvas.line(np.array([end - arm, end + arm]), self.color, self.weight)


@dataclass(frozen=True)
class Label:
    """A short text above and to the right of a point (2,)."""

    point: np.ndarray
    text: str
    color: Color

    def paint(self, canvas: Canvas) -> None:
        picture, size = Image.fromarray(canvas.pixels), text_size(canvas.pixels.shape[1])
        x, y = canvas.place(self.point)
        pen = ImageDraw.Draw(picture)
        draw_text(pen, (x + 0.6 * size, y - 0.6 * size), self.text, self.color, size)
        canvas.pixels[:] = np.asarray(picture)
