"""The view of one frame: the measured outline, the pixel size, the probe and its settings.

A seed gives the same numbers only while they are drawn in the same order: do not change it.
"""

import math
from dataclasses import dataclass

import numpy as np

from fetal_tf.data.phantom.scanner import Probe, Settings
from fetal_tf.edge.geometry.ellipse import Ellipse

FIRST_TRIMESTER_HC_MM = 110.0
_Range = tuple[float, float]


@dataclass(frozen=True)
class View:
    """What one frame shows and how it was taken.

    Attributes:
        ellipse: the outline that is measured: outer border of the skull or of the ribs, px.
        mm_per_pixel: size of a pixel.
        probe: where the probe stands.
        frame_shape: (height, width), px.
    """

    ellipse: Ellipse
    mm_per_pixel: float
    probe: Probe
    frame_shape: tuple[int, int]

    @property
    def early(self) -> bool:
        """First trimester: large choroid plexuses in a dark brain, much fluid around."""
        return self.ellipse.perimeter * self.mm_per_pixel < FIRST_TRIMESTER_HC_MM


def clipped_normal(
    rng: np.random.Generator, mean: float, spread: float, limits: tuple[float, float]
) -> float:
    """A normally distributed number, moved to the nearer limit where it lies outside."""
    return float(np.clip(rng.normal(mean, spread), *limits))


def either_side(rng: np.random.Generator) -> float:
    """1 or -1, equally often."""
    return 1.0 if rng.random() < 0.5 else -1.0


def reach(semi_major: float, semi_minor: float, angle_deg: float) -> tuple[float, float]:
    """Half the extent of an ellipse along x and along y."""
    cos, sin = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    return (
        math.hypot(semi_major * cos, semi_minor * sin),
        math.hypot(semi_major * sin, semi_minor * cos),
    )


def probe_above(
    outline: Ellipse,
    reach_y: float,
    mm_per_pixel: float,
    *,
    curvature_mm: float,
    gap_mm: float,
    below_mm: float,
    aside_mm: float,
    half_angle_deg: float,
    seen_share: float,
) -> Probe:
    """A curved array above `outline`, which extends `reach_y` px up and down from its centre.

    The array's radius is `curvature_mm`; its middle stands `aside_mm` beside the outline's centre
    and `gap_mm` above the outline; the sector ends `below_mm` below it. Its half angle is
    `half_angle_deg`, or more where that would show less than `seen_share` of the outline's.
    """
    curvature_px = curvature_mm / mm_per_pixel
    apex_x = outline.center_x + aside_mm / mm_per_pixel
    apex_y = outline.center_y - reach_y - gap_mm / mm_per_pixel - curvature_px
    x, y = (outline.points() - [apex_x, apex_y]).T
    to_see_all = float(np.abs(np.arctan2(x, y)).max())
    return Probe(
        apex_x,
        apex_y,
        near_px=curvature_px,
        far_px=outline.center_y + reach_y + below_mm / mm_per_pixel - apex_y,
        half_angle_rad=max(math.radians(half_angle_deg), to_see_all * seen_share),
    )


def draw_settings(
    view: View,
    rng: np.random.Generator,
    *,
    pulse_mm: tuple[_Range, _Range] = ((0.18, 0.30), (0.30, 0.62)),
    gain_db: _Range = (-9.0, 1.0),
    dynamic_range_db: _Range = (46.0, 60.0),
    noise_db: _Range = (-66.0, -50.0),
    looks: tuple[int, int] = (2, 6),
) -> Settings:
    """Settings as different examiners leave them, each within its range; the defaults are heads'.

    `pulse_mm` is the pulse's size along and across the beam; the upper end of `looks` is excluded.
    """
    along_mm, across_mm = pulse_mm
    return Settings(
        pulse_px=(
            rng.uniform(*along_mm) / view.mm_per_pixel,
            rng.uniform(*across_mm) / view.mm_per_pixel,
        ),
        gain_db=rng.uniform(*gain_db),
        slope_db=rng.uniform(-8.0, 4.0),
        dynamic_range_db=rng.uniform(*dynamic_range_db),
        gamma=rng.uniform(1.3, 1.9),
        noise_db=rng.uniform(*noise_db),
        looks=int(rng.integers(*looks)),
    )
