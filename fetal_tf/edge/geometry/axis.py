"""Which way a head points: the direction of its long axis, as a network shows it.

A direction has no sign, 10 and 190 degrees are one, so what is learnt and averaged is twice its
angle: two maps, 0.5 + 0.5 cos 2a and 0.5 + 0.5 sin 2a, with a from +x towards +y (down). Every
pixel of the head says the same, so the mean over the head is steadier than any border: a head that
is nearly round has no long axis to be seen at its outline, but its midline shows where it lies.
"""

import math

import numpy as np

from fetal_tf.edge.geometry.ellipse import Ellipse

AXIS = ("axis_cos", "axis_sin")
UNKNOWN = 0.5  # in both maps: no direction at all

# What the outline says beside the maps, in units of a net that is sure: the ellipse's own axis
# enters with this weight times (a² - b²) / (a² + b²), which is 0.22 for a cephalic index of 80.
# Chosen on validation frames of two centres: below 5 the maps spoil what a clear outline knows.
OUTLINE_WEIGHT = 10.0


def axis_maps(direction_deg: float) -> tuple[float, float]:
    """The values of both maps for a direction, each 0..1."""
    twice = math.radians(2 * direction_deg)
    return 0.5 + 0.5 * math.cos(twice), 0.5 + 0.5 * math.sin(twice)


def read_axis(maps: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The mean (cos 2a, sin 2a) over a head, float64 [2]; its length 0..1 is how sure it is.

    Args:
        maps: float32 [h, w, 2], the maps of AXIS, 0..1.
        weights: float32 [h, w], not negative: the head's probability.
    """
    weights = np.ascontiguousarray(weights)  # looked at three times
    total = float(weights.sum(dtype=np.float64))
    if not total > 0:
        return np.zeros(2)
    sums = [float(np.vdot(weights, maps[..., k])) for k in range(maps.shape[-1])]
    return 2 * np.array(sums) / total - 1


def turned_maps(maps: np.ndarray, degrees: float) -> np.ndarray:
    """Maps [..., 2] of AXIS of a frame that is turned by so much, from +x towards +y."""
    cosine, sine = (2 * maps[..., i] - 1 for i in range(2))
    c, s = math.cos(math.radians(2 * degrees)), math.sin(math.radians(2 * degrees))
    return (0.5 + 0.5 * np.stack([c * cosine - s * sine, s * cosine + c * sine], -1)).astype(
        maps.dtype
    )


def turned(ellipse: Ellipse, seen: np.ndarray, outline_weight: float = OUTLINE_WEIGHT) -> Ellipse:
    """The ellipse with its long axis where outline and maps together see it.

    Its lengths become those of its second moments along and across the new axis: its
    a² + b² stays. Where they would say that the long axis is the shorter one, which takes maps that
    contradict a plainly long outline, the ellipse is returned as it was.

    Args:
        ellipse: fitted to the outline.
        seen: (cos 2a, sin 2a) of `read_axis`.
        outline_weight: see OUTLINE_WEIGHT; infinitely large leaves the ellipse as it is.
    """
    if math.isinf(outline_weight):  # infinity times a component of 0 is no number
        return ellipse
    long, short = ellipse.semi_major**2, ellipse.semi_minor**2
    twice = math.radians(2 * ellipse.angle_deg)
    outline = (long - short) / (long + short) * np.array([math.cos(twice), math.sin(twice)])
    cosine, sine = outline_weight * outline + seen
    if not math.hypot(cosine, sine) > 0:
        return ellipse
    angle = math.atan2(sine, cosine) / 2
    apart = 2 * (angle - twice / 2)
    mean, half = (long + short) / 2, (long - short) / 2
    along, across = mean + half * math.cos(apart), mean - half * math.cos(apart)
    if along < across:
        return ellipse
    return Ellipse(
        ellipse.center_x,
        ellipse.center_y,
        math.sqrt(along),
        math.sqrt(across),
        math.degrees(angle),
    )
