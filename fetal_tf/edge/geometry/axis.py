"""The direction of a head's long axis, as two maps that a network predicts.

A direction has no sign: 10 and 190 degrees are the same. So the network learns twice the angle, as
two maps, 0.5 + 0.5 cos 2a and 0.5 + 0.5 sin 2a; a runs from +x towards +y (down). All pixels of a
head have the same values, and their mean over the head is steadier than any border. A nearly round
head shows no long axis at its outline, but its midline shows it.
"""

import math

import numpy as np

from fetal_tf.edge.geometry.ellipse import Ellipse

AXIS = ("axis_cos", "axis_sin")
UNKNOWN = 0.5  # value of both maps where there is no direction

# Weight of the outline's axis beside the maps; a net that is sure has weight 1. It is multiplied by
# (a² - b²) / (a² + b²) of the ellipse, which is 0.22 for a cephalic index of 80. Chosen on
# validation frames of two centres: below 5 the maps worsen the axis of a clear outline.
OUTLINE_WEIGHT = 10.0


def axis_maps(direction_deg: float) -> tuple[float, float]:
    """Values of both maps (0..1) for a direction in degrees."""
    twice = math.radians(2 * direction_deg)
    return 0.5 + 0.5 * math.cos(twice), 0.5 + 0.5 * math.sin(twice)


def read_axis(maps: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean (cos 2a, sin 2a) over a head, float64 [2]; its length, 0..1, is the confidence.

    Args:
        maps: float32 [h, w, 2], the maps of AXIS, 0..1.
        weights: float32 [h, w], not negative: the head's probability.
    """
    weights = np.ascontiguousarray(weights)  # read three times
    total = float(weights.sum(dtype=np.float64))
    if not total > 0:
        return np.zeros(2)
    sums = [float(np.vdot(weights, maps[..., k])) for k in range(maps.shape[-1])]
    return 2 * np.array(sums) / total - 1


def turned_maps(maps: np.ndarray, degrees: float) -> np.ndarray:
    """Maps [..., 2] of AXIS after their frame was rotated by `degrees`, from +x towards +y."""
    cosine, sine = (2 * maps[..., i] - 1 for i in range(2))
    c, s = math.cos(math.radians(2 * degrees)), math.sin(math.radians(2 * degrees))
    return (0.5 + 0.5 * np.stack([c * cosine - s * sine, s * cosine + c * sine], -1)).astype(
        maps.dtype
    )


def turned(ellipse: Ellipse, seen: np.ndarray, outline_weight: float = OUTLINE_WEIGHT) -> Ellipse:
    """Rotate an ellipse to the weighted mean of its own axis and the one that the maps show.

    The new lengths follow from the second moments along and across the new axis; a² + b² stays. If
    the new long axis were the shorter one, the ellipse is returned unchanged. That happens only
    where the maps contradict a clearly elongated outline.

    Args:
        ellipse: fitted to the outline.
        seen: (cos 2a, sin 2a) of `read_axis`.
        outline_weight: see OUTLINE_WEIGHT; infinity leaves the ellipse unchanged.
    """
    if math.isinf(outline_weight):  # inf * 0 is NaN
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
