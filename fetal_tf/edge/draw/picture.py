"""The one function that draws a measured frame: `draw(image, layers, legend)`."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import cv2
import numpy as np

from fetal_tf.edge.draw.heatmap import COLORS
from fetal_tf.edge.draw.legend import Color, Entry, legend_strip
from fetal_tf.edge.draw.panels import Panel, arranged, scale_strip

_MIN_WIDTH = 560  # narrower images are enlarged, so that the legend stays readable
_MAX_ENLARGED_PIXELS = 16_000_000  # unless the image itself has more
_SHIFT = 4  # fractional bits of OpenCV's drawing coordinates


@dataclass(frozen=True)
class Canvas:
    """The enlarged frame that layers paint on.

    Attributes:
        pixels: RGB uint8 (zoom * H, zoom * W, 3).
        zoom: whole factor from the frame to the canvas.
        thickness: of a line of weight 1, px. It grows with the picture, so that lines survive when
            the picture is shrunk.
        colors: of all lines that were painted.
    """

    pixels: np.ndarray
    zoom: int = 1
    thickness: int = 1
    colors: set[Color] = field(default_factory=set)

    def place(self, points: np.ndarray) -> np.ndarray:
        """Points (N, 2), (x, y) with pixel centres at integers, from the frame to the canvas."""
        return (points + 0.5) * self.zoom - 0.5

    def enlarged(self, mask: np.ndarray) -> np.ndarray:
        """Mask bool (H, W) of the frame to bool (zoom * H, zoom * W), with smooth borders."""
        if self.zoom == 1:
            return mask
        size = (mask.shape[1] * self.zoom, mask.shape[0] * self.zoom)
        return cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_LINEAR) >= 0.5

    def line(self, points: np.ndarray, color: Color, weight: int = 1, closed: bool = False) -> None:
        """Draw a line through points (N, 2) of the canvas, to a sixteenth of a pixel."""
        fixed = np.rint(points * (1 << _SHIFT)).astype(np.int32)
        thickness = weight * self.thickness
        cv2.polylines(self.pixels, [fixed], closed, color, thickness, cv2.LINE_AA, _SHIFT)
        self.colors.add(color)

    def dashes(self, points: np.ndarray, color: Color, weight: int = 1) -> None:
        """Draw a closed outline (N, 2) as at least four dashes, about as long as their gaps."""
        closed = np.concatenate([points, points[:1]])
        along = np.concatenate([[0.0], np.hypot(*np.diff(closed, axis=0).T).cumsum()])
        dashes = max(4, round(along[-1] / (10 * weight * self.thickness)))
        # Six pieces of a dash, so that it follows the curve, and ten of a gap: the round ends of
        # the dashes fill four of them.
        at = np.linspace(0, along[-1], 16 * dashes + 1)
        x, y = (np.interp(at, along, closed[:, axis]) for axis in (0, 1))
        for start in range(0, 16 * dashes, 16):
            self.line(np.column_stack([x, y])[start : start + 7], color, weight)

    def borders(
        self, inside: np.ndarray, color: Color, weight: int = 1, dashed: bool = False
    ) -> None:
        """Draw all borders of a mask bool (zoom * H, zoom * W), those of its holes too."""
        contours, _ = cv2.findContours(
            inside.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
        )
        for contour in contours:
            points = contour[:, 0].astype(np.float64)
            if dashed:
                self.dashes(points, color, weight)
            else:
                self.line(points, color, weight, closed=True)


class Layer(Protocol):
    """Something to paint on a frame; `fetal_tf.edge.draw.layers` holds the common ones."""

    def paint(self, canvas: Canvas) -> None:
        """Paint on the canvas, over what is there already."""
        ...


@dataclass(frozen=True)
class Maps:
    """Small pictures below or beside the frame, such as heatmaps.

    Attributes:
        title: of the frame itself.
        panels: the small pictures.
        scale: text before the bar of the heatmaps' colours, which stands below them.
        min_width: narrower frames are enlarged, so that the small pictures stay readable, px.
    """

    title: str
    panels: Sequence[Panel]
    scale: str
    min_width: int = 720


def draw(
    image: np.ndarray,
    layers: Iterable[Layer],
    legend: Iterable[Entry] | None = None,
    maps: Maps | None = None,
) -> np.ndarray:
    """Paint layers over a frame and set a legend below it, so that no number hides anatomy.

    Example:
        draw(image, [Outline(ellipse.points(), BLUE)], [Entry("HC 172.3 mm", BLUE)])

    Args:
        image: the original frame, uint8 (H, W). It is not changed.
        layers: painted in this order, places in pixels of the frame.
        legend: its entries in reading order. None = no strip.
        maps: small pictures to set around the frame.

    Returns:
        RGB uint8 (H', W', 3). Images narrower than 560 px (with `maps`: their `min_width`) are
        enlarged by a whole factor first, up to 16 million pixels.
    """
    canvas = _canvas(image, maps)
    for layer in layers:
        layer.paint(canvas)
    parts = [canvas.pixels]
    if maps is not None:
        parts = [arranged(Panel(maps.title, canvas.pixels), maps.panels)]
        if maps.panels:
            parts.append(scale_strip(parts[0].shape[1], COLORS, maps.scale))
    if legend is not None:
        shown = [entry for entry in legend if not entry.if_drawn or entry.swatch in canvas.colors]
        parts.append(legend_strip(parts[0].shape[1], shown))
    return np.concatenate(parts)


def _canvas(image: np.ndarray, maps: Maps | None) -> Canvas:
    height, width = image.shape
    wanted = -(-(maps.min_width if maps else _MIN_WIDTH) // width)
    zoom = max(1, min(wanted, math.isqrt(_MAX_ENLARGED_PIXELS // (height * width))))
    pixels = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    if zoom > 1:
        size = (width * zoom, height * zoom)
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR)
    # With maps by the longer side: a portrait's picture has the small ones beside it.
    thickness = zoom * max(height, width) / 700 if maps else zoom * width / 900
    return Canvas(pixels, zoom, max(1, round(thickness)))
