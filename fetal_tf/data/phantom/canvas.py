"""The canvas: tissue under construction along the beams, and painters of what surrounds a fetus.

A painter is a function of a canvas that changes its arrays; a scene calls painters from the outside
in. Levels are dB below the brightest bone.
"""

import math

import cv2
import numpy as np

from fetal_tf.data.phantom.scanner import Beams, Settings, Tissue, scan
from fetal_tf.data.phantom.view import View, either_side

TABLE = 720  # steps around the outline for what varies with the direction
_TURN_DEG = np.linspace(0, 360, TABLE, endpoint=False)


class Canvas:
    """Tissue under construction, and the place of every sample relative to the view's outline.

    Attributes:
        view, beams, rng: the frame's view, its samples, and the painters' random numbers.
        u, v: place along the outline's long and short axis, in semi-axes.
        level: 1 on the outline, 0 in its middle.
        outside_mm: distance to the outline, negative inside.
        facing: cosine between beam and outline: 1 where the near side faces the probe, -1 on the
            far side, 0 where the beam runs along it.
        across_u: sine between beam and long axis.
        scatter_db, surface, cost_db_per_mm: as in `Tissue`, still per mm.
    """

    membrane_mm = 0.42  # how thick the echo of a membrane looks, one standard deviation
    grazing_share = 0.15  # of that echo where the membrane lies along the beam
    facing_power = 3  # how fast the echo grows towards a membrane across the beam

    def __init__(self, view: View, rng: np.random.Generator):
        self.view, self.rng = view, rng
        self.beams = beams = Beams(view.probe, view.frame_shape)
        self.mm_per_pixel = np.float32(view.mm_per_pixel)
        e = view.ellipse
        cos, sin = (np.float32(f(math.radians(e.angle_deg))) for f in (math.cos, math.sin))
        along_px, across_px = self.axes_px(e.center_x, e.center_y, e.angle_deg)
        self.u = along_px / np.float32(e.semi_major)
        self.v = across_px / np.float32(e.semi_minor)
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

    def axes_px(
        self, center_x: float, center_y: float, angle_deg: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Distance of every sample from a point along a direction and across it, px."""
        x, y = self.beams.x - np.float32(center_x), self.beams.y - np.float32(center_y)
        cos, sin = (np.float32(f(math.radians(angle_deg))) for f in (math.cos, math.sin))
        return x * cos + y * sin, y * cos - x * sin

    def around(self, table: np.ndarray) -> np.ndarray:
        """Values given for `TABLE` directions around the outline, at every sample."""
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
        """1 inside an ellipse in `u` and `v`, falling to 0 over its outer fifth."""
        level = cv2.magnitude((self.u - u) / half_u, (self.v - v) / half_v)
        return np.clip((1.1 - level) * 5, 0, 1)

    def shine(self, distance_mm: np.ndarray, thickness_mm: float | None = None) -> np.ndarray:
        """Echo of a membrane, 0..1: bright where it lies across the beam, weak along it."""
        near = np.exp(-((distance_mm / np.float32(thickness_mm or self.membrane_mm)) ** 2))
        step_mm = self.beams.step_px[0] * self.mm_per_pixel
        toward = np.clip(np.abs(np.gradient(distance_mm, axis=0)) / step_mm, 0, 1)
        return near * (self.grazing_share + (1 - self.grazing_share) * toward**self.facing_power)

    def cover(self, share: np.ndarray, scatter_db: np.ndarray | float) -> None:
        """Replace speckle by a tissue of that level where `share` is 1, and end echoes there."""
        self.scatter_db += share * (scatter_db - self.scatter_db)
        self.surface *= 1 - share

    def brighten(self, share: np.ndarray, level_db: np.ndarray | float) -> None:
        """Raise the speckle to `level_db` where `share` is 1; what is brighter stays."""
        self.scatter_db += share * np.maximum(level_db - self.scatter_db, 0)

    def darken(self, share: np.ndarray, by_db: float, floor_db: float) -> None:
        """Lower the speckle by `by_db` where `share` is 1, to no less than `floor_db`."""
        darker = np.maximum(self.scatter_db - by_db, floor_db)
        self.scatter_db += share * np.minimum(darker - self.scatter_db, 0)

    def scan(self, settings: Settings, rng: np.random.Generator) -> np.ndarray:
        """The B-mode frame of what is painted, uint8 (height, width), 0 outside the sector."""
        costs = self.cost_db_per_mm * self.mm_per_pixel
        return scan(Tissue(self.scatter_db, self.surface, costs), self.beams, settings, rng)


def degrees_from(direction_deg: float) -> np.ndarray:
    """Angle between a direction and each of `TABLE` directions around the outline, 0..180."""
    return np.abs((_TURN_DEG - direction_deg + 180) % 360 - 180)


def paint_womb(canvas: Canvas) -> None:
    """Wall, placenta and what lies behind; near the probe, layers of fat and muscle."""
    rng = canvas.rng
    canvas.scatter_db[:] = rng.uniform(-32, -22)
    canvas.scatter_db += canvas.texture(4, 3) * 4
    canvas.scatter_db += canvas.texture(12, 7) * 3
    canvas.scatter_db += canvas.texture(45, 14) * rng.uniform(1, 4)
    canvas.scatter_db += np.clip(canvas.texture(35, 9) - 0.8, 0, 2) * rng.uniform(0, 9)
    near = np.exp(-canvas.beams.depth_px * canvas.mm_per_pixel / rng.uniform(12, 35))
    canvas.scatter_db += near * (canvas.texture(55, 4) * 7 + canvas.texture(20, 2) * 4)


def paint_fluid(canvas: Canvas) -> None:
    """Amniotic fluid between fetus and womb, a pocket or only a slit, with a bright wall."""
    rng = canvas.rng
    smallest, largest = (1.2, 2.4) if canvas.view.early else (0.8, 1.8)
    half_u, half_v = rng.uniform(smallest, largest), rng.uniform(smallest, largest)
    u, v = rng.normal(0, 0.4), rng.normal(0, 0.4)
    beyond = cv2.magnitude((canvas.u - u) / half_u, (canvas.v - v) / half_v) - 1
    beyond = beyond + canvas.texture(5, 5) * rng.uniform(0.03, 0.15)
    beyond_mm = beyond * np.float32(canvas.view.ellipse.semi_minor * canvas.view.mm_per_pixel)
    beyond_mm += canvas.texture(16, 12) * 0.5
    # The border is soft over a few tenths of a mm.
    share = np.clip(0.5 - beyond_mm, 0, 1) * (canvas.level > 1)
    fluid_db = rng.uniform(-60, -46) + 3 * canvas.texture(8, 8)
    canvas.scatter_db += share * (fluid_db - canvas.scatter_db)
    canvas.cost_db_per_mm -= share * 0.12
    patches = np.clip(canvas.around(canvas.wobble(9, 1.0)), 0, 1)
    shine = np.exp(-((beyond_mm - 0.5) ** 2) / 0.5) * canvas.facing**2 * patches
    canvas.surface += shine * rng.uniform(0.0, 0.4) * (canvas.outside_mm > 1)


def paint_body(canvas: Canvas, chance: float) -> None:
    """With that chance a neck, trunk or limb beside one end of the outline, with its own bone."""
    rng = canvas.rng
    if rng.random() >= chance:
        return
    side, half_u = either_side(rng), rng.uniform(0.35, 1.0)
    place_v, half_v = rng.uniform(-0.5, 0.5), rng.uniform(0.4, 0.9)
    place_u = side * (1.0 + half_u * rng.uniform(0.75, 1.0))
    body = canvas.blob(place_u, place_v, half_u, half_v) * (canvas.level > 1)
    flesh_db = rng.uniform(-30, -21) + 4 * canvas.texture(14, 12)
    canvas.scatter_db += body * (flesh_db - canvas.scatter_db)
    bone = np.clip(canvas.texture(26, 22) - 1.2, 0, 1) * body
    canvas.surface += bone * rng.uniform(0.1, 0.6)
    canvas.cost_db_per_mm += body * 0.15 + bone * 2.0


def paint_shadow(canvas: Canvas, chance: float) -> None:
    """With that chance gas, a rib or a lifted probe: some beams lose most strength at the skin."""
    rng = canvas.rng
    if rng.random() >= chance:
        return
    beam = np.linspace(0, 1, canvas.beams.shape[1], dtype=np.float32)
    edge = rng.random() < 0.6
    place = rng.integers(2) if edge else rng.uniform(0.1, 0.9)
    width = rng.uniform(0.04, 0.2) if edge else rng.uniform(0.02, 0.08)
    lost_db = rng.uniform(4, 20) * np.exp(-(((beam - place) / width) ** 2))
    rows = max(1, canvas.beams.shape[0] // 20)
    canvas.cost_db_per_mm[:rows] += lost_db / (rows * canvas.beams.step_px[0] * canvas.mm_per_pixel)
