"""What a scanner meets in a trans-thalamic plane: falx, thalami, cavum, ventricles, fissures.

Look-alikes are painted too: a third ventricle and a cistern between bright walls on the midline,
the dark insula, dark sulci. So no threshold finds the CSP or the lateral ventricles.
"""

import cv2
import numpy as np

from fetal_tf.data.phantom.brain import Box, BrainPlane, Horn
from fetal_tf.data.phantom.canvas import Canvas, paint_body, paint_fluid, paint_shadow, paint_womb
from fetal_tf.data.phantom.head_tissue import paint_brain, paint_skull

_CSP_GAP_MM = 0.4


class BrainCanvas(Canvas):
    """A canvas that also knows the brain's axes.

    Attributes:
        s, n: place along the midline and across it, mm, see `phantom.brain`.
        half_length_mm, half_width_mm: semi-axes of the brain.
        inside: 1 in the brain, 0 in the bone, soft between.
    """

    def __init__(self, plane: BrainPlane, rng: np.random.Generator):
        super().__init__(plane.view, rng)
        self.plane = plane
        self.s, self.n = plane.axes.place_mm(self.beams.x, self.beams.y)
        self.half_length_mm, self.half_width_mm = plane.half_length_mm, plane.half_width_mm
        self.inside = np.clip(-self.outside_mm - plane.patient.skull_mm, 0, 1)

    def oval(self, s: float, n: float, half_s: float, half_n: float) -> np.ndarray:
        """1 inside an oval given in semi-axes of the brain, falling to 0 over its outer third."""
        along = (self.s / self.half_length_mm - s) / half_s
        across = (self.n / self.half_width_mm - n) / half_n
        return np.clip((1.15 - cv2.magnitude(along, across)) * 3, 0, 1)

    def strip(self, s: float, half_s: float, soft: float = 0.5) -> np.ndarray:
        """1 where `s` is within that part of the midline, in semi-axes, falling to 0 outwards."""
        off = np.abs(self.s / self.half_length_mm - s) / half_s
        return np.clip((1 - off) / soft, 0, 1)


def brain_canvas(plane: BrainPlane, rng: np.random.Generator) -> BrainCanvas:
    """Paint a frame on a new canvas; borders lie where `plane` says."""
    canvas = BrainCanvas(plane, rng)
    paint_womb(canvas)
    paint_fluid(canvas)
    paint_body(canvas, 0.3)
    paint_brain(canvas, rng.uniform(-36, -28))
    _paint_insula(canvas)
    _paint_sulci(canvas)
    _paint_thalami(canvas)
    _paint_midline(canvas)
    _paint_third_ventricle(canvas)
    _paint_cistern(canvas)
    _paint_frontal_horns(canvas)
    for horn in plane.horns:
        _paint_horn(canvas, horn)
    if not plane.horns:
        _paint_plexus(canvas)
    if plane.csp is not None:
        _paint_csp(canvas, plane.csp)
    paint_skull(canvas, np.float32(plane.patient.skull_mm))
    paint_shadow(canvas, 0.3)
    return canvas


def _paint_insula(canvas: BrainCanvas) -> None:
    """The Sylvian fissure of the far hemisphere: dark, with a bright floor; here and there."""
    rng = canvas.rng
    s, n = rng.uniform(-0.15, 0.2), rng.uniform(0.66, 0.76)
    half_s, half_n = rng.uniform(0.12, 0.24), rng.uniform(0.07, 0.13)
    shown = float(rng.random() < 0.75)
    fissure = canvas.oval(s, n, half_s, half_n) * canvas.inside
    canvas.darken(fissure, shown * rng.uniform(4, 14), -62)
    bend = rng.uniform(0.0, 0.5) * np.square(canvas.s / canvas.half_length_mm - s)
    floor_mm = canvas.n - (n - half_n + bend) * canvas.half_width_mm
    patches = np.clip(0.6 + 0.6 * canvas.texture(16, 16), 0, 1)
    strength = shown * rng.uniform(0.02, 0.22)
    canvas.surface += canvas.shine(floor_mm) * canvas.strip(s, half_s * 1.2) * patches * strength


