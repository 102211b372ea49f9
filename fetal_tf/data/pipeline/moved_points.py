"""Where an augmentation moves points to: a map of coordinates is warped with the image.

Every pixel of the warped map says which point of the original frame it shows, so inverting it works
for any transform. The formulas that an augmentation library has for points are different for each
transform, and for distortions they give only whole pixels, or are missing.
"""

import functools

import numpy as np

_INSIDE = 0.999  # share of a pixel that comes from within the frame
_STRIDE = 4
_REACH_PX = 1.5  # a point farther than this from every visible pixel is not visible


@functools.lru_cache(maxsize=4)
def coordinate_map(height: int, width: int) -> np.ndarray:
    """x, y and 1 at every pixel, float32 [height, width, 3]; warping fills in 0 from outside."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    grid = np.stack([x, y, np.ones_like(x)], axis=-1)
    grid.setflags(write=False)
    return grid


def moved_points(points: np.ndarray, warped: np.ndarray) -> np.ndarray:
    """Where the warped frame shows `points`.

    Args:
        points: float64 [P, 2], (x, y) in pixels of the frame; NaN where unknown.
        warped: `coordinate_map` of the frame after it was warped with linear interpolation,
            float32 [h, w, 3].

    Returns:
        float64 [P, 2] in pixels of the warped frame; NaN for points that it does not show. Exact
        for affine transforms up to rounding; within a fraction of a pixel for smooth distortions.
    """
    shown = warped[..., 2] >= _INSIDE
    if not len(points) or not shown.any():
        return np.full_like(points, np.nan)
    return np.stack([_find(point, warped, shown) for point in points])


def _find(point: np.ndarray, warped: np.ndarray, shown: np.ndarray) -> np.ndarray:
    unknown = np.full(2, np.nan)
    if not np.isfinite(point).all():
        return unknown
    row, column = _nearest(point, warped, shown)
    slope = _slope(warped, shown, row, column)
    if slope is None:
        return unknown
    miss = point - warped[row, column, :2]
    step = np.linalg.solve(slope, miss)
    if np.abs(step).max() > _REACH_PX:
        return unknown
    return np.array([column, row], np.float64) + step


def _nearest(point: np.ndarray, warped: np.ndarray, shown: np.ndarray) -> tuple[int, int]:
    """Row and column of the visible pixel that shows what lies nearest to a point of the frame.

    First among every fourth pixel, then around the one found there; among all where none of these
    is near, as behind a narrow gap or at the edge of what is visible.
    """
    coarse = np.s_[::_STRIDE, ::_STRIDE]
    row, column, _ = _least(point, warped[coarse], shown[coarse])
    top, left = (max(0, _STRIDE * (place - 1)) for place in (row, column))
    around = np.s_[top : _STRIDE * (row + 1) + 1, left : _STRIDE * (column + 1) + 1]
    row, column, squared = _least(point, warped[around], shown[around])
    if squared <= 1:
        return top + row, left + column
    row, column, _ = _least(point, warped, shown)
    return row, column


def _least(point: np.ndarray, warped: np.ndarray, shown: np.ndarray) -> tuple[int, int, float]:
    x, y = point.astype(np.float32)
    squared = np.square(warped[..., 0] - x) + np.square(warped[..., 1] - y)
    squared[~shown] = np.inf
    row, column = np.unravel_index(squared.argmin(), squared.shape)
    return int(row), int(column), float(squared[row, column])


def _slope(warped: np.ndarray, shown: np.ndarray, row: int, column: int) -> np.ndarray | None:
    """Derivative of frame coordinates by warped coordinates, [2, 2]; None where unknown."""
    height, width = shown.shape
    columns = [c for c in (column - 1, column, column + 1) if 0 <= c < width and shown[row, c]]
    rows = [r for r in (row - 1, row, row + 1) if 0 <= r < height and shown[r, column]]
    if len(columns) < 2 or len(rows) < 2:
        return None
    along_x = (warped[row, columns[-1], :2] - warped[row, columns[0], :2]) / (
        columns[-1] - columns[0]
    )
    along_y = (warped[rows[-1], column, :2] - warped[rows[0], column, :2]) / (rows[-1] - rows[0])
    slope = np.stack([along_x, along_y], axis=-1).astype(np.float64)
    return slope if abs(np.linalg.det(slope)) > 1e-3 else None
