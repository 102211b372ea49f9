"""What a scanner meets in a four-chamber view: womb, trunk, ribs, lungs, spine, aorta and heart.

Blood is dark, and so are fluid, muscle and shadows: no threshold finds the heart. Its outer border
runs through muscle that looks much like the lung.
"""

import math

import cv2
import numpy as np

from fetal_tf.data.phantom.canvas import (
    TABLE,
    Canvas,
    degrees_from,
    paint_body,
    paint_fluid,
    paint_shadow,
    paint_womb,
)
from fetal_tf.data.phantom.heart import Chest

_VALVES = -0.12  # where the valves are on the heart's axis: -1 base, 1 apex


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

    membrane_mm, grazing_share, facing_power = 0.4, 0.2, 2

    def __init__(self, chest: Chest, rng: np.random.Generator):
        super().__init__(chest.view, rng)
        thorax, heart, left = chest.view.ellipse, chest.heart, np.float32(chest.left)
        radius = (thorax.semi_major + thorax.semi_minor) / 2
        self.radius_mm = radius * chest.view.mm_per_pixel
        front, aside = self.axes_px(thorax.center_x, thorax.center_y, chest.anterior_deg)
        self.front, self.left = front / np.float32(radius), aside * left / np.float32(radius)
        along, across = self.axes_px(heart.center_x, heart.center_y, chest.apex_deg)
        self.along = along / np.float32(heart.semi_major)
        self.across = across * left / np.float32(heart.semi_minor)
        level = cv2.magnitude(self.along, self.across)
        slope = cv2.magnitude(
            self.along / np.float32(heart.semi_major), self.across / np.float32(heart.semi_minor)
        )
        self.heart_mm = (1 - level) * level / (slope + np.float32(1e-9)) * self.mm_per_pixel
        self.half_width_mm = heart.semi_minor * chest.view.mm_per_pixel

    def spot(self, front: float, left: float, half: float) -> np.ndarray:
        """1 inside a disc of the chest, falling to 0 over its outer part; thoracic radii."""
        level = np.hypot(self.front - np.float32(front), self.left - np.float32(left))
        return np.clip((1.2 - level / np.float32(half)) * 3, 0, 1)


def chest_canvas(chest: Chest, rng: np.random.Generator) -> ChestCanvas:
    """Paint a frame on a new canvas; ribs end and the heart begins at the ellipses of `chest`."""
    canvas = ChestCanvas(chest, rng)
    paint_womb(canvas)
    for _ in range(rng.integers(1, 4)):
        canvas.surface[:] = 0  # no wall of one pocket inside the next one
        paint_fluid(canvas)
    paint_body(canvas, 0.5)
    _paint_trunk(canvas)
    lung_db = rng.uniform(-36, -26)
    blood_db = lung_db - rng.uniform(8, 26)
    _paint_lungs(canvas, lung_db)
    _paint_ribs(canvas)
    _paint_spine(canvas)
    _paint_aorta(canvas, blood_db)
    _paint_heart(canvas, lung_db - rng.uniform(-1, 7), blood_db)
    paint_shadow(canvas, 0.4)
    return canvas


def _paint_trunk(canvas: ChestCanvas) -> None:
    """Muscle and fat in layers around the ribs, under bright skin; thickest at the back."""
    rng = canvas.rng
    thickness_mm = canvas.radius_mm * rng.uniform(0.07, 0.16) * (1 + canvas.wobble(5, 0.3))
    thickness_mm = canvas.around(np.maximum(thickness_mm, 0.8))
    back = np.clip(-canvas.front, 0, 1) ** 2 * rng.uniform(0.0, 0.1) * canvas.radius_mm
    outside_mm = canvas.outside_mm - thickness_mm - back.astype(np.float32)
    trunk = np.clip(0.5 - outside_mm * 2, 0, 1)
    layers = np.sin(canvas.outside_mm / thickness_mm * rng.uniform(4, 8) + rng.uniform(0, 6))
    flesh_db = rng.uniform(-42, -30) + rng.uniform(0, 5) * layers + 3 * canvas.texture(30, 24)
    canvas.cover(trunk, flesh_db)
    canvas.cost_db_per_mm += trunk * 0.05
    patches = np.clip(0.6 + 0.5 * canvas.texture(14, 14), 0, 1.3)
    skin = canvas.shine(outside_mm, rng.uniform(0.5, 0.9)) * patches
    canvas.surface += skin * rng.uniform(0.03, 0.3)
    canvas.scatter_db += np.exp(-((outside_mm / 0.9) ** 2)) * patches * rng.uniform(4, 14)


