"""Augmented views of a frame, and how to map a network's output for them back to the frame.

No view changes a measurement: frames are mirrored, brightened, moved, turned, zoomed. What differs
after mapping back is the network's uncertainty.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from fetal_tf.edge.geometry.axis import AXIS, turned_maps
from fetal_tf.edge.geometry.landmarks import from_shares, to_shares
from fetal_tf.edge.inference.views import GAMMAS, gamma_table, unmirrored

# About as far as two frames of one sweep differ. Larger moves lose the edge of the frame.
MAX_ROTATION_DEG = 8.0
MAX_SCALE = 1.06
MAX_SHIFT_SHARE = 0.03  # of the frame's width and height


@dataclass(frozen=True)
class View:
    """One view; the default is the frame itself.

    Attributes:
        mirrored: left and right exchanged, before all other changes.
        gamma: exponent of the gray values, 1 for unchanged.
        rotation_deg, scale: about the frame's middle.
        shift_x_share, shift_y_share: of the frame's width and height.
    """

    mirrored: bool = False
    gamma: float = 1.0
    rotation_deg: float = 0.0
    scale: float = 1.0
    shift_x_share: float = 0.0
    shift_y_share: float = 0.0

    @cached_property
    def _moves(self) -> bool:
        unmoved = (0.0, 1.0, 0.0, 0.0)
        return (self.rotation_deg, self.scale, self.shift_x_share, self.shift_y_share) != unmoved

    def matrix(self, height: int, width: int) -> np.ndarray:
        """Maps pixels (x, y, 1) of the (mirrored) frame to the view's, float64 [2, 3]."""
        middle = np.array([(width - 1) / 2, (height - 1) / 2])
        angle = np.deg2rad(self.rotation_deg)
        turn = self.scale * np.array(
            [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
        )
        shift = np.array([self.shift_x_share * width, self.shift_y_share * height])
        return np.column_stack([turn, middle + shift - turn @ middle])

    def apply(self, frame: np.ndarray) -> np.ndarray:
        """Make the view of a frame uint8 [h, w, C]; what lies outside the frame is black."""
        seen = frame[:, ::-1] if self.mirrored else frame
        if self.gamma != 1:
            seen = gamma_table(self.gamma)[seen]
        if self._moves:
            height, width = frame.shape[:2]
            moved = cv2.warpAffine(
                np.ascontiguousarray(seen), self.matrix(height, width), (width, height)
            )
            seen = moved.reshape(frame.shape)  # OpenCV drops a single channel
        return np.ascontiguousarray(seen)

    def restore(
        self, output: np.ndarray, own: np.ndarray, frame: tuple[int, int], classes: Sequence[str]
    ) -> np.ndarray:
        """Map the network's output for the view back to the frame.

        Args:
            output: for the view: maps [h, w, K], or coordinates [P, 2] as shares of the frame.
            own: for the frame itself, the same shape. It fills what the view does not show, and
                the ends of a mirrored axis are ordered like its ends.
            frame: its (height, width).
            classes: names of the maps or points, see `fetal_tf.edge.inference.views.unmirrored`.

        Returns:
            float32, the shape of `output`. Points are exact, maps are interpolated.
        """
        if output.ndim == 2:
            return self._restored_points(output, own, frame, classes)
        back, seen = self._unmoved(output)
        if set(AXIS) <= set(classes):
            matrix, channels = self.matrix(*frame), [classes.index(name) for name in AXIS]
            turn = np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0]))
            back = back.copy()
            back[..., channels] = turned_maps(back[..., channels], -turn)
        if self.mirrored:
            back, seen = unmirrored(back[None], own[None], classes)[0], seen[:, ::-1]
        return np.where(seen[..., None], back, own).astype(np.float32)

    def _restored_points(
        self, shares: np.ndarray, own: np.ndarray, frame: tuple[int, int], classes: Sequence[str]
    ) -> np.ndarray:
        matrix = self.matrix(*frame)
        pixels = (from_shares(shares, *frame) - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
        back = to_shares(pixels, *frame)
        if self.mirrored:
            back = unmirrored(back[None], own[None], classes)[0]
        return back.astype(np.float32)

    def _unmoved(self, maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Maps moved back, and which of their pixels the view shows, bool [h, w]."""
        height, width = maps.shape[:2]
        if not self._moves:
            return maps, np.ones((height, width), bool)
        matrix = self.matrix(height, width)
        y, x = np.indices((height, width), np.float64)
        at = matrix @ np.stack([x, y, np.ones_like(x)]).reshape(3, -1)
        u, v = at.reshape(2, height, width).astype(np.float32)
        planes = [
            cv2.remap(np.ascontiguousarray(maps[..., k]), u, v, cv2.INTER_LINEAR)
            for k in range(maps.shape[2])
        ]
        seen = (u >= 0) & (u <= width - 1) & (v >= 0) & (v <= height - 1)
        return np.stack(planes, axis=-1), seen


def draw_views(count: int, seed: int) -> list[View]:
    """The frame, its mirror image, a brighter and a darker copy, then random views.

    Args:
        count: how many in all.
        seed: of the random ones; every image gets the same views.
    """
    rng = np.random.default_rng(seed)
    views = [View(), View(mirrored=True), *(View(gamma=gamma) for gamma in GAMMAS)]
    while len(views) < count:
        x, y, turn, zoom, gray = rng.uniform(-1, 1, 5)
        views.append(
            View(
                mirrored=bool(len(views) % 2),
                gamma=float(GAMMAS[1] ** gray),
                rotation_deg=MAX_ROTATION_DEG * turn,
                scale=float(MAX_SCALE**zoom),
                shift_x_share=MAX_SHIFT_SHARE * x,
                shift_y_share=MAX_SHIFT_SHARE * y,
            )
        )
    return views[:count]
