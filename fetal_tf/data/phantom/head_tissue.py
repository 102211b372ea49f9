"""What a scanner meets around and inside a fetal head: womb, fluid, body, brain and skull.

Painted from the outside in on samples along the beams. Levels are dB below the brightest bone.
"""

import cv2
import numpy as np

from fetal_tf.data.phantom.head import View
from fetal_tf.data.phantom.head_canvas import TABLE, Canvas, either_side
from fetal_tf.data.phantom.scanner import Beams, Tissue


def head_tissue(view: View, beams: Beams, rng: np.random.Generator) -> Tissue:
    """The tissue of one frame; the skull's outer border is the caliper ellipse of `view`."""
    canvas = Canvas(view, beams, rng)
    paint_womb(canvas)
    paint_fluid(canvas)
    if rng.random() < (0.6 if view.early else 0.35):
        paint_body(canvas)
    paint_brain(canvas, rng.uniform(-43, -34) if view.early else rng.uniform(-41, -31))
    _paint_midline(canvas)
    _paint_plexus(canvas)
    paint_skull(canvas, _draw_wall_mm(canvas))
    if rng.random() < 0.4:
        paint_shadow(canvas)
    return canvas.tissue()


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


def paint_body(canvas: Canvas) -> None:
    """Neck, trunk or a limb beside one end of the head, with bone of its own."""
    rng = canvas.rng
    side, half_u = either_side(rng), rng.uniform(0.35, 1.0)
    place_v, half_v = rng.uniform(-0.5, 0.5), rng.uniform(0.4, 0.9)
    place_u = side * (1.0 + half_u * rng.uniform(0.75, 1.0))
    body = canvas.blob(place_u, place_v, half_u, half_v) * (canvas.level > 1)
    flesh_db = rng.uniform(-30, -21) + 4 * canvas.texture(14, 12)
    canvas.scatter_db += body * (flesh_db - canvas.scatter_db)
    bone = np.clip(canvas.texture(26, 22) - 1.2, 0, 1) * body
    canvas.surface += bone * rng.uniform(0.1, 0.6)
    canvas.cost_db_per_mm += body * 0.15 + bone * 2.0


def paint_brain(canvas: Canvas, brain_db: float) -> None:
    """Brain, darker than the womb; the half under the near skull drowns in its echoes."""
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
    """Choroid plexus in its dark ventricle: both large when early, the far one clear later."""
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


def skull_thickness_mm(hc_mm: float) -> float:
    """Bone of a fetal head as a scanner shows it, blurred by the pulse."""
    return 0.9 + 0.005 * hc_mm


def paint_skull(canvas: Canvas, wall_mm: np.ndarray | np.float32) -> None:
    """Bone inside the caliper ellipse: bright across the beam, lost along it, open at sutures.

    At the depth `wall_mm` it has faded to half: that is the inner table.
    """
    rng = canvas.rng
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
    """1 where bone is, down to 0.1 at a few sutures and windows, (TABLE,)."""
    turn_deg = np.linspace(0, 360, TABLE, endpoint=False)
    bone = np.ones(TABLE)
    for _ in range(rng.integers(1, 6)):
        away_deg = np.abs((turn_deg - rng.uniform(0, 360) + 180) % 360 - 180)
        bone *= np.clip((away_deg - rng.uniform(-1, 8)) / rng.uniform(2, 8), 0.1, 1)
    return bone


def paint_shadow(canvas: Canvas) -> None:
    """Gas, a rib or a lifted probe: some beams lose most of their strength at the skin."""
    rng = canvas.rng
    beam = np.linspace(0, 1, canvas.beams.shape[1], dtype=np.float32)
    edge = rng.random() < 0.6
    place = rng.integers(2) if edge else rng.uniform(0.1, 0.9)
    width = rng.uniform(0.04, 0.2) if edge else rng.uniform(0.02, 0.08)
    lost_db = rng.uniform(4, 20) * np.exp(-(((beam - place) / width) ** 2))
    rows = max(1, canvas.beams.shape[0] // 20)
    canvas.cost_db_per_mm[:rows] += lost_db / (rows * canvas.beams.step_px[0] * canvas.mm_per_pixel)
