"""The four landmarks of a head, the ends of OFD and BPD: order, ellipse, decoding of heatmaps.

Points are (x, y) in pixels, y down, pixel centres at integers; an unknown point is NaN.
"""

import numpy as np

from fetal_tf.edge.geometry.ellipse import Ellipse

LANDMARKS = ("ofd_1", "ofd_2", "bpd_1", "bpd_2")
AXES = {"ofd": slice(0, 2), "bpd": slice(2, 4)}  # where LANDMARKS holds the ends of each axis

_SWAPPED = [1, 0, 3, 2]
# If the short axis is below this share of the long one, it is a rounding error.
_FLAT = 1e-9
# Half the side of the window around a peak, as a share of the map's longer side. Where a net knows
# the border but not the axis, its peak is a ridge along the skull. The window must hold the ridge,
# but not the other end (the shortest BPD in HC18 is 0.2 of the longer side).
_REACH_SHARE = 0.08
_SHORTEST_REACH = 3  # px
_WINDOWS = 4  # tries; the window moves to the peak, as noise puts the highest pixel beside it
_FAINTEST = 1e-6  # values are raised to this, so that their logarithm is finite


def canonical(points: np.ndarray) -> np.ndarray:
    """Order the ends within each axis; which axis is OFD and which is BPD stays as it is.

    ofd_1 is the end further left (of two above each other, the upper one). bpd_1 is the end above
    the line of the OFD drawn from left to right: cross(ofd_2 - ofd_1, bpd_2 - bpd_1) > 0, where
    cross(a, b) = ax·by - ay·bx.

    Args:
        points: [4, 2] in the order of LANDMARKS.

    Returns:
        float64 [4, 2]. A pair whose order unknown points leave open stays as it is.

    Raises:
        ValueError: another shape.
    """
    ordered = _checked(points).copy()
    first, second = ordered[0], ordered[1]
    if second[0] < first[0] or (second[0] == first[0] and second[1] < first[1]):
        ordered[:2] = ordered[[1, 0]]
    if _cross(ordered[1] - ordered[0], ordered[3] - ordered[2]) < 0:
        ordered[2:] = ordered[[3, 2]]
    return ordered


def swapped_ends(points: np.ndarray) -> np.ndarray:
    """Points [..., 4, 2] with the two ends of each axis exchanged."""
    return np.asarray(points)[..., _SWAPPED, :]


def ellipse_landmarks(ellipse: Ellipse) -> np.ndarray:
    """The ends of the long axis as OFD and of the short one as BPD, canonical, float64 [4, 2]."""
    return canonical(np.concatenate([ellipse.major_endpoints, ellipse.minor_endpoints]))


def landmark_ellipse(points: np.ndarray) -> Ellipse:
    """The ellipse through the four ends, as conjugate diameters about their common middle.

    The ends of an ellipse's own axes give that ellipse back. Where the axes are not perpendicular
    the ellipse still passes through all four, but its axes are no longer OFD and BPD; where they do
    not bisect each other, both are moved to the mean of their middles first.

    Args:
        points: [4, 2] in the order of LANDMARKS; the order within an axis does not matter.

    Raises:
        ValueError: another shape, an unknown point, or no ellipse: an axis without length, or both
            in one direction.
    """
    known = _checked(points)
    finite = np.isfinite(known).all(axis=1)
    if not finite.all():
        unknown = ", ".join(n for n, there in zip(LANDMARKS, finite, strict=True) if not there)
        raise ValueError(f"an ellipse needs four finite points, unknown: {unknown}")
    center, half_ofd, half_bpd = known.mean(0), (known[1] - known[0]) / 2, (known[3] - known[2]) / 2
    flattest = _FLAT * max(half_ofd @ half_ofd, half_bpd @ half_bpd)
    if abs(_cross(half_ofd, half_bpd)) <= flattest:
        raise ValueError(f"OFD and BPD span no ellipse: {known.round(2).tolist()}")
    return Ellipse.of_conjugate_diameters(center, half_ofd, half_bpd)


