"""Random four-chamber views: the ellipses of chest and heart, their directions, and the probe.

Sizes follow FOCUS' training and validation frames: frame sizes, thoracic semi-axis 122 to 319 px at
a width of 959, axis ratios, cardiothoracic ratio 0.35 to 0.58, distance of the heart from the
middle. Directions are degrees from +x towards +y (down), as those of `Ellipse`.
"""

import math
from dataclasses import dataclass

import numpy as np

from fetal_tf.data.phantom.view import View, clipped_normal, either_side, probe_above, reach
from fetal_tf.edge.geometry.ellipse import Ellipse

FRAME_SHAPES = ((661, 959), (787, 1137), (663, 961), (448, 740), (392, 640))
_FRAME_SHARES = (0.75, 0.09, 0.08, 0.05, 0.03)
_REFERENCE_WIDTH = 959
THORAX_SEMI_MINOR_LIMITS = (122.0, 318.0)
CTR_LIMITS = (0.34, 0.58)
_BEYOND_FRAME = 0.02  # how far a thorax reaches over the frame's edge, share of the frame
_CLOSEST_TO_WALL = 0.97  # of the way from the middle of the thorax to its border


@dataclass(frozen=True)
class Chest:
    """One frame: the view of the thorax, the heart inside, and how the fetus lies.

    Attributes:
        view: outer border of the ribs, pixel size and probe.
        heart: outer border of the heart; both ellipses are in tenths of a px and of a degree.
        apex_deg: where the apex points, 0..360, along the heart's long axis.
        anterior_deg: from the spine to the sternum, 0..360.
        left: 1 where the fetus' left lies 90° after the sternum, -1 where it lies 90° before.
    """

    view: View
    heart: Ellipse
    apex_deg: float
    anterior_deg: float
    left: float

    @property
    def ellipses(self) -> dict[str, Ellipse]:
        """The annotated outlines by structure."""
        return {"thorax": self.view.ellipse, "heart": self.heart}


def draw_chest(rng: np.random.Generator) -> Chest:
    """Draw a fetus of the second or third trimester in one of the frame sizes."""
    frame_shape = FRAME_SHAPES[int(rng.choice(len(FRAME_SHAPES), p=_FRAME_SHARES))]
    # Mostly, examiners wait until the apex points towards the probe.
    apex_deg = rng.normal(-50.0, 45.0) if rng.random() < 0.7 else rng.uniform(0.0, 360.0)
    left = either_side(rng)
    anterior_deg = apex_deg - left * clipped_normal(rng, 47.0, 9.0, (25.0, 70.0))
    thorax = _draw_thorax(frame_shape, anterior_deg + left * rng.normal(20.0, 20.0), rng)
    heart = _draw_heart(thorax, apex_deg, rng)
    turned = abs((apex_deg - heart.angle_deg + 180.0) % 360.0 - 180.0) > 90.0
    circumference_mm = clipped_normal(rng, 170.0, 32.0, (115.0, 270.0))
    mm_per_pixel = circumference_mm / thorax.perimeter
    probe = probe_above(
        thorax,
        reach(thorax.semi_major, thorax.semi_minor, thorax.angle_deg)[1],
        mm_per_pixel,
        curvature_mm=rng.uniform(35.0, 60.0),
        gap_mm=rng.uniform(8.0, 50.0),
        aside_mm=rng.normal(0.0, 9.0),
        below_mm=rng.uniform(3.0, 60.0),
        half_angle_deg=rng.uniform(24.0, 38.0),
        seen_share=rng.uniform(0.98, 1.25),
    )
    return Chest(
        View(thorax, mm_per_pixel, probe, frame_shape),
        heart,
        apex_deg=heart.angle_deg + (180.0 if turned else 0.0),
        anterior_deg=anterior_deg % 360.0,
        left=left,
    )


def _draw_thorax(
    frame_shape: tuple[int, int], angle_deg: float, rng: np.random.Generator
) -> Ellipse:
    """The thorax lies near the middle of the frame; seldom it reaches a little over the edge."""
    height, width = frame_shape
    semi_minor = (
        clipped_normal(rng, 226.0, 40.0, THORAX_SEMI_MINOR_LIMITS) * width / _REFERENCE_WIDTH
    )
    ratio = clipped_normal(rng, 0.9, 0.055, (0.74, 0.99))
    while True:
        reach_x, reach_y = reach(semi_minor / ratio, semi_minor, angle_deg)
        room_x = width * (0.5 + _BEYOND_FRAME) - reach_x
        room_y = height * (0.5 + _BEYOND_FRAME) - reach_y
        if min(room_x, room_y) >= 0:
            break
        semi_minor *= 0.97
    off_x = float(np.clip(rng.normal(-0.01, 0.08) * width, -room_x, room_x))
    off_y = float(np.clip(rng.normal(0.0, 0.06) * height, -room_y, room_y))
    return _in_tenths(
        (width - 1) / 2 + off_x, (height - 1) / 2 + off_y, semi_minor / ratio, semi_minor, angle_deg
    )


def _draw_heart(thorax: Ellipse, apex_deg: float, rng: np.random.Generator) -> Ellipse:
    """The heart lies off the middle, towards its apex, wholly inside the chest wall."""
    semi_minor = thorax.semi_minor * clipped_normal(rng, 0.447, 0.042, CTR_LIMITS)
    # A longer heart would not fit even at the centre; rounding to tenths of a px needs some room.
    least = semi_minor / thorax.semi_minor / (_CLOSEST_TO_WALL - 0.02)
    ratio = max(clipped_normal(rng, 0.735, 0.058, (0.58, 0.9)), least)
    towards = math.radians(apex_deg + rng.normal(0.0, 18.0))
    off = clipped_normal(rng, 0.39, 0.05, (0.2, 0.54)) * (thorax.semi_major + thorax.semi_minor) / 2
    while True:
        heart = _in_tenths(
            thorax.center_x + off * math.cos(towards),
            thorax.center_y + off * math.sin(towards),
            semi_minor / ratio,
            semi_minor,
            apex_deg,
        )
        border = thorax.semi_minor * (_CLOSEST_TO_WALL - 1)
        if thorax.distances(heart.points()).max() <= border:
            return heart
        off *= 0.97


def _in_tenths(*numbers: float) -> Ellipse:
    """The ellipse rounded as FOCUS' files hold it, so that the files tell exactly what is drawn."""
    center_x, center_y, semi_major, semi_minor, angle_deg = (round(n, 1) for n in numbers)
    return Ellipse(center_x, center_y, semi_major, semi_minor, round(angle_deg % 180.0, 1))