def _paint_lungs(canvas: ChestCanvas, lung_db: float) -> None:
    """Mid-gray without much structure; the vessels of the hilum are short bright strokes."""
    rng = canvas.rng
    lung = np.clip(0.5 - canvas.outside_mm, 0, 1)
    level_db = lung_db + rng.uniform(1, 3) * canvas.texture(44, 36) + 2 * canvas.texture(6, 5)
    canvas.cover(lung, level_db)
    canvas.cost_db_per_mm -= lung * canvas.cost_db_per_mm
    vessels = np.clip(canvas.texture(34, 30) - 1.3, 0, 1.5) * lung
    middle = np.exp(-(canvas.front**2 + canvas.left**2) / 0.4)
    canvas.scatter_db += vessels * middle * rng.uniform(0, 9)


def _paint_ribs(canvas: ChestCanvas) -> None:
    """The chest wall's inner arc, with ribs as long bright stretches that cast shadows."""
    rng = canvas.rng
    bone = _rib_arcs(rng)
    wall_mm = rng.uniform(0.9, 1.8)
    depth = -canvas.outside_mm / np.float32(wall_mm)
    profile = np.clip(0.5 + depth * 2, 0, 1) * np.clip(1.7 - depth, 0, 1)
    facing = np.abs(canvas.facing) ** rng.uniform(2, 5)
    uneven = np.clip(1 + canvas.wobble(20, 0.3), 0.2, 1.7)
    seen = canvas.around(bone * uneven) * (0.06 + 0.94 * facing) * rng.uniform(0.25, 1.1)
    grain = np.clip(0.8 + 0.4 * canvas.texture(40, 50), 0.1, 1.6)
    canvas.surface += profile * seen * grain * 0.6
    bone_db = 20 * np.log10(seen * grain * 0.7 + 1e-3)
    canvas.brighten(profile, bone_db)
    canvas.cost_db_per_mm += profile * canvas.around(bone**2) * (rng.uniform(0.5, 3.5) / wall_mm)
    # Beams that graze the chest are bent away: both flanks throw a shadow of their own.
    grazing = profile * (1 - np.abs(canvas.facing)) ** 2
    canvas.cost_db_per_mm += grazing * (rng.uniform(0.0, 1.5) / wall_mm)
    # Where two ribs are cut side by side, the muscle between them is dark.
    gap = profile * np.clip(1 - canvas.around(bone) * 2, 0, 1)
    canvas.scatter_db -= gap * rng.uniform(0, 7)


def _rib_arcs(rng: np.random.Generator) -> np.ndarray:
    """1 where a rib lies in the plane, about 0.25 between them, (TABLE,)."""
    bone = np.full(TABLE, rng.uniform(0.1, 0.4))
    place_deg = rng.uniform(0, 60)
    while place_deg < 360:
        half_deg = rng.uniform(9, 38)
        arc = (half_deg - degrees_from(place_deg)) / 5
        bone = np.maximum(bone, np.clip(arc, 0, 1) * rng.uniform(0.4, 1))
        place_deg += half_deg + rng.uniform(20, 60)
    return bone


