"""Random fetal brains in trans-thalamic planes: the patient, and what one plane shows.

Lengths are mm in the brain's own axes, from the middle between the thalami: `s` along the midline
towards the forehead, `n` across it towards the far hemisphere. Sizes are those of 18 to 32 weeks.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fetal_tf.data.phantom.head import Examination, draw_view, skull_thickness_mm
from fetal_tf.data.phantom.view import View, clipped_normal, either_side
from fetal_tf.edge.geometry.ellipse import Ellipse
from fetal_tf.edge.measure.clinical import intergrowth_reference

Condition = Literal["normal", "absent_csp", "large_csp", "ventriculomegaly"]
ANOMALIES: tuple[Condition, ...] = ("absent_csp", "large_csp", "ventriculomegaly")

PIXEL_SIZE_LIMITS_MM = (0.06, 0.25)
FRAME_SHAPES = ((540, 800), (480, 640), (400, 600))
_SMALLEST_FRAME_HC_MM = 225.0  # a larger head in a smaller frame would need a larger pixel
_WEEKS = (18.0, 32.0)
# In normal planes as in the published frames: a CSP in 584 and a ventricle in 505 of 1,565.
_CHANCES_OF_CSP_AND_LV: dict[Condition, tuple[float, float]] = {
    "normal": (0.37, 0.32),
    "absent_csp": (0.0, 0.6),
    "large_csp": (1.0, 0.32),
    "ventriculomegaly": (0.37, 1.0),
}
_BOTH_LV_SHOWN = 0.2
_HORN_DISCS = 20
_FAR_MM = 5.0
_HORN_CLEARANCE_MM = 0.8  # between a ventricle and the bone, or the midline


@dataclass(frozen=True)
class Patient:
    """One fetus: what stays the same in all of its planes.

    Attributes:
        examination: head size, shape, direction, number and size of its frames.
        condition: `normal` or an anomaly.
        forehead: 1 where the forehead lies towards +u of the head's ellipse, else -1.
        skull_mm: thickness of the bone.
        csp_share: area of the CSP, share of the area inside the skull.
        csp_aspect: its length over its width.
        atrium_mm: width of the lateral ventricle's atrium.
        horn_length: of the lateral ventricle, in semi-axes of the brain.
    """

    examination: Examination
    condition: Condition
    forehead: float
    skull_mm: float
    csp_share: float
    csp_aspect: float
    atrium_mm: float
    horn_length: float


@dataclass(frozen=True)
class Axes:
    """Where the brain's axes lie in the frame: origin in px, unit vector along the midline."""

    origin_x: float
    origin_y: float
    along_x: float
    along_y: float
    far: float
    mm_per_pixel: float

    def place_mm(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(s, n) of places in the frame, of the shape that `x` and `y` broadcast to."""
        x, y = x - np.float32(self.origin_x), y - np.float32(self.origin_y)
        scale = np.float32(self.mm_per_pixel)
        along_x, along_y = np.float32(self.along_x), np.float32(self.along_y)
        across = scale * np.float32(self.far)
        return (x * along_x + y * along_y) * scale, (y * along_x - x * along_y) * across


@dataclass(frozen=True)
class Box:
    """A rectangle with rounded corners on the midline: the CSP."""

    s: float
    half_length: float
    half_width: float

    @property
    def corner(self) -> float:
        return 0.45 * self.half_width

    def depth_mm(self, s: np.ndarray, n: np.ndarray) -> np.ndarray:
        """Distance to the border, positive inside."""
        over_s = np.abs(s - np.float32(self.s)) - np.float32(self.half_length - self.corner)
        over_n = np.abs(n) - np.float32(self.half_width - self.corner)
        outside = np.hypot(np.maximum(over_s, 0), np.maximum(over_n, 0))
        inside = np.minimum(np.maximum(over_s, over_n), 0)
        return np.float32(self.corner) - outside - inside


@dataclass(frozen=True)
class Horn:
    """A chain of discs from the body of a lateral ventricle to its occipital tip: (s, n, radius).

    Its widest disc is the atrium.
    """

    discs: np.ndarray

    def depth_mm(self, s: np.ndarray, n: np.ndarray) -> np.ndarray:
        """Distance to the border, positive inside; -5 where it is 5 mm or more outside."""
        discs = self.discs.astype(np.float32)
        low = (discs[:, :2] - discs[:, 2:]).min(0) - _FAR_MM
        high = (discs[:, :2] + discs[:, 2:]).max(0) + _FAR_MM
        # Twenty discs on a whole frame would take longer than the rest of the phantom.
        near = (s > low[0]) & (s < high[0]) & (n > low[1]) & (n < high[1])
        near_s, near_n = s[near], n[near]
        depth = np.full(near_s.shape, -_FAR_MM, np.float32)
        for disc_s, disc_n, radius in discs:
            np.maximum(depth, radius - np.hypot(near_s - disc_s, near_n - disc_n), out=depth)
        depths = np.full(s.shape, -_FAR_MM, np.float32)
        depths[near] = depth
        return depths


@dataclass(frozen=True)
class BrainPlane:
    """One frame: the view of the head, and which structures of the brain the plane shows.

    Attributes:
        view: the caliper ellipse, pixel size and probe.
        brain: the inner table of the skull.
        axes: the brain's axes in the frame.
        csp: the cavum septi pellucidi; None where the plane misses it or the patient has none.
        horns: the lateral ventricles that are shown, the far one first.
    """

    patient: Patient
    view: View
    brain: Ellipse
    axes: Axes
    csp: Box | None
    horns: tuple[Horn, ...]

    @property
    def half_length_mm(self) -> float:
        return self.brain.semi_major * self.view.mm_per_pixel

    @property
    def half_width_mm(self) -> float:
        return self.brain.semi_minor * self.view.mm_per_pixel


def draw_patient(rng: np.random.Generator, condition: Condition) -> Patient:
    """Draw a fetus of 18 to 32 weeks, mostly near the anomaly scan, with 1 to 5 frames."""
    weeks = float(np.clip(18.5 + rng.gamma(2.2, 2.2), *_WEEKS))
    norm = intergrowth_reference("hc", weeks)
    hc_mm = norm.mean_mm + norm.sd_mm * float(np.clip(rng.normal(), -2, 2))
    fitting = len(FRAME_SHAPES) if hc_mm < _SMALLEST_FRAME_HC_MM else len(FRAME_SHAPES) - 1
    frame_shape = FRAME_SHAPES[int(rng.integers(fitting))]
    examination = Examination(
        hc_mm=hc_mm,
        cephalic_index=clipped_normal(rng, 0.785, 0.04, (0.69, 0.89)),
        angle_deg=rng.normal(0.0, 9.0) if rng.random() < 0.92 else rng.uniform(0.0, 180.0),
        perimeter_px=rng.normal(1330.0, 130.0) * frame_shape[0] / FRAME_SHAPES[0][0],
        frames=1 + int(rng.choice(5, p=[0.42, 0.30, 0.16, 0.08, 0.04])),
        frame_shape=frame_shape,
    )
    normal_csp = rng.uniform(0.010, 0.015)
    normal_atrium = clipped_normal(rng, 7, 1, (5.2, 8.7))
    times, share = rng.uniform(2.0, 3.0), rng.random()
    return Patient(
        examination,
        condition,
        forehead=either_side(rng),
        skull_mm=skull_thickness_mm(hc_mm) * rng.uniform(0.75, 1.4),
        csp_share=normal_csp * (times if condition == "large_csp" else 1.0),
        csp_aspect=rng.uniform(2.0, 3.1),
        atrium_mm=_atrium_mm(condition, normal_atrium, share, hc_mm),
        horn_length=rng.uniform(0.32, 0.46) + (0.1 if condition == "ventriculomegaly" else 0.0),
    )


def _atrium_mm(condition: Condition, normal_mm: float, share: float, hc_mm: float) -> float:
    """Width of the atrium; `share` is the degree of an anomaly, 0..1."""
    if condition == "ventriculomegaly":
        # A hemisphere of 18 weeks has no room for 18 mm.
        return 10.9 + share * (min(17.4, 0.09 * hc_mm) - 10.9)
    if condition == "absent_csp":  # colpocephaly: mild, most of it behind
        return 8.0 + 3.0 * share
    return normal_mm


def draw_plane(patient: Patient, rng: np.random.Generator) -> BrainPlane:
    """Draw one of the patient's frames, and which structures it shows."""
    view = draw_view(patient.examination, rng, PIXEL_SIZE_LIMITS_MM)
    brain = view.ellipse.shrunk(patient.skull_mm / view.mm_per_pixel)
    axes = _draw_axes(patient, view, rng)
    csp_chance, lv_chance = _CHANCES_OF_CSP_AND_LV[patient.condition]
    shows_csp, shows_lv, shows_both = rng.random(3) < [csp_chance, lv_chance, _BOTH_LV_SHOWN]
    csp = _draw_csp(patient, brain, view.mm_per_pixel, rng) if shows_csp else None
    sides = () if not shows_lv else (1.0, -1.0) if shows_both else (1.0,)
    horns = tuple(_draw_horn(patient, brain, view.mm_per_pixel, side, rng) for side in sides)
    return BrainPlane(patient, view, brain, axes, csp, horns)


def _draw_axes(patient: Patient, view: View, rng: np.random.Generator) -> Axes:
    """Almost the axes of the ellipse, because heads are not quite symmetric."""
    head = view.ellipse
    turn = math.radians(head.angle_deg + clipped_normal(rng, 0.0, 1.2, (-2.5, 2.5)))
    cos, sin = math.cos(turn), math.sin(turn)
    shift = clipped_normal(rng, 0.0, 0.015, (-0.03, 0.03)) * head.semi_minor
    x, y = head.center_x - shift * sin, head.center_y + shift * cos
    along_x, along_y = patient.forehead * cos, patient.forehead * sin
    # The far side is where the beam through the middle leaves the brain.
    beam_x, beam_y = x - view.probe.apex_x, y - view.probe.apex_y
    far = 1.0 if along_x * beam_y - along_y * beam_x > 0 else -1.0
    return Axes(x, y, along_x, along_y, far, view.mm_per_pixel)


def _draw_csp(
    patient: Patient, brain: Ellipse, mm_per_pixel: float, rng: np.random.Generator
) -> Box:
    area_mm2 = patient.csp_share * rng.uniform(0.9, 1.1) * brain.area * mm_per_pixel**2
    aspect = patient.csp_aspect * rng.uniform(0.95, 1.05)
    # The rounded corners remove (4 - pi) · 0.45² times the squared half width.
    half_width = math.sqrt(area_mm2 / (4 * aspect - (4 - math.pi) * 0.45**2))
    place = rng.uniform(0.40, 0.47) * brain.semi_major * mm_per_pixel
    return Box(place, aspect * half_width, half_width)


def _draw_horn(
    patient: Patient, brain: Ellipse, mm_per_pixel: float, side: float, rng: np.random.Generator
) -> Horn:
    """The horn runs from beside the thalamus backwards and outwards, then back inwards."""
    half_length, half_width = brain.semi_major * mm_per_pixel, brain.semi_minor * mm_per_pixel
    along = np.linspace(0.0, 1.0, _HORN_DISCS)
    peak = 0.75 if patient.condition == "absent_csp" else rng.uniform(0.4, 0.5)
    radius = 0.5 * patient.atrium_mm * rng.uniform(0.97, 1.03) * _profile(along, peak)
    length = patient.horn_length * rng.uniform(0.93, 1.07) * half_length
    s = rng.uniform(-0.16, -0.04) * half_length - along * length
    bulge = rng.uniform(0.03, 0.10) * np.sin(np.pi * along) - rng.uniform(0.0, 0.06) * along**2
    n = half_width * (rng.uniform(0.38, 0.46) + bulge)
    # It stays inside the brain, although the midline is off by up to 2.5 degrees and 3 %.
    room = np.sqrt(np.clip(1 - (s / half_length) ** 2, 0, 1)) * half_width * 0.97
    room -= 0.05 * np.abs(s) + _HORN_CLEARANCE_MM
    radius = np.minimum(radius, (room - _HORN_CLEARANCE_MM) / 2)
    n = np.clip(n, radius + _HORN_CLEARANCE_MM, room - radius)
    return Horn(np.column_stack([s, side * n, radius]))


def _profile(along: np.ndarray, peak: float) -> np.ndarray:
    """Width along the horn, body 0 to tip 1, as a share of its width at the atrium, `peak`."""
    before, behind = (along - peak) / peak, (along - peak) / (1 - peak)
    return np.where(along < peak, 1 - 0.5 * before**2, 1 - 0.68 * behind**2)
