"""What a scanner meets around and inside a fetal head: womb, fluid, body, brain and skull.

Painted from the outside in on samples along the beams. Levels are dB below the brightest bone.
"""

import math

import cv2
import numpy as np

from fetal_tf.data.phantom_head import View
from fetal_tf.data.phantom_scanner import Beams, Tissue

_TABLE = 720  # steps around the head for what varies with the direction


def head_tissue(view: View, beams: Beams, rng: np.random.Generator) -> Tissue:
    """The tissue of one frame; the skull's outer border is the caliper ellipse of `view`."""
    canvas = _Canvas(view, beams, rng)
    _paint_womb(canvas)
    _paint_fluid(canvas)
    if rng.random() < (0.6 if view.early else 0.35):
        _paint_body(canvas)
    _paint_brain(canvas)
    _paint_midline(canvas)
    _paint_plexus(canvas)
    _paint_skull(canvas)
    if rng.random() < 0.4:
        _paint_shadow(canvas)
    return Tissue(canvas.scatter_db, canvas.surface, canvas.cost_db_per_mm * canvas.mm_per_pixel)


def _side(rng: np.random.Generator) -> float:
    return 1.0 if rng.random() < 0.5 else -1.0


class _Canvas:
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
        self._direction = (turn * np.float32(_TABLE / (2 * math.pi))).astype(np.int32) % _TABLE
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
        """Values given for `_TABLE` directions around the head, at every sample."""
        return table.astype(np.float32)[self._direction]

    def texture(self, cells_deep: int, cells_across: int) -> np.ndarray:
        """Smooth noise of about unit spread with that many bumps."""
        coarse = self.rng.standard_normal((cells_deep + 1, cells_across + 1), dtype=np.float32)
        return cv2.resize(coarse, self.beams.shape[::-1], interpolation=cv2.INTER_CUBIC)

    def wobble(self, orders: int, size: float) -> np.ndarray:
        """A random periodic function of the direction, spread about `size`, (_TABLE,)."""
        turn = np.linspace(0, 2 * np.pi, _TABLE, endpoint=False)
        order = np.arange(1, orders + 1)[:, None]
        phase = self.rng.uniform(0, 2 * np.pi, (orders, 1))
        weight = self.rng.normal(0, 1, (orders, 1)) * math.sqrt(2 / orders)
        return size * (weight * np.cos(order * turn + phase)).sum(0)

    def blob(self, u: float, v: float, half_u: float, half_v: float) -> np.ndarray:
        """1 inside an ellipse in the head's coordinates, falling to 0 over its outer fifth."""
        level = cv2.magnitude((self.u - u) / half_u, (self.v - v) / half_v)
        return np.clip((1.1 - level) * 5, 0, 1)


def _paint_womb(canvas: _Canvas) -> None:
    """Wall, placenta and what lies behind; near the probe, layers of fat and muscle."""
    rng = canvas.rng
    canvas.scatter_db[:] = rng.uniform(-32, -22)
    canvas.scatter_db += canvas.texture(4, 3) * 4
    canvas.scatter_db += canvas.texture(12, 7) * 3
    canvas.scatter_db += canvas.texture(45, 14) * rng.uniform(1, 4)
    canvas.scatter_db += np.clip(canvas.texture(35, 9) - 0.8, 0, 2) * rng.uniform(0, 9)
    near = np.exp(-canvas.beams.depth_px * canvas.mm_per_pixel / rng.uniform(12, 35))
    canvas.scatter_db += near * (canvas.texture(55, 4) * 7 + canvas.texture(20, 2) * 4)


def _paint_fluid(canvas: _Canvas) -> None:
    """Amniotic fluid between head and womb: here a pocket, there only a slit; its wall shines."""
    rng = canvas.rng
    smallest, largest = (1.2, 2.4) if canvas.view.early else (0.8, 1.8)
    half_u, half_v = rng.uniform(smallest, largest), rng.uniform(smallest, largest)
    u, v = rng.normal(0, 0.4), rng.normal(0, 0.4)
    beyond = cv2.magnitude((canvas.u - u) / half_u, (canvas.v - v) / half_v) - 1
    beyond = beyond + canvas.texture(5, 5) * rng.uniform(0.03, 0.15)
    beyond_mm = beyond * np.float32(canvas.view.ellipse.semi_minor * canvas.view.mm_per_pixel)
    beyond_mm += canvas.texture(16, 12) * 0.5
    # The border is a few tenths of a mm soft, as the tissue is not cut with a knife.
    share = np.clip(0.5 - beyond_mm, 0, 1) * (canvas.level > 1)
    fluid_db = rng.uniform(-60, -46) + 3 * canvas.texture(8, 8)
    canvas.scatter_db += share * (fluid_db - canvas.scatter_db)
    canvas.cost_db_per_mm -= share * 0.12
    patches = np.clip(canvas.around(canvas.wobble(9, 1.0)), 0, 1)
    shine = np.exp(-((beyond_mm - 0.5) ** 2) / 0.5) * canvas.facing**2 * patches
    canvas.surface += shine * rng.uniform(0.0, 0.4) * (canvas.outside_mm > 1)