def _paint_sulci(canvas: BrainCanvas) -> None:
    """Fluid over the brain, and fissures that reach in from the skull or from the midline."""
    rng = canvas.rng
    rim_mm = -canvas.outside_mm - canvas.plane.patient.skull_mm
    rim = np.clip(1.5 - rim_mm / rng.uniform(0.8, 3.0), 0, 1) * canvas.inside
    far = np.clip(-canvas.facing + 0.3, 0, 1)
    canvas.darken(rim * far * np.clip(0.6 + canvas.texture(9, 9), 0, 1), rng.uniform(3, 15), -62)
    for _ in range(rng.integers(1, 6)):
        s, n = rng.uniform(-0.75, 0.75), rng.uniform(-0.75, 0.75)
        size = rng.uniform(0.04, 0.11)
        spot = canvas.oval(s, n, size * rng.uniform(0.8, 1.6), size) * canvas.inside
        canvas.darken(spot, rng.uniform(2, 13), -60)


def _paint_thalami(canvas: BrainCanvas) -> None:
    """Two dark ovals beside the middle, like halves of a heart."""
    rng = canvas.rng
    half_s, half_n = rng.uniform(0.19, 0.26), rng.uniform(0.12, 0.17)
    s, by_db = rng.uniform(-0.08, 0.03), rng.uniform(3, 8)
    rim = rng.uniform(0, 3)
    for side in (1.0, -1.0):
        n = side * (half_n + 0.02)
        body = canvas.oval(s, n, half_s, half_n)
        halo = canvas.oval(s, n, half_s * 1.3, half_n * 1.35) - body
        canvas.scatter_db += halo * rim
        canvas.darken(body, by_db, -55)


def _paint_midline(canvas: BrainCanvas) -> None:
    """The falx, unbroken but for the thalami and the CSP; in agenesis it stops in front."""
    rng, plane = canvas.rng, canvas.plane
    place = canvas.s / canvas.half_length_mm
    ends = rng.uniform(0.86, 0.97)
    shown = np.clip(0.8 + 0.35 * canvas.texture(14, 14), 0.35, 1.2)
    shown *= np.abs(place) < ends
    shown *= 1 - 0.75 * canvas.oval(-0.03, 0.0, 0.22, 1.0)
    if plane.csp is not None:
        free = np.abs(canvas.s - plane.csp.s) > plane.csp.half_length + _CSP_GAP_MM
        shown *= free
    if plane.patient.condition == "absent_csp":
        shown *= 1 - canvas.oval(rng.uniform(0.38, 0.46), 0.0, rng.uniform(0.24, 0.32), 1.0)
    strength = rng.uniform(0.12, 0.45)
    canvas.surface += canvas.shine(canvas.n) * shown * strength * (canvas.inside > 0)
    haze = np.exp(-((canvas.n / 1.1) ** 2)) * shown * canvas.inside
    canvas.scatter_db += haze * rng.uniform(1, 7)


def _paint_third_ventricle(canvas: BrainCanvas) -> None:
    """A slit between the thalami, its walls bright."""
    rng = canvas.rng
    half_mm, reach = rng.uniform(0.35, 1.0), rng.uniform(0.08, 0.17)
    shown = canvas.oval(-0.04, 0.0, reach, 1.0) * float(rng.random() < 0.7)
    canvas.darken(np.clip(half_mm + 0.5 - np.abs(canvas.n), 0, 1) * shown, rng.uniform(3, 12), -60)
    canvas.surface += canvas.shine(np.abs(canvas.n) - half_mm) * shown * rng.uniform(0.05, 0.3)


def _paint_cistern(canvas: BrainCanvas) -> None:
    """Behind the thalami a dark wedge on the midline: quadrigeminal cistern, no CSP."""
    rng = canvas.rng
    s, half_s, half_n = rng.uniform(-0.45, -0.3), rng.uniform(0.05, 0.13), rng.uniform(0.05, 0.13)
    shown = float(rng.random() < 0.6)
    wedge = canvas.oval(s, 0.0, half_s, half_n * (1 - 0.4 * rng.random()))
    canvas.darken(wedge, shown * rng.uniform(5, 16), -62)
    taper = 1 - rng.uniform(0.0, 2.5) * (canvas.s / canvas.half_length_mm - s)
    wall_mm = np.abs(canvas.n) - half_n * canvas.half_width_mm * taper
    strength = shown * rng.uniform(0.0, 0.3)
    canvas.surface += canvas.shine(wall_mm) * canvas.strip(s, half_s * 1.3) * strength