def _paint_spine(canvas: ChestCanvas) -> None:
    """Three ossification centres, each with its shadow, in the bright flesh of the back."""
    rng = canvas.rng
    back, half = rng.uniform(0.9, 1.0), rng.uniform(0.06, 0.1)
    apart, strength = rng.uniform(0.12, 0.19), rng.uniform(0.12, 0.7)
    flesh = canvas.spot(0.12 - back, 0.0, rng.uniform(0.25, 0.4))
    patches = np.clip(0.5 + 0.7 * canvas.texture(46, 40), 0, 1.8)
    canvas.scatter_db += flesh * patches * rng.uniform(3, 10)
    centres = ((0.26 - back, 0.0, 1.15), (-back, apart, 0.9), (-back, -apart, 0.9))
    for front, left, size in centres:
        jitter = rng.normal(0, 0.02, 2)
        bone = canvas.spot(front + jitter[0], left + jitter[1], half * size)
        bone *= np.clip(0.7 + 0.6 * canvas.texture(70, 60), 0, 1.3)
        bone_db = 20 * math.log10(strength * rng.uniform(0.4, 1.2))
        canvas.brighten(bone, bone_db)
        canvas.surface += bone * strength * 0.3
        shadow_db = rng.uniform(4, 16)
        canvas.cost_db_per_mm += bone * (shadow_db / (2 * half * size * canvas.radius_mm))


def _paint_aorta(canvas: ChestCanvas, blood_db: float) -> None:
    """A small dark circle with a thin wall, before the spine and a little to its left."""
    rng = canvas.rng
    front, left = rng.uniform(-0.5, -0.4), rng.uniform(0.06, 0.22)
    half = rng.uniform(0.055, 0.085)
    away = np.hypot(canvas.front - np.float32(front), canvas.left - np.float32(left))
    inside_mm = (np.float32(half) - away) * np.float32(canvas.radius_mm)
    canvas.cover(np.clip(0.5 + inside_mm, 0, 1), blood_db)
    canvas.surface += canvas.shine(inside_mm) * rng.uniform(0.0, 0.1)


def _paint_heart(canvas: ChestCanvas, muscle_db: float, blood_db: float) -> None:
    """Muscle up to the pericardium; blood in four chambers; septa and valves meet in the crux."""
    rng = canvas.rng
    patches = np.clip(0.5 + 0.7 * canvas.texture(18, 18), 0, 1.4)
    muscle = muscle_db + 2 * canvas.texture(36, 30) + 2 * canvas.texture(9, 8)
    ragged_mm = canvas.heart_mm + 0.25 * canvas.texture(30, 26)
    canvas.cover(np.clip(0.5 + ragged_mm, 0, 1), muscle)
    canvas.surface += canvas.shine(canvas.heart_mm, 0.5) * patches * rng.uniform(0.0, 0.1)
    septum_mm = _septum_mm(canvas)
    blood_mm = _smaller(_cavity_mm(canvas), septum_mm)
    blood = np.clip(0.5 + blood_mm / rng.uniform(0.8, 2.2), 0, 1)
    haze_db = 3 * canvas.texture(14, 14) + 2 * canvas.texture(30, 30)
    canvas.cover(blood, blood_db + haze_db)
    canvas.cost_db_per_mm -= blood * 0.03
    walls = canvas.shine(blood_mm, 0.5) * patches * np.clip(canvas.heart_mm - 0.5, 0, 1)
    canvas.surface += walls * rng.uniform(0.0, 0.05)
    septum = np.clip(0.5 - septum_mm, 0, 1) * np.clip(canvas.heart_mm - 0.5, 0, 1)
    septum_db = muscle_db + rng.uniform(2, 10) * np.clip(0.6 + 0.5 * canvas.texture(20, 18), 0, 1.4)
    canvas.brighten(septum, septum_db)
    canvas.surface += canvas.shine(septum_mm, 0.6) * septum * patches * rng.uniform(0.0, 0.12)
    _paint_valves(canvas)


