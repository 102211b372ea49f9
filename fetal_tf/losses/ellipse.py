"""The error of a mask's ellipse, computed from the moments of the mask.

Cross-entropy and Dice judge pixel by pixel: a border that is one pixel too far out all around costs
little there, but changes the circumference much. Moments describe the ellipse as a whole.
"""

from keras import KerasTensor, ops

SHARPNESS = 4.0
LEAST_PIXELS = 16.0  # a smaller true mask has no reliable shape
_EPSILON = 1e-6


def ellipse_distance(y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
    """Relative error of a mask's ellipse in size, shape and position, per image.

    With the centroid c and the covariance S of a mask's pixels, and r = sqrt(trace S)::

        |ln r_pred - ln r_true| + |e_pred - e_true| + |c_pred - c_true| / r_true

    For an ellipse of semi-axes a and b, r is sqrt(a² + b²) / 2. The perimeter is proportional to it
    within 1 % for axis ratios of 0.7 to 1, so the first term is the relative error of the
    circumference. e = ((Sxx - Syy), 2 Sxy) / trace S has twice the angle of the long axis and the
    length (a² - b²) / (a² + b²). Both masks are sharpened (p^4 / (p^4 + (1 - p)^4)) before they are
    summed: a soft border enlarges the moments, though the 0.5 contour that is measured stays in
    place. The minimum, zero, lies at p = t.

    Args:
        y_true: (N, H, W, K) coverage, 0..1.
        y_pred: (N, H, W, K) probabilities.

    Returns:
        (N,): the mean over the K masks; a mask of less than 16 true pixels costs nothing.

    Source: moments of an ellipse, Teague 1980, J. Opt. Soc. Am. 70(8):920.
    """
    size_true, shape_true, center_true, area = _moments(_sharpened(y_true))
    size, shape, center, _ = _moments(_sharpened(y_pred))
    distance = (
        ops.abs(ops.log(size / size_true)) / 2  # of squares
        + _length(shape - shape_true)
        + _length(center - center_true) / ops.sqrt(size_true)
    )
    return ops.mean(ops.where(area >= LEAST_PIXELS, distance, 0.0), axis=-1)


def _sharpened(p: KerasTensor) -> KerasTensor:
    p = ops.clip(p, _EPSILON, 1 - _EPSILON)
    return ops.sigmoid(SHARPNESS * (ops.log(p) - ops.log(1 - p)))


def _moments(mask: KerasTensor) -> tuple[KerasTensor, KerasTensor, KerasTensor, KerasTensor]:
    """Trace of the covariance (N, K), shape and centroid (2, N, K), area (N, K) of (N, H, W, K).

    Coordinates start at the frame's centre, in shares of its height: float32 stays precise.
    """
    height, width = mask.shape[1:3]
    unit = 1.0 / height
    y = ops.reshape((ops.arange(height, dtype="float32") - (height - 1) / 2) * unit, (1, -1, 1, 1))
    x = ops.reshape((ops.arange(width, dtype="float32") - (width - 1) / 2) * unit, (1, 1, -1, 1))
    area = ops.sum(mask, axis=(1, 2))
    total = area + _EPSILON

    def mean(weight: KerasTensor) -> KerasTensor:
        return ops.sum(mask * weight, axis=(1, 2)) / total

    center_x, center_y = mean(x), mean(y)
    xx = mean(ops.square(x)) - ops.square(center_x)
    yy = mean(ops.square(y)) - ops.square(center_y)
    xy = mean(x * y) - center_x * center_y
    trace = ops.maximum(xx + yy, unit * unit)  # one pixel at least: an empty mask has no size
    shape = ops.stack([xx - yy, 2 * xy]) / trace
    return trace, shape, ops.stack([center_x, center_y]), area


def _length(vectors: KerasTensor) -> KerasTensor:
    """Length (N, K) of vectors (2, N, K); the gradient of a zero vector is 0."""
    return ops.sqrt(ops.sum(ops.square(vectors), axis=0) + _EPSILON**2) - _EPSILON