def _paint_frontal_horns(canvas: BrainCanvas) -> None:
    """Slits beside the cavum; without corpus callosum they stand wide apart and straight."""
    rng = canvas.rng
    agenesis = canvas.plane.patient.condition == "absent_csp"
    shown = 1.0 if agenesis else float(rng.random() < 0.3)
    n = rng.uniform(0.30, 0.40) if agenesis else rng.uniform(0.16, 0.22)
    s, half_s = rng.uniform(0.40, 0.48), rng.uniform(0.14, 0.2)
    for side in (1.0, -1.0):
        slit = canvas.oval(s, side * n, half_s, rng.uniform(0.025, 0.05))
        canvas.darken(slit, shown * rng.uniform(4, 12), -60)
        wall_mm = canvas.n - side * (n + 0.05) * canvas.half_width_mm
        strength = shown * rng.uniform(0.02, 0.15)
        canvas.surface += canvas.shine(wall_mm) * canvas.strip(s, half_s) * strength


def _paint_plexus(canvas: BrainCanvas) -> None:
    """Choroid plexus whose ventricle this plane does not open."""
    rng = canvas.rng
    for side in (1.0, -1.0):
        patches = np.clip(0.7 + 0.5 * canvas.texture(18, 16), 0, 1.3)
        plexus = canvas.oval(
            rng.uniform(-0.45, -0.2),
            side * rng.uniform(0.36, 0.5),
            rng.uniform(0.1, 0.2),
            rng.uniform(0.05, 0.1),
        )
        strength = rng.uniform(0, 9) * float(rng.random() < 0.6)
        canvas.scatter_db += plexus * patches * strength


def _paint_csp(canvas: BrainCanvas, csp: Box) -> None:
    """Dark fluid between the two leaves of the septum, closed in front by the corpus callosum."""
    rng = canvas.rng
    depth_mm = csp.depth_mm(canvas.s, canvas.n)
    fluid = np.clip(0.5 + depth_mm * 2, 0, 1)
    canvas.darken(fluid, rng.uniform(4, 15), -64)
    leaves = canvas.shine(np.abs(canvas.n) - csp.half_width)
    leaves *= np.clip((csp.half_length - np.abs(canvas.s - csp.s)) * 2, 0, 1)
    ends = canvas.shine(depth_mm) * (np.abs(canvas.n) < csp.half_width)
    strength = rng.uniform(0.08, 0.45)
    canvas.surface += np.maximum(leaves, 0.5 * ends) * strength


def _paint_horn(canvas: BrainCanvas, horn: Horn) -> None:
    """Fluid in bright walls, with the choroid plexus in its front part; the near one is hazy."""
    rng = canvas.rng
    near = horn.discs[0, 1] < 0
    clear = rng.uniform(0.35, 0.8) if near else 1.0
    depth_mm = horn.depth_mm(canvas.s, canvas.n)
    fluid = np.clip(0.5 + depth_mm * 2, 0, 1)
    canvas.darken(fluid, clear * rng.uniform(6, 18), -64)
    wall = canvas.shine(depth_mm) * np.clip(0.7 + 0.6 * canvas.texture(16, 16), 0, 1.3)
    canvas.surface += wall * clear * rng.uniform(0.1, 0.4)
    front, atrium = horn.discs[2], horn.discs[np.argmax(horn.discs[:, 2])]
    radius = min(float(atrium[2]), 4.5) * rng.uniform(0.55, 0.85)
    # The plexus hangs on the body of the ventricle; in a wide one it sinks to the lower wall.
    dangle = np.sign(atrium[1]) * max(0.0, float(atrium[2]) - radius - 0.8) * (-1 if near else 1)
    middle = (front[:2] + atrium[:2]) / 2 + np.array([0.0, dangle])
    along, across = canvas.s - np.float32(middle[0]), canvas.n - np.float32(middle[1])
    reach = max(0.6 * float(np.hypot(*(front - atrium)[:2])), radius)
    level = cv2.magnitude(along / np.float32(reach), across / np.float32(radius))
    plexus = np.clip((1.15 - level) * 3, 0, 1) * fluid
    patches = np.clip(0.8 + 0.4 * canvas.texture(24, 20), 0.1, 1.3)
    canvas.scatter_db += plexus * patches * clear * rng.uniform(13, 24)
