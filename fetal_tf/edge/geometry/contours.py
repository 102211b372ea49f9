"""From a probability map to an ellipse: sub-pixel contours and a robust fit."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from fetal_tf.edge.geometry.ellipse import Ellipse, rasterise
from fetal_tf.edge.geometry.ellipse_fit import fit_ellipse
from fetal_tf.edge.geometry.masks import true_pixels

# A fragment belongs to the structure if its area is at least this share of the largest one's.
_SIGNIFICANT_SHARE = 0.05
# Outline points within this share of the mean radius support an ellipse. On masks with bites, bumps
# and ragged borders 8 % selected better ellipses than 3 or 5 %, and much better ones than overlap.
_SUPPORT_SHARE = 0.08
# The outline of a line one pixel wide lies half a pixel from it, a little more at its ends.
_THINNEST_PX = 0.6
# Below this disagreement (root mean square 2.5 % of the radius) there is no second candidate.
_CLEAR = 0.1


@dataclass(frozen=True)
class EllipseFit:
    """An ellipse and how well it describes the mask that it was fitted to; px of that map.

    Attributes:
        ellipse: the fit.
        residual_px: root mean square distance of the structure's contour points to the ellipse.
        iou: intersection over union of the ellipse's pixels and the structure's (holes filled).
        area_px: the structure's area, px², holes filled.
        components: number of fragments with at least 5 % of the largest one's area.
        border_fraction: share of the ellipse's perimeter on or outside the edge of the map.
    """

    ellipse: Ellipse
    residual_px: float
    iou: float
    area_px: float
    components: int
    border_fraction: float

    @property
    def residual_percent(self) -> float:
        """The residual in per cent of the ellipse's mean radius."""
        return 100 * self.residual_px / self.ellipse.mean_radius


def sub_pixel_contour(probability: np.ndarray, level: float = 0.5) -> np.ndarray:
    """Points where a map (h, w) crosses `level`, interpolated linearly, unordered (N, 2) as (x, y).

    Crossings lie between neighbours of a row or a column. The edge of the map is no crossing: a
    structure that is cut off there has no contour there.
    """
    return _crossings(np.asarray(probability, np.float32), np.asarray(probability) >= level, level)


def _crossings(probability: np.ndarray, inside: np.ndarray, level: float) -> np.ndarray:
    """Crossings of `level` where `inside` changes, which may hold filled holes."""
    found = []
    for axis in (1, 0):
        ahead = (slice(None), slice(1, None)) if axis == 1 else (slice(1, None), slice(None))
        behind = (slice(None), slice(-1)) if axis == 1 else (slice(-1), slice(None))
        rows, columns = true_pixels(inside[ahead] != inside[behind])
        first, second = probability[behind][rows, columns], probability[ahead][rows, columns]
        share = np.clip((level - first) / (second - first), 0.0, 1.0)
        x, y = columns.astype(np.float64), rows.astype(np.float64)
        found.append(np.column_stack([x + share, y] if axis == 1 else [x, y + share]))
    return np.concatenate(found)


def fit_mask_ellipse(probability: np.ndarray, level: float = 0.5) -> EllipseFit | None:
    """Fit one ellipse to the structure above `level` in a map (h, w), float 0..1.

    Holes are filled. There are two candidates: one is fitted to the outline of the largest
    fragment, the other to those outline points of all fragments that lie on their convex hull. The
    second keeps a head whole that a shadow cuts in two, and bridges a bite. The candidate with most
    support from the whole outline is taken.

    Returns:
        The fit in pixels of the map, or None where nothing above `level` can hold an ellipse, such
        as a line one pixel wide.
    """
    # A copy: a channel of a net's output is strided, and every pass over it slow.
    probability = np.ascontiguousarray(probability, np.float32)
    fragments = _significant_fragments(probability >= level)
    if not fragments:
        return None
    union = _filled(fragments, probability.shape)
    outline = _crossings(probability, union, level)
    ellipse = _best_ellipse(probability, fragments, outline, level)
    if ellipse is None or ellipse.semi_minor < _THINNEST_PX:
        return None
    return EllipseFit(
        ellipse=ellipse,
        residual_px=float(np.sqrt(np.mean(ellipse.distances(outline) ** 2))),
        iou=_iou(rasterise(ellipse, union.shape), union),
        area_px=float(np.count_nonzero(union)),
        components=len(fragments),
        border_fraction=_border_fraction(ellipse, union.shape),
    )


