"""Tissue under construction on the samples of the beams, in the axes of one chest and its heart."""

import math

import cv2
import numpy as np

from fetal_tf.data.phantom.head_canvas import Canvas
from fetal_tf.data.phantom.heart import Chest
from fetal_tf.data.phantom.scanner import Beams

_MEMBRANE_MM = 0.4  # how thick a valve's echo looks, one standard deviation


class ChestCanvas(Canvas):
    """A canvas that also knows the axes of the chest and of the heart.

    Attributes:
        front, left: place towards sternum and towards the fetus' left, in mean thoracic radii.
        radius_mm: the mean thoracic radius.
        along, across: place along the heart's long axis (1 = apex) and across it (1 = the border
            on the left ventricle's side), in its semi-axes.
        heart_mm: depth inside the heart's border, negative outside.
        half_width_mm: the heart's semi-minor axis.
    """

    def __init__(self, chest: Chest, beams: Beams, rng: np.random.Generator):
        super().__init__(chest.view, beams, rng)
        thorax, heart = chest.view.ellipse, chest.heart
        radius = (thorax.semi_major + thorax.semi_minor) / 2
        self.radius_mm = radius * chest.view.mm_per_pixel
        place = (thorax.center_x, thorax.center_y)
        self.front, self.left = self._axes(place, chest.anterior_deg, chest.left)
        self.front, self.left = self.front / np.float32(radius), self.left / np.float32(radius)
        place = (heart.center_x, heart.center_y)
        along, across = self._axes(place, chest.apex_deg, chest.left)
        self.along = along / np.float32(heart.semi_major)
        self.across = across / np.float32(heart.semi_minor)
        level = cv2.magnitude(self.along, self.across)
        slope = cv2.magnitude(
            self.along / np.float32(heart.semi_major), self.across / np.float32(heart.semi_minor)
        )
        self.heart_mm = (1 - level) * level / (slope + np.float32(1e-9)) * self.mm_per_pixel
        self.half_width_mm = heart.semi_minor * chest.view.mm_per_pixel

    def _axes(
        self, center: tuple[float, float], towards_deg: float, left: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Distance from a point along a direction and along the one to its left, px."""
        x, y = self.beams.x - np.float32(center[0]), self.beams.y - np.float32(center[1])
        cos, sin = (np.float32(f(math.radians(towards_deg))) for f in (math.cos, math.sin))
        return x * cos + y * sin, (y * cos - x * sin) * np.float32(left)

    def shine(self, distance_mm: np.ndarray, thickness_mm: float = _MEMBRANE_MM) -> np.ndarray:
        """Echo of a membrane, 0..1: bright where it lies across the beam, weak along it."""
        near = np.exp(-((distance_mm / np.float32(thickness_mm)) ** 2))
        step_mm = self.beams.step_px[0] * self.mm_per_pixel
        toward = np.clip(np.abs(np.gradient(distance_mm, axis=0)) / step_mm, 0, 1)
        return near * (0.2 + 0.8 * toward**2)

    def spot(self, front: float, left: float, half: float) -> np.ndarray:
        """1 inside a disc of the chest, falling to 0 over its outer part; thoracic radii."""
        level = np.hypot(self.front - np.float32(front), self.left - np.float32(left))
        return np.clip((1.2 - level / np.float32(half)) * 3, 0, 1)

    def cover(self, share: np.ndarray, scatter_db: np.ndarray | float) -> None:
        """Replace speckle by a tissue of that level where `share` is 1, and end echoes there."""
        self.scatter_db += share * (scatter_db - self.scatter_db)
        self.surface *= 1 - share
