"""What a scanner meets in a plane through a fetal head: brain, midline, plexus and skull."""

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
from fetal_tf.data.phantom.head import skull_thickness_mm
from fetal_tf.data.phantom.view import View, either_side


def head_canvas(view: View, rng: np.random.Generator) -> Canvas:
    """Paint a frame on a new canvas; the skull's outer border is the outline of `view`."""
    canvas = Canvas(view, rng)
    paint_womb(canvas)
    paint_fluid(canvas)
    paint_body(canvas, 0.6 if view.early else 0.35)
    paint_brain(canvas, rng.uniform(-43, -34) if view.early else rng.uniform(-41, -31))
    _paint_midline(canvas)
    _paint_plexus(canvas)
    paint_skull(canvas, _draw_wall_mm(canvas))
    paint_shadow(canvas, 0.4)
    return canvas


def paint_brain(canvas: Canvas, brain_db: float) -> None:
    """Brain, darker than the womb; echoes of the near skull cover the half below it."""
    rng = canvas.rng
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


def _paint_midline(canvas: Canvas) -> None:
    """Falx with gaps, the walls of the cavum beside it, and a ventricle's wall on the far side."""
    rng = canvas.rng
    semi_minor_mm = canvas.view.ellipse.semi_minor * canvas.mm_per_pixel
    bend = rng.normal(0, 0.03) + rng.normal(0, 0.03) * canvas.u
    falx_mm = (canvas.v - bend) * semi_minor_mm
    cavum_u, half_length = either_side(rng) * rng.uniform(0.3, 0.5), rng.uniform(0.08, 0.16)
    cavum = np.abs(canvas.u - cavum_u) < half_length
    falx_mm = np.where(cavum, np.abs(falx_mm) - rng.uniform(1.0, 2.2), falx_mm)
    wall_mm = either_side(rng) * falx_mm - semi_minor_mm * (
        rng.uniform(0.25, 0.4) + 0.12 * canvas.u**2
    )
    facing = 0.15 + 0.85 * canvas.across_u**4
    for off_mm, strength in ((falx_mm, 0.5), (wall_mm, 0.25)):
        patches = np.interp(np.arange(TABLE), np.linspace(0, TABLE, 14), rng.uniform(-0.5, 1, 14))
        index = np.clip((canvas.u + 1) * (TABLE / 2), 0, TABLE - 1).astype(np.int32)
        shown = np.clip(patches, 0, 1).astype(np.float32)[index]
        shown *= np.abs(canvas.u) < rng.uniform(0.6, 0.93)
        shine = np.exp(-((off_mm / 0.45) ** 2)) * shown * facing
        canvas.surface += shine * rng.uniform(0.1, 1.0) * strength * (canvas.level < 0.95)


def _paint_plexus(canvas: Canvas) -> None:
    """Choroid plexus in dark ventricles: early both are large, later only the far one is clear."""
    rng, early = canvas.rng, canvas.view.early
    far = -1.0 if (canvas.facing * canvas.v)[-1].mean() > 0 else 1.0
    side = either_side(rng)
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


def _draw_wall_mm(canvas: Canvas) -> np.ndarray:
    """Thickness of the bone at every sample, uneven around the head."""
    hc_mm = canvas.view.ellipse.perimeter * canvas.view.mm_per_pixel
    thickness_mm = skull_thickness_mm(hc_mm) * canvas.rng.uniform(0.75, 1.5)
    return canvas.around(thickness_mm * np.clip(1 + canvas.wobble(6, 0.2), 0.6, 1.5))


def paint_skull(canvas: Canvas, wall_mm: np.ndarray | np.float32) -> None:
    """Bone inside the caliper ellipse: bright across the beam, lost along it, open at sutures.

    Its echo has fallen to half at the depth `wall_mm`, the inner table.
    """
    rng = canvas.rng
    bone = _bone(rng) * np.clip(1 + canvas.wobble(3, 0.3) + canvas.wobble(14, 0.25), 0.1, 1.7)
    grain = np.clip(1 + 0.35 * canvas.texture(50, 60), 0.2, 2)
    # The echo has half its height on the ellipse and fades towards the brain.
    depth = -canvas.outside_mm / wall_mm
    profile = np.clip(0.5 + depth * 2.5, 0, 1) * np.clip(1.6 - depth * 1.1, 0, 1)
    across = np.abs(canvas.facing) ** rng.uniform(3.0, 8.0)
    far_loss = np.where(canvas.facing > 0, np.float32(1), np.float32(rng.uniform(0.6, 1.6)))
    seen = canvas.around(bone) * (0.03 + 0.97 * across) * far_loss * rng.uniform(0.35, 1.5)
    canvas.surface += profile * seen * grain * 0.8
    bone_db = 20 * np.log10(seen * 0.6 + 1e-3)
    canvas.brighten(profile, bone_db)
    canvas.cost_db_per_mm += profile * canvas.around(bone) * (rng.uniform(1.0, 4.0) / wall_mm)


def _bone(rng: np.random.Generator) -> np.ndarray:
    """1 where bone is, down to 0.1 at a few sutures and windows, (TABLE,)."""
    bone = np.ones(TABLE)
    for _ in range(rng.integers(1, 6)):
        away_deg = degrees_from(rng.uniform(0, 360))
        bone *= np.clip((away_deg - rng.uniform(-1, 8)) / rng.uniform(2, 8), 0.1, 1)
    return bone