def _best_ellipse(
    probability: np.ndarray, fragments: list[np.ndarray], outline: np.ndarray, level: float
) -> Ellipse | None:
    """The candidate with most support; the second is fitted only if the first has little."""
    shape = probability.shape
    # The same unit for both: in units of its own size, a larger ellipse would look better.
    area_px = max(sum(map(cv2.contourArea, fragments)), 1.0)  # a line of pixels has none
    support_px = _SUPPORT_SHARE * math.sqrt(area_px / math.pi)
    first = outline
    if len(fragments) > 1:
        first = _crossings(probability, _filled(fragments[:1], shape), level)
    best = _fit_or_none(first, shape)
    if best is not None and _disagreement(best, outline, support_px) < _CLEAR:
        return best
    on_hull = _on_hull(outline, fragments, shape)
    if len(fragments) == 1 and on_hull.all():
        return best  # the same points: the same ellipse
    other = _fit_or_none(outline[on_hull], shape)
    fits = [fit for fit in (best, other) if fit is not None]
    return min(fits, key=lambda fit: _disagreement(fit, outline, support_px), default=None)


def _significant_fragments(inside: np.ndarray) -> list[np.ndarray]:
    """Outer contours (pixel centres) of the fragments that count, the largest first."""
    contours, _ = cv2.findContours(
        inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    # Pick's theorem: pixels on and inside a polygon through pixel centres.
    sized = [(cv2.contourArea(c) + len(c) / 2 + 1, i) for i, c in enumerate(contours)]
    sized.sort(reverse=True)
    return [contours[i] for area, i in sized if area >= _SIGNIFICANT_SHARE * sized[0][0]]


def _filled(contours: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    mask = np.zeros(shape, np.uint8)
    cv2.drawContours(mask, contours, -1, 1, cv2.FILLED)
    return mask.view(bool)


def _on_hull(
    outline: np.ndarray, fragments: list[np.ndarray], shape: tuple[int, ...]
) -> np.ndarray:
    """Which points of `outline` lie on the fragments' convex hull, to about two pixels."""
    hull = np.zeros(shape, np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(np.concatenate(fragments)), 1)
    core = cv2.erode(hull, np.ones((5, 5), np.uint8))
    x, y = np.rint(outline).astype(int).T
    return core[y, x] == 0


def _fit_or_none(points: np.ndarray, shape: tuple[int, ...]) -> Ellipse | None:
    try:
        ellipse = fit_ellipse(points, robust=True)
    except ValueError:  # a fragment of a few pixels, or a straight line: no candidate
        return None
    # An endless ellipse fits a streak perfectly.
    return ellipse if ellipse.semi_major <= max(shape) else None


def _disagreement(ellipse: Ellipse, outline: np.ndarray, support_px: float) -> float:
    """Mean squared distance of the outline in units of support; each point counts 1 at most."""
    return float(np.mean(np.minimum(np.abs(ellipse.distances(outline)) / support_px, 1.0) ** 2))


def _iou(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.count_nonzero(first & second) / max(1, int(np.count_nonzero(first | second))))


def _border_fraction(ellipse: Ellipse, shape: tuple[int, ...]) -> float:
    """Share of the perimeter within half a pixel of the outermost pixel centres, or beyond them."""
    right, bottom = shape[1] - 1.5, shape[0] - 1.5
    reach_x, reach_y = ellipse.reach
    if (
        ellipse.center_x - reach_x >= 0.5
        and ellipse.center_y - reach_y >= 0.5
        and ellipse.center_x + reach_x <= right
        and ellipse.center_y + reach_y <= bottom
    ):
        return 0.0
    x, y = ellipse.points(720).T
    outside = (x < 0.5) | (y < 0.5) | (x > right) | (y > bottom)
    return float(outside.mean())