def _paint_body(canvas: _Canvas) -> None:
    """Neck, trunk or a limb beside one end of the head, with bone of its own."""
    rng = canvas.rng
    side, half_u = _side(rng), rng.uniform(0.35, 1.0)
    place_v, half_v = rng.uniform(-0.5, 0.5), rng.uniform(0.4, 0.9)
    place_u = side * (1.0 + half_u * rng.uniform(0.75, 1.0))
    body = canvas.blob(place_u, place_v, half_u, half_v) * (canvas.level > 1)
    flesh_db = rng.uniform(-30, -21) + 4 * canvas.texture(14, 12)
    canvas.scatter_db += body * (flesh_db - canvas.scatter_db)
    bone = np.clip(canvas.texture(26, 22) - 1.2, 0, 1) * body
    canvas.surface += bone * rng.uniform(0.1, 0.6)
    canvas.cost_db_per_mm += body * 0.15 + bone * 2.0


def _paint_brain(canvas: _Canvas) -> None:
    """Brain, darker than the womb; the half under the near skull drowns in its echoes."""
    rng, early = canvas.rng, canvas.view.early
    brain_db = rng.uniform(-43, -34) if early else rng.uniform(-41, -31)
    sulci_db = np.clip(canvas.texture(40, 30) - 0.6, 0, 2) * rng.uniform(0, 9)
    level_db = brain_db + 3 * canvas.texture(8, 7) + 1.5 * canvas.texture(24, 20) + sulci_db
    haze = np.clip(canvas.facing, 0, 1) * np.exp(canvas.outside_mm / rng.uniform(4, 14))
    level_db += haze * rng.uniform(0, 10)
    core = np.exp(-((canvas.u / 0.65) ** 2) - (canvas.v / rng.uniform(0.3, 0.6)) ** 2)
    level_db += core * np.clip(1 + 0.8 * canvas.texture(26, 18), 0, 3) * rng.uniform(0, 8)
    inside = canvas.level < 1
    canvas.scatter_db[inside] = level_db[inside]
    canvas.surface[inside] = 0
    canvas.cost_db_per_mm[inside] = -0.02


def _paint_midline(canvas: _Canvas) -> None:
    """Falx with gaps, the walls of the cavum beside it, and a ventricle's wall on the far side."""
    rng = canvas.rng
    semi_minor_mm = canvas.view.ellipse.semi_minor * canvas.mm_per_pixel
    bend = rng.normal(0, 0.03) + rng.normal(0, 0.03) * canvas.u
    falx_mm = (canvas.v - bend) * semi_minor_mm
    cavum_u, half_length = _side(rng) * rng.uniform(0.3, 0.5), rng.uniform(0.08, 0.16)
    cavum = np.abs(canvas.u - cavum_u) < half_length
    falx_mm = np.where(cavum, np.abs(falx_mm) - rng.uniform(1.0, 2.2), falx_mm)
    wall_mm = _side(rng) * falx_mm - semi_minor_mm * (rng.uniform(0.25, 0.4) + 0.12 * canvas.u**2)
    facing = 0.15 + 0.85 * canvas.across_u**4
    for off_mm, strength in ((falx_mm, 0.5), (wall_mm, 0.25)):
        patches = np.interp(np.arange(_TABLE), np.linspace(0, _TABLE, 14), rng.uniform(-0.5, 1, 14))
        index = np.clip((canvas.u + 1) * (_TABLE / 2), 0, _TABLE - 1).astype(np.int32)
        shown = np.clip(patches, 0, 1).astype(np.float32)[index]
        shown *= np.abs(canvas.u) < rng.uniform(0.6, 0.93)
        shine = np.exp(-((off_mm / 0.45) ** 2)) * shown * facing
        canvas.surface += shine * rng.uniform(0.1, 1.0) * strength * (canvas.level < 0.95)


