"""Least-squares ellipse fit, optionally robust (Tukey)."""

import math
from collections.abc import Callable

import cv2
import numpy as np

from fetal_tf.edge.geometry.ellipse import Ellipse

# Tukey's constant: 95 % efficiency on clean points, weight 0 beyond 4.685 scales.
_TUKEY = 4.685
# A rasterised border jitters by half a pixel; a smaller scale would reject good points.
_MIN_SCALE_PX = 0.5
# The first rounds only find a start and need not converge. On every fourth head of HC18, 3 and 10
# rounds end nearer to the converged ellipse than 6 and 6 (mean 0.009 mm of HC), with fewer fits.
_MAJORITY_ROUNDS = 3
_ROUNDS = 10
_CONVERGED_PX = 0.005


def fit_ellipse(points: np.ndarray, robust: bool = False) -> Ellipse:
    """Least-squares ellipse through points (N, 2), px.

    A direct fit is repeated with weights that turn algebraic residuals into distances (first
    order), until it converges. With `robust`, outliers get less weight or none (Tukey's biweight).
    Rounds with weights 1/distance come first: without them, the points of one bulge pull the
    ellipse until they are no outliers any more.

    Raises:
        ValueError: fewer than 6 points, or points that no ellipse fits (all on a line).

    Source: Halir & Flusser 1998, "Numerically stable direct least squares fitting of ellipses";
        Sampson 1982 for the reweighting.
    """
    points = np.asarray(points, np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 6:
        raise ValueError(f"an ellipse needs at least 6 points (N, 2), found {points.shape}")
    center = points.mean(axis=0)
    spread = max(float(np.abs(points - center).max()), 1e-9)
    x, y = ((points - center) / spread).T
    monomials = np.stack([x * x, x * y, y * y, x, y, np.ones_like(x)])  # (6, N)
    conic = _direct_fit(monomials, np.ones_like(x))
    if robust:
        conic = _refined(conic, monomials, spread, _majority_weights, _MAJORITY_ROUNDS)
    conic = _refined(conic, monomials, spread, _tukey_weights if robust else np.ones_like, _ROUNDS)
    return _ellipse(conic).stretched(spread, spread, center[0], center[1])


def _refined(
    conic: np.ndarray,
    monomials: np.ndarray,
    spread: float,
    weigh: Callable[[np.ndarray], np.ndarray],
    rounds: int,
) -> np.ndarray:
    """Refit with weights from the distances in px, until it converges, at most `rounds` times."""
    distances, slopes = _distances(conic, monomials)
    for _ in range(rounds):
        # Divided by the squared slope, an algebraic residual is a distance.
        weights = weigh(np.abs(distances) * spread) / slopes**2
        conic = _direct_fit(monomials, weights)
        previous, (distances, slopes) = distances, _distances(conic, monomials)
        moved_px = spread * (weights @ np.abs(distances - previous)) / weights.sum()
        if moved_px < _CONVERGED_PX:
            break
    return conic


def _distances(conic: np.ndarray, monomials: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First-order distance of each point to the conic (positive outside), and the slope there."""
    a, b, c, d, e, _ = conic
    x, y = monomials[3:5]
    slopes = np.hypot(2 * a * x + b * y + d, b * x + 2 * c * y + e)
    slopes = np.maximum(slopes, 1e-3 * slopes.max())  # it vanishes at the centre
    return conic @ monomials / slopes, slopes


def _majority_weights(distances_px: np.ndarray) -> np.ndarray:
    """1/distance: gives the fit of least absolute deviations, which follows the majority."""
    return 1.0 / np.maximum(distances_px, _MIN_SCALE_PX)


def _tukey_weights(distances_px: np.ndarray) -> np.ndarray:
    middle = len(distances_px) // 2
    median = float(np.partition(distances_px, middle)[middle])  # a third of np.median's time
    scale = max(1.4826 * median, _MIN_SCALE_PX)
    return np.maximum(1.0 - (distances_px / (_TUKEY * scale)) ** 2, 0.0) ** 2


def _direct_fit(monomials: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Coefficients of a x² + b xy + c y² + d x + e y + f, negative inside the ellipse."""
    scatter = (weights / weights.max() * monomials) @ monomials.T
    no_ellipse = f"no ellipse fits these {len(weights)} points"
    # OpenCV's solvers take a quarter of NumPy's time for 3x3, and a fit needs nine of each.
    solved, to_linear = cv2.solve(scatter[3:, 3:], -scatter[3:, :3], flags=cv2.DECOMP_LU)
    if not solved or not np.isfinite(to_linear).all():
        raise ValueError(no_ellipse)
    reduced = scatter[:3, :3] + scatter[:3, 3:] @ to_linear
    # Times the inverse of the constraint 4ac - b² = 1.
    matrix = np.array([reduced[2] / 2, -reduced[1], reduced[0] / 2])
    # Scaled: OpenCV takes a matrix of very small numbers for one of zeros.
    largest = float(np.abs(matrix).max())
    if not largest > 0:
        raise ValueError(no_ellipse)
    _, vectors = cv2.eigenNonSymmetric(matrix / largest)
    elliptic = 4 * vectors[:, 0] * vectors[:, 2] - vectors[:, 1] ** 2
    best = int(np.argmax(elliptic))
    if not elliptic[best] > 0:
        raise ValueError(no_ellipse)
    quadratic = vectors[best] * np.sign(vectors[best, 0])
    return np.concatenate([quadratic, to_linear @ quadratic])


def _ellipse(conic: np.ndarray) -> Ellipse:
    """The ellipse on which the conic is zero; ValueError where there is none."""
    a, b, c, d, e, f = conic
    matrix = np.array([[a, b / 2], [b / 2, c]])
    center = np.linalg.solve(matrix, [-d / 2, -e / 2])
    level = center @ matrix @ center - f
    with np.errstate(divide="ignore", invalid="ignore"):
        values, vectors = np.linalg.eigh(matrix / level)
        semi_major, semi_minor = 1.0 / np.sqrt(values)  # eigenvalues ascend, so axes descend
    angle_deg = math.degrees(math.atan2(vectors[1, 0], vectors[0, 0]))
    center_x, center_y = center.tolist()
    return Ellipse(center_x, center_y, float(semi_major), float(semi_minor), angle_deg)
