"""Finds the ultrasound region of a frame that fills little of a screen."""

from dataclasses import dataclass

import cv2
import numpy as np

# How many cells wide a gap may be inside a picture, and below which share of the frame a picture is
# cut out. Shadows can split a picture: with narrow gaps only a small one is.
_SEARCHES = ((25, 0.7), (9, 0.45))
_CELLS = 128  # along the longer side
_CONTRAST = 1  # gray levels, of a cell's mean, beyond which it differs from the surround
_THICK = np.ones((2, 2), np.uint8)  # narrower lines, as a window's edge or a ruler, are no picture
_STRAIGHT = 0.6  # share of a side along which a picture ends that is cut there
_MARGIN = 0.08  # of a part's size, where it is not


@dataclass(frozen=True)
class Region:
    """A rectangle of whole pixels in a frame, px."""

    top: int
    left: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Its rows and columns."""
        return (
            slice(self.top, self.top + self.height),
            slice(self.left, self.left + self.width),
        )

    def scaled(self, scale_y: float, scale_x: float) -> "Region":
        """The region in the same frame, resized."""
        top, left = round(self.top * scale_y), round(self.left * scale_x)
        bottom, right = (self.top + self.height) * scale_y, (self.left + self.width) * scale_x
        return Region(top, left, max(1, round(bottom) - top), max(1, round(right) - left))


def ultrasound_region(image: np.ndarray) -> Region | None:
    """The region of a screen that holds the picture; None where the picture fills the frame.

    A net that sees a picture smaller than it has learnt measures it too large. So the largest part
    of a frame is searched that differs from its most frequent gray, without thin lines, and without
    menus and rulers at a distance. It is cut out where it covers less than 70 % of the frame. None
    of 1147 frames of HC18, FOCUS and the second centre is cut.

    Args:
        image: uint8 (H, W).
    """
    height, width = image.shape
    scale = min(1.0, _CELLS / max(height, width))
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    means = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA)
    surround = np.bincount(means.ravel(), minlength=256).argmax()  # the most frequent gray
    differs = (np.abs(means - surround.astype(np.int16)) > _CONTRAST).astype(np.uint8)
    # An opening; OpenCV's own with an even kernel would move the cells.
    cells = cv2.dilate(cv2.erode(differs, _THICK, anchor=(0, 0)), _THICK, anchor=(1, 1))
    for gap, max_share in _SEARCHES:
        box = _largest_part(cells, gap)
        if box is not None and box.height * box.width < max_share * rows * columns:
            return box.scaled(height / rows, width / columns)
    return None


def _largest_part(cells: np.ndarray, gap: int) -> Region | None:
    """The box around the largest part of a map uint8 (rows, columns); None where it is empty.

    Where a part ends in a straight line, there the picture ends. On its other sides the box has a
    margin: what a dark frame shows there may be darker than the surround is bright.
    """
    padded = np.pad(cells, gap)  # closing takes what lies outside for filled
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, np.ones((gap, gap), np.uint8))
    count, labels, parts, _ = cv2.connectedComponentsWithStats(closed, connectivity=4)
    if count < 2:
        return None
    largest = 1 + int(parts[1:, cv2.CC_STAT_AREA].argmax())
    left, top, width, height, _ = parts[largest].tolist()
    part = labels[top : top + height, left : left + width] == largest
    ends = [part[:2], part[-2:], part[:, :2].T, part[:, -2:].T]  # top, bottom, left, right
    straight = [side.any(axis=0).mean() > _STRAIGHT for side in ends]
    margins = np.where(straight, 0.0, _MARGIN) * [height, height, width, width]
    outer = np.array([top, top + height, left, left + width]) - gap + margins * [-1, 1, -1, 1]
    rows, columns = cells.shape
    inner = np.clip(np.rint(outer), 0, [rows, rows, columns, columns])
    top, bottom, left, right = inner.astype(int).tolist()
    return Region(top, left, bottom - top, right - left)
