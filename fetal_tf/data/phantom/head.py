"""Random fetal heads: size, shape, place in the frame, and the probe.

Sizes follow HC18's frames: head circumference 44 to 346 mm, pixel size 0.05 to 0.39 mm, cephalic
index 0.68 to 0.93; most heads lie across the beam.
"""

from dataclasses import dataclass

import numpy as np

from fetal_tf.data.phantom.view import (
    FIRST_TRIMESTER_HC_MM,
    View,
    clipped_normal,
    probe_above,
    reach,
)
from fetal_tf.edge.geometry.ellipse import Ellipse, ramanujan_perimeter

FRAME_SHAPE = (540, 800)
HC_LIMITS_MM = (44.0, 346.0)
PIXEL_SIZE_LIMITS_MM = (0.05, 0.39)
_MARGIN_PX = 14


@dataclass(frozen=True)
class Examination:
    """The head of one fetus; each of its frames differs a little from it.

    Attributes:
        hc_mm: head circumference.
        cephalic_index: short over long axis, 0..1.
        angle_deg: direction of the long axis.
        perimeter_px: size of the head in the frame, as the examiner zooms it.
        frames: number of frames kept.
        frame_shape: (height, width) of the machine's frames, px.
    """

    hc_mm: float
    cephalic_index: float
    angle_deg: float
    perimeter_px: float
    frames: int
    frame_shape: tuple[int, int] = FRAME_SHAPE


def draw_examination(rng: np.random.Generator) -> Examination:
    """Draw a head of random age: one in six in the first trimester, one in six in the third."""
    means, spreads = (80.0, 176.0, 290.0), (16.0, 18.0, 28.0)
    age = rng.choice(3, p=[0.17, 0.66, 0.17])
    hc_mm = clipped_normal(rng, means[age], spreads[age], (45.5, 338.0))
    early = hc_mm < FIRST_TRIMESTER_HC_MM
    return Examination(
        hc_mm=hc_mm,
        cephalic_index=clipped_normal(rng, 0.795, 0.045, (0.69, 0.91)),
        angle_deg=rng.normal(0.0, 8.0) if rng.random() < 0.85 else rng.uniform(0.0, 180.0),
        perimeter_px=rng.normal(1000.0, 200.0) if early else rng.normal(1340.0, 170.0),
        frames=1 + int(rng.choice(4, p=[0.8, 0.16, 0.03, 0.01])),
    )


def draw_view(
    examination: Examination,
    rng: np.random.Generator,
    pixel_size_limits_mm: tuple[float, float] = PIXEL_SIZE_LIMITS_MM,
) -> View:
    """Draw one frame of the examination: a plane through the head, which lies inside the frame."""
    hc_mm = float(np.clip(examination.hc_mm * rng.normal(1.0, 0.012), *HC_LIMITS_MM))
    ratio = float(np.clip(examination.cephalic_index + rng.normal(0.0, 0.01), 0.68, 0.92))
    angle_deg = examination.angle_deg + rng.normal(0.0, 3.0)
    # These perimeters keep the pixel size within its limits, with some room for rounding.
    smallest, largest = (hc_mm / limit for limit in pixel_size_limits_mm[::-1])
    perimeter_px = float(
        np.clip(
            examination.perimeter_px * rng.normal(1.0, 0.03),
            max(470.0, smallest * 1.01),
            largest * 0.99,
        )
    )
    height, width = examination.frame_shape
    while True:
        semi_major = perimeter_px / float(ramanujan_perimeter(1.0, ratio))
        reach_x, reach_y = reach(semi_major, semi_major * ratio, angle_deg)
        room_y, room_x = height / 2 - _MARGIN_PX - reach_y, width / 2 - _MARGIN_PX - reach_x
        if min(room_y, room_x) >= 0:
            break
        perimeter_px *= 0.97
    ellipse = Ellipse(
        (width - 1) / 2 + clipped_normal(rng, -8.0, 65.0, (-room_x, room_x)),
        (height - 1) / 2 + clipped_normal(rng, 0.0, 45.0, (-room_y, room_y)),
        semi_major,
        semi_major * ratio,
        angle_deg,
    )
    # The CSV holds nine decimals; head circumferences must follow from them.
    mm_per_pixel = round(hc_mm / ellipse.perimeter, 9)
    probe = probe_above(
        ellipse,
        reach_y,
        mm_per_pixel,
        curvature_mm=rng.uniform(38.0, 60.0),
        gap_mm=rng.uniform(10.0, 45.0),
        below_mm=rng.uniform(8.0, 60.0),
        aside_mm=rng.normal(0.0, 7.0),
        half_angle_deg=rng.uniform(29.0, 40.0),
        # Examiners lose at most a sliver of the head at the edge of the sector.
        seen_share=rng.uniform(0.97, 1.1),
    )
    return View(ellipse, mm_per_pixel, probe, examination.frame_shape)


def skull_thickness_mm(hc_mm: float) -> float:
    """Thickness of the skull as a scanner shows it, blurred by the pulse, by head circumference."""
    return 0.9 + 0.005 * hc_mm
