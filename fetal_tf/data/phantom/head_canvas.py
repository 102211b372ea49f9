"""Tissue under construction on the samples of the beams, in the coordinates of one fetal head."""

import math

import cv2
import numpy as np

from fetal_tf.data.phantom.head import View
from fetal_tf.data.phantom.scanner import Beams, Tissue

TABLE = 720  # steps around the head for what varies with the direction


class Canvas:
    """Tissue under construction, and the head's own coordinates of every sample.

    Attributes:
        u, v: place along the long and the short axis, in semi-axes.
        level: 1 on the caliper ellipse, 0 in its middle.
        outside_mm: distance to the caliper ellipse, negative inside.
        facing: cosine between beam and skull: 1 where the near side faces the probe, -1 on the
            far side, 0 where the beam runs along the bone.
        scatter_db, surface, cost_db_per_mm: as in `Tissue`, still per mm.
    """

    def __init__(self, view: View, beams: Beams, rng: np.random.Generator):
        self.view, self.beams, self.rng = view, beams, rng
        self.mm_per_pixel = np.float32(view.mm_per_pixel)
        e = view.ellipse
        cos, sin = (np.float32(f(math.radians(e.angle_deg))) for f in (math.cos, math.sin))
        x, y = beams.x - np.float32(e.center_x), beams.y - np.float32(e.center_y)
        self.u = (x * cos + y * sin) / np.float32(e.semi_major)
        self.v = (y * cos - x * sin) / np.float32(e.semi_minor)
        self.level, turn = cv2.cartToPolar(self.u, self.v)
        self._direction = (turn * np.float32(TABLE / (2 * math.pi))).astype(np.int32) % TABLE
        slope_u, slope_v = self.u / np.float32(e.semi_major), self.v / np.float32(e.semi_minor)
        slope = cv2.magnitude(slope_u, slope_v) + np.float32(1e-9)
        self.outside_mm = (self.level - 1) * self.level / slope * self.mm_per_pixel
        normal_x, normal_y = slope_u * cos - slope_v * sin, slope_u * sin + slope_v * cos
        self.facing = -(normal_x * beams.toward_x + normal_y * beams.toward_y) / slope
        self.across_u = np.abs(sin * beams.toward_x - cos * beams.toward_y)
        self.scatter_db = np.zeros(beams.shape, np.float32)
        self.surface = np.zeros(beams.shape, np.float32)
        self.cost_db_per_mm = np.zeros(beams.shape, np.float32)

    def around(self, table: np.ndarray) -> np.ndarray:
        """Values given for `TABLE` directions around the head, at every sample."""
        return table.astype(np.float32)[self._direction]

    def texture(self, cells_deep: int, cells_across: int) -> np.ndarray:
        """Smooth noise of about unit spread with that many bumps."""
        coarse = self.rng.standard_normal((cells_deep + 1, cells_across + 1), dtype=np.float32)
        return cv2.resize(coarse, self.beams.shape[::-1], interpolation=cv2.INTER_CUBIC)

    def wobble(self, orders: int, size: float) -> np.ndarray:
        """A random periodic function of the direction, spread about `size`, (TABLE,)."""
        turn = np.linspace(0, 2 * np.pi, TABLE, endpoint=False)
        order = np.arange(1, orders + 1)[:, None]
        phase = self.rng.uniform(0, 2 * np.pi, (orders, 1))
        weight = self.rng.normal(0, 1, (orders, 1)) * math.sqrt(2 / orders)
        return size * (weight * np.cos(order * turn + phase)).sum(0)

    def blob(self, u: float, v: float, half_u: float, half_v: float) -> np.ndarray:
        """1 inside an ellipse in the head's coordinates, falling to 0 over its outer fifth."""
        level = cv2.magnitude((self.u - u) / half_u, (self.v - v) / half_v)
        return np.clip((1.1 - level) * 5, 0, 1)

    def tissue(self) -> Tissue:
        """What the beams meet, its costs per px as the scanner wants them."""
        return Tissue(self.scatter_db, self.surface, self.cost_db_per_mm * self.mm_per_pixel)


def either_side(rng: np.random.Generator) -> float:
    """1 or -1, equally often."""
    return 1.0 if rng.random() < 0.5 else -1.0