def _paint_plexus(canvas: _Canvas) -> None:
    """Choroid plexus in its dark ventricle: both large when early, the far one clear later."""
    rng, early = canvas.rng, canvas.view.early
    far = -1.0 if (canvas.facing * canvas.v)[-1].mean() > 0 else 1.0
    side = _side(rng)
    for half in (far, -far):
        clear = 1.0 if early or half == far else rng.uniform(0.0, 0.4)
        clear *= 1.0 if early else rng.uniform(0.2, 1.0)
        u, v = side * rng.uniform(0.05, 0.35), half * rng.uniform(0.34, 0.5)
        size = rng.uniform(0.4, 0.58) if early else rng.uniform(0.24, 0.4)
        chamber = canvas.blob(u, v, size * 1.1, size * rng.uniform(0.45, 0.6))
        canvas.scatter_db += chamber * clear * rng.uniform(-9, -2)
        plexus = canvas.blob(
            u + side * size * rng.uniform(0, 0.4), v, size * 0.75, size * rng.uniform(0.22, 0.45)
        )
        patches = np.clip(0.7 + 0.5 * canvas.texture(18, 16), 0, 1.3)
        canvas.scatter_db += plexus * patches * clear * rng.uniform(9, 22 if early else 17)


def _paint_skull(canvas: _Canvas) -> None:
    """Bone inside the caliper ellipse: bright across the beam, lost along it, open at sutures."""
    rng = canvas.rng
    hc_mm = canvas.view.ellipse.perimeter * canvas.view.mm_per_pixel
    thickness_mm = (0.9 + 0.005 * hc_mm) * rng.uniform(0.75, 1.5)
    wall_mm = canvas.around(thickness_mm * np.clip(1 + canvas.wobble(6, 0.2), 0.6, 1.5))
    bone = _bone(rng) * np.clip(1 + canvas.wobble(3, 0.3) + canvas.wobble(14, 0.25), 0.1, 1.7)
    grain = np.clip(1 + 0.35 * canvas.texture(50, 60), 0.2, 2)
    # Half its height lies at the ellipse itself; towards the brain it fades.
    depth = -canvas.outside_mm / wall_mm
    profile = np.clip(0.5 + depth * 2.5, 0, 1) * np.clip(1.6 - depth * 1.1, 0, 1)
    across = np.abs(canvas.facing) ** rng.uniform(3.0, 8.0)
    far_loss = np.where(canvas.facing > 0, np.float32(1), np.float32(rng.uniform(0.6, 1.6)))
    seen = canvas.around(bone) * (0.03 + 0.97 * across) * far_loss * rng.uniform(0.35, 1.5)
    canvas.surface += profile * seen * grain * 0.8
    bone_db = 20 * np.log10(seen * 0.6 + 1e-3)
    canvas.scatter_db += profile * np.maximum(bone_db - canvas.scatter_db, 0)
    canvas.cost_db_per_mm += profile * canvas.around(bone) * (rng.uniform(1.0, 4.0) / wall_mm)


def _bone(rng: np.random.Generator) -> np.ndarray:
    """1 where bone is, down to 0.1 at a few sutures and windows, (_TABLE,)."""
    turn_deg = np.linspace(0, 360, _TABLE, endpoint=False)
    bone = np.ones(_TABLE)
    for _ in range(rng.integers(1, 6)):
        away_deg = np.abs((turn_deg - rng.uniform(0, 360) + 180) % 360 - 180)
        bone *= np.clip((away_deg - rng.uniform(-1, 8)) / rng.uniform(2, 8), 0.1, 1)
    return bone


def _paint_shadow(canvas: _Canvas) -> None:
    """Gas, a rib or a lifted probe: some beams lose most of their strength at the skin."""
    rng = canvas.rng
    beam = np.linspace(0, 1, canvas.beams.shape[1], dtype=np.float32)
    edge = rng.random() < 0.6
    place = rng.integers(2) if edge else rng.uniform(0.1, 0.9)
    width = rng.uniform(0.04, 0.2) if edge else rng.uniform(0.02, 0.08)
    lost_db = rng.uniform(4, 20) * np.exp(-(((beam - place) / width) ** 2))
    rows = max(1, canvas.beams.shape[0] // 20)
    canvas.cost_db_per_mm[:rows] += lost_db / (rows * canvas.beams.step_px[0] * canvas.mm_per_pixel)