def _cavity_mm(canvas: ChestCanvas) -> np.ndarray:
    """Depth inside the free walls: thick around the ventricles, thin around the atria."""
    rng, width = canvas.rng, canvas.half_width_mm
    ventricle, atrium = rng.uniform(0.15, 0.24) * width, rng.uniform(0.06, 0.16) * width
    below = np.clip((canvas.along - _VALVES) * 6, -1, 1)
    wall_mm = (ventricle + atrium) / 2 + below * (ventricle - atrium) / 2
    groove = np.exp(-(((canvas.along - _VALVES) / 0.08) ** 2))
    wall_mm += groove * rng.uniform(0.1, 0.28) * width
    # The moderator band and trabeculae fill the right apex; muscle fills the tip of the left one.
    apex = np.clip(canvas.along - 0.4, 0, 1) * (0.95 - 0.35 * np.clip(canvas.across * 4, -1, 1))
    wall_mm += apex * rng.uniform(0.3, 0.9) * width
    # Atria end in corners and veins, ventricles are lined with trabeculae: no border is smooth.
    wall_mm += (0.09 * canvas.texture(12, 10) + 0.04 * canvas.texture(34, 30)) * width
    return (canvas.heart_mm - wall_mm).astype(np.float32)


def _septum_mm(canvas: ChestCanvas) -> np.ndarray:
    """Distance to the septum: muscle between the ventricles, a membrane with a gap above them.

    The gap is the foramen ovale; its flap stands in the left atrium.
    """
    rng, width = canvas.rng, np.float32(canvas.half_width_mm)
    along = canvas.along
    bend = rng.normal(0, 0.07) + rng.normal(0, 0.12) * along + rng.normal(0, 0.1) * along**2
    muscle = rng.uniform(0.07, 0.13) * (1 - 0.3 * np.clip(along, 0, 1))
    membrane = rng.uniform(0.02, 0.04)
    share = np.clip((along - _VALVES) * 10, 0, 1)
    half = membrane + share * (muscle - membrane)
    off_mm = (np.abs(canvas.across - bend) - half) * width
    middle, opening = rng.uniform(-0.62, -0.48), rng.uniform(0.1, 0.18)
    from_gap = (along - middle) / np.float32(opening)
    off_mm = off_mm + np.clip(2 - 2 * np.abs(from_gap), 0, 1) * 0.5 * width
    flap = bend + rng.uniform(0.05, 0.22) * np.clip(1 - (from_gap / 1.4) ** 2, 0, 1)
    flap_mm = np.abs(canvas.across - flap) * width - 0.1
    flap_mm = np.where(np.abs(from_gap) < 1.4, flap_mm, np.float32(9))
    return np.minimum(off_mm, flap_mm).astype(np.float32)


def _paint_valves(canvas: ChestCanvas) -> None:
    """Mitral and tricuspid leaflets: shut in systole, pointing to the apex in diastole.

    The tricuspid valve is set a little nearer to the apex.
    """
    rng = canvas.rng
    opened = rng.uniform(0.2, 0.7) if rng.random() < 0.4 else 0.0
    strength, thickness_mm = rng.uniform(0.02, 0.28), rng.uniform(0.35, 0.55)
    patches = np.clip(0.7 + 0.5 * canvas.texture(30, 30), 0.05, 1.4)
    for side, offset in ((1.0, 0.0), (-1.0, rng.uniform(0.03, 0.09))):
        width = canvas.across * np.float32(side)
        middle = np.clip(1 - np.abs(width - 0.42) / 0.36, 0, 1)
        tip = 0.4 * opened - rng.uniform(-0.03, 0.05)
        off_mm = (canvas.along - (_VALVES + offset + tip * middle)) * canvas.half_width_mm * 1.3
        # Across a line that leans, the distance is shorter than along the heart's axis.
        off_mm = off_mm / np.float32(math.hypot(1, 1.5 * tip / 0.36))
        shown = (width > 0.02) & (width < 0.8) & (middle < 1 - 0.6 * opened)
        line = canvas.shine(off_mm, thickness_mm) * shown * patches * (canvas.heart_mm > 1.0)
        canvas.surface += line * strength
        canvas.scatter_db += line * np.maximum(-26 - canvas.scatter_db, 0) * 0.7


def _smaller(one_mm: np.ndarray, other_mm: np.ndarray, round_mm: float = 0.7) -> np.ndarray:
    """The smaller of two depths, with rounded corners where both are alike."""
    mix = np.clip(0.5 + (other_mm - one_mm) / (2 * round_mm), 0, 1)
    return other_mm + mix * (one_mm - other_mm) - np.float32(round_mm) * mix * (1 - mix)