def decode_heatmaps(
    maps: np.ndarray, content: tuple[slice, slice]
) -> tuple[np.ndarray, np.ndarray]:
    """Sub-pixel position of each map's peak.

    A gaussian is fitted to the window around the highest pixel: a parabola in x and y through the
    logarithm, weighted by the squared values. Unlike the window's centre of gravity, it is not
    biased where the border cuts a peak off or a long peak lies askew. Of a ridge it gives the
    middle, which quantization to eight bits moves by a fraction of a pixel (the highest pixel moves
    by many).

    Args:
        maps: [h, w, P], 0..1, of the letterboxed frame.
        content: rows and columns to look at (`Letterbox.content`).

    Returns:
        points: float64 [P, 2], (x, y) in pixels of the map. Where no gaussian fits (a plateau, a
            single pixel), the centre of gravity of the window. NaN where the map holds a NaN.
        peak: float64 [P], the highest value itself.

    Raises:
        ValueError: not [h, w, P], or no pixel to look at.

    Source: Guo 2011, IEEE Signal Processing Magazine 28(5):134, for the weights.
    """
    looked_at = maps[content] if maps.ndim == 3 else maps
    if looked_at.ndim != 3 or not looked_at.size:
        raise ValueError(f"maps [h, w, P] are expected, found {maps.shape}, content {content}")
    corner = np.array([content[1].start or 0, content[0].start or 0], np.float64)
    points, peaks = zip(*(_peak(plane) for plane in np.moveaxis(looked_at, -1, 0)), strict=True)
    return np.stack(points) + corner, np.array(peaks)


def to_shares(points: np.ndarray, height: int, width: int) -> np.ndarray:
    """Pixels (x, y) [..., 2] of a frame to shares of its width and height, 0..1 edge to edge."""
    return (np.asarray(points, np.float64) + 0.5) / [width, height]


def from_shares(shares: np.ndarray, height: int, width: int) -> np.ndarray:
    """Shares of a frame's width and height [..., 2] to its pixels, float64 (x, y)."""
    return np.asarray(shares, np.float64) * [width, height] - 0.5


def _peak(values: np.ndarray) -> tuple[np.ndarray, float]:
    """Place (x, y) and height of the highest peak of a map (h, w)."""
    row, column = np.unravel_index(values.argmax(), values.shape)
    highest = float(values[row, column])
    if np.isnan(highest):
        return np.full(2, np.nan), highest
    start = place = np.array([column, row], np.float64)
    for _ in range(_WINDOWS):
        u, v, window = _window(values, start)
        offset = _gaussian_peak(u, v, window)
        if offset is None:
            offset = window @ np.column_stack([u, v]) / window.sum()
        place = start + offset
        centered, start = start, np.rint(place)
        if (start == centered).all():
            break
    return place, highest


def _window(values: np.ndarray, center: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns, rows from `center`, values above zero, (N,) each, of what lies about it."""
    reach = max(_SHORTEST_REACH, round(_REACH_SHARE * max(values.shape)))
    left, top = np.maximum(0, center.astype(int) - reach)
    right, bottom = center.astype(int) + reach + 1
    window = values[top:bottom, left:right].astype(np.float64)
    v, u = np.indices(window.shape).reshape(2, -1)
    return u + left - center[0], v + top - center[1], np.maximum(window.ravel(), _FAINTEST)


def _gaussian_peak(u: np.ndarray, v: np.ndarray, values: np.ndarray) -> np.ndarray | None:
    """Peak (u, v) of the gaussian through `values` (N,), None where there is none among them."""
    terms = np.column_stack([np.ones_like(u), u, v, u * u / 2, u * v, v * v / 2])
    found = np.linalg.lstsq(terms * values[:, None], np.log(values) * values, rcond=None)[0]
    gradient, (uu, uv, vv) = found[1:3], found[3:]
    determinant = uu * vv - uv * uv
    if not (uu < 0 and determinant > 0):
        return None
    peak = np.array([uv * gradient[1] - vv * gradient[0], uv * gradient[0] - uu * gradient[1]])
    peak /= determinant
    inside = (u.min() - 0.5 <= peak[0] <= u.max() + 0.5) and (
        v.min() - 0.5 <= peak[1] <= v.max() + 0.5
    )
    return peak if inside else None


def _cross(first: np.ndarray, second: np.ndarray) -> float:
    return float(first[0] * second[1] - first[1] * second[0])


def _checked(points: np.ndarray) -> np.ndarray:
    array = np.asarray(points, np.float64)
    if array.shape != (len(LANDMARKS), 2):
        raise ValueError(f"points [4, 2] are expected in the order {LANDMARKS}, not {array.shape}")
    return array
