"""Random fetal heads: how large, where in the frame, seen by which probe at which settings.

Numbers follow HC18's frames: head circumference 44 to 346 mm, pixel size 0.05 to 0.39 mm, cephalic
index 0.68 to 0.93, most heads lying across the beam.
"""

import math
from dataclasses import dataclass

import numpy as np

from fetal_tf.data.phantom.scanner import Probe, Settings
from fetal_tf.edge.geometry.contours import Ellipse, ramanujan_perimeter

FRAME_SHAPE = (540, 800)
HC_LIMITS_MM = (44.0, 346.0)
PIXEL_SIZE_LIMITS_MM = (0.05, 0.39)
_MARGIN_PX = 14
_FIRST_TRIMESTER_HC_MM = 110.0


@dataclass(frozen=True)
class Examination:
    """One fetus as one examiner finds it; each frame differs from it a little.

    Attributes:
        hc_mm: head circumference.
        cephalic_index: short over long axis, 0..1.
        angle_deg: direction of the long axis.
        perimeter_px: how large the examiner makes the head.
        frames: number of frames kept.
    """

    hc_mm: float
    cephalic_index: float
    angle_deg: float
    perimeter_px: float
    frames: int


@dataclass(frozen=True)
class View:
    """One frame of a head: where it lies, how large a pixel is, where the probe stands."""

    ellipse: Ellipse
    mm_per_pixel: float
    probe: Probe

    @property
    def early(self) -> bool:
        """First trimester: large choroid plexuses in a dark brain, much fluid around."""
        return self.ellipse.perimeter * self.mm_per_pixel < _FIRST_TRIMESTER_HC_MM


def draw_examination(rng: np.random.Generator) -> Examination:
    """A head of a random age: one in six of the first trimester, one in six of the third."""
    means, spreads = (80.0, 176.0, 290.0), (16.0, 18.0, 28.0)
    age = rng.choice(3, p=[0.17, 0.66, 0.17])
    hc_mm = float(np.clip(rng.normal(means[age], spreads[age]), 45.5, 338.0))
    early = hc_mm < _FIRST_TRIMESTER_HC_MM
    return Examination(
        hc_mm=hc_mm,
        cephalic_index=float(np.clip(rng.normal(0.795, 0.045), 0.69, 0.91)),
        angle_deg=rng.normal(0.0, 8.0) if rng.random() < 0.85 else rng.uniform(0.0, 180.0),
        perimeter_px=rng.normal(1000.0, 200.0) if early else rng.normal(1340.0, 170.0),
        frames=1 + int(rng.choice(4, p=[0.8, 0.16, 0.03, 0.01])),
    )


def draw_view(
    examination: Examination,
    rng: np.random.Generator,
    frame_shape: tuple[int, int] = FRAME_SHAPE,
    pixel_size_limits_mm: tuple[float, float] = PIXEL_SIZE_LIMITS_MM,
) -> View:
    """One of its frames: another plane through the head, wholly inside the frame."""
    hc_mm = float(np.clip(examination.hc_mm * rng.normal(1.0, 0.012), *HC_LIMITS_MM))
    ratio = float(np.clip(examination.cephalic_index + rng.normal(0.0, 0.01), 0.68, 0.92))
    angle_deg = examination.angle_deg + rng.normal(0.0, 3.0)
    # Perimeters that keep the pixel size within its limits, a little inside for rounding's sake.
    smallest, largest = (hc_mm / limit for limit in pixel_size_limits_mm[::-1])
    perimeter_px = float(
        np.clip(
            examination.perimeter_px * rng.normal(1.0, 0.03),
            max(470.0, smallest * 1.01),
            largest * 0.99,
        )
    )
    height, width = frame_shape
    while True:
        semi_major = perimeter_px / float(ramanujan_perimeter(1.0, ratio))
        reach_y, reach_x = _reach(semi_major, semi_major * ratio, angle_deg)
        room_y, room_x = height / 2 - _MARGIN_PX - reach_y, width / 2 - _MARGIN_PX - reach_x
        if min(room_y, room_x) >= 0:
            break
        perimeter_px *= 0.97
    ellipse = Ellipse(
        (width - 1) / 2 + float(np.clip(rng.normal(-8.0, 65.0), -room_x, room_x)),
        (height - 1) / 2 + float(np.clip(rng.normal(0.0, 45.0), -room_y, room_y)),
        semi_major,
        semi_major * ratio,
        angle_deg,
    )
    # Nine decimals are what the CSV holds; head circumferences must follow from those.
    mm_per_pixel = round(hc_mm / ellipse.perimeter, 9)
    return View(ellipse, mm_per_pixel, _draw_probe(ellipse, mm_per_pixel, reach_y, rng))


def _reach(semi_major: float, semi_minor: float, angle_deg: float) -> tuple[float, float]:
    """Half the extent of an ellipse along y and along x."""
    cos, sin = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    return (
        math.hypot(semi_major * sin, semi_minor * cos),
        math.hypot(semi_major * cos, semi_minor * sin),
    )


def _draw_probe(
    head: Ellipse, mm_per_pixel: float, reach_y: float, rng: np.random.Generator
) -> Probe:
    """A curved array above the head, its face 10 to 45 mm away from the skull."""
    curvature_px = rng.uniform(38.0, 60.0) / mm_per_pixel
    gap_px = rng.uniform(10.0, 45.0) / mm_per_pixel
    below_px = rng.uniform(8.0, 60.0) / mm_per_pixel
    apex_x = head.center_x + rng.normal(0.0, 7.0) / mm_per_pixel
    apex_y = head.center_y - reach_y - gap_px - curvature_px
    x, y = (head.points() - [apex_x, apex_y]).T
    to_see_all = float(np.abs(np.arctan2(x, y)).max())
    return Probe(
        apex_x,
        apex_y,
        near_px=curvature_px,
        far_px=head.center_y + reach_y + below_px - apex_y,
        # Examiners lose a sliver of the head at the edge of the sector, hardly more.
        half_angle_rad=max(
            math.radians(rng.uniform(29.0, 40.0)), to_see_all * rng.uniform(0.97, 1.1)
        ),
    )


def draw_settings(view: View, rng: np.random.Generator) -> Settings:
    """Knobs as different examiners leave them; the pulse has a size in mm."""
    return Settings(
        pulse_px=(
            rng.uniform(0.18, 0.30) / view.mm_per_pixel,
            rng.uniform(0.30, 0.62) / view.mm_per_pixel,
        ),
        gain_db=rng.uniform(-9.0, 1.0),
        slope_db=rng.uniform(-8.0, 4.0),
        dynamic_range_db=rng.uniform(46.0, 60.0),
        gamma=rng.uniform(1.3, 1.9),
        noise_db=rng.uniform(-66.0, -50.0),
        looks=int(rng.integers(2, 6)),
    )
