"""An ellipse: perimeter, axes, points on it, pixels inside it."""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ellipse:
    """An ellipse in pixels; points are (x, y) with pixel centres at integer coordinates.

    Attributes:
        center_x, center_y: px.
        semi_major, semi_minor: half the long and the short axis, px, semi_major >= semi_minor > 0.
        angle_deg: direction of the long axis, from +x towards +y (down), in [0, 180).

    Raises:
        ValueError: an axis is not positive, not finite, or they are in the wrong order.
    """

    center_x: float
    center_y: float
    semi_major: float
    semi_minor: float
    angle_deg: float

    def __post_init__(self) -> None:
        numbers = tuple(vars(self).values())
        if not all(map(math.isfinite, numbers)) or not self.semi_major >= self.semi_minor > 0:
            raise ValueError(
                f"an ellipse needs finite semi_major >= semi_minor > 0, found {numbers}"
            )
        for name, number in zip(tuple(vars(self)), numbers, strict=True):
            # NumPy's whole numbers overflow when they are squared.
            object.__setattr__(self, name, float(number))
        # `x % 180` is 180.0 for a tiny negative x.
        object.__setattr__(self, "angle_deg", self.angle_deg % 180.0 % 180.0)

    @classmethod
    def of_conjugate_diameters(
        cls, center: np.ndarray, first: np.ndarray, second: np.ndarray
    ) -> "Ellipse":
        """The ellipse `center` + cos t · `first` + sin t · `second`, each float (2,), px.

        Raises:
            ValueError: not finite, or both halves in one direction.
        """
        halves = np.column_stack([first, second])
        if not np.isfinite(halves).all():
            raise ValueError(f"an ellipse needs finite diameters, found {halves.T.tolist()}")
        directions, lengths, _ = np.linalg.svd(halves)
        return cls(
            float(center[0]),
            float(center[1]),
            float(lengths[0]),
            float(lengths[1]),
            math.degrees(math.atan2(directions[1, 0], directions[0, 0])),
        )

    @property
    def perimeter(self) -> float:
        """Perimeter, px."""
        return float(ramanujan_perimeter(self.semi_major, self.semi_minor))

    @property
    def area(self) -> float:
        """Area, px²."""
        return math.pi * self.semi_major * self.semi_minor

    @property
    def mean_radius(self) -> float:
        """Radius of the circle of the same area, px."""
        return math.sqrt(self.semi_major * self.semi_minor)

    @property
    def major_endpoints(self) -> np.ndarray:
        """Both ends of the long axis, (2, 2)."""
        return self._from_axes(np.array([[-self.semi_major, 0.0], [self.semi_major, 0.0]]))

    @property
    def minor_endpoints(self) -> np.ndarray:
        """Both ends of the short axis, (2, 2)."""
        return self._from_axes(np.array([[0.0, -self.semi_minor], [0.0, self.semi_minor]]))

    @property
    def reach(self) -> tuple[float, float]:
        """Half the extent along x and along y, px."""
        reach_x, reach_y = np.linalg.norm(
            self._rotation() * [self.semi_major, self.semi_minor], axis=1
        ).tolist()
        return reach_x, reach_y

    def points(self, n: int = 360) -> np.ndarray:
        """`n` points on the ellipse, (n, 2), evenly spaced in the eccentric angle."""
        t = np.linspace(0.0, 2 * np.pi, n, endpoint=False)
        return self._from_axes(
            np.column_stack([self.semi_major * np.cos(t), self.semi_minor * np.sin(t)])
        )

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Whether each of `points` (N, 2) lies inside or on the ellipse, bool (N,)."""
        u, v = self._to_axes(points).T
        return (u / self.semi_major) ** 2 + (v / self.semi_minor) ** 2 <= 1.0

    def distances(self, points: np.ndarray) -> np.ndarray:
        """Signed distance of `points` (N, 2) to the ellipse, px, positive outside, (N,).

        First order in the distance; exact for circles. At the centre itself: -semi_minor.
        """
        u, v = self._to_axes(points).T
        level = np.hypot(u / self.semi_major, v / self.semi_minor)
        slope = np.hypot(u / self.semi_major**2, v / self.semi_minor**2)
        # |gradient of level| is slope / level; it lies between 1/semi_major and 1/semi_minor.
        inverse_slope = np.divide(
            level, slope, out=np.full_like(u, self.semi_minor), where=slope > 0
        )
        return (level - 1.0) * inverse_slope

    def shrunk(self, distance_px: float) -> "Ellipse":
        """The ellipse with both semi-axes shorter by `distance_px`; negative makes it grow."""
        return Ellipse(
            self.center_x,
            self.center_y,
            self.semi_major - distance_px,
            self.semi_minor - distance_px,
            self.angle_deg,
        )

    def stretched(
        self, scale_x: float, scale_y: float, shift_x: float = 0.0, shift_y: float = 0.0
    ) -> "Ellipse":
        """The exact image of the ellipse under (x, y) -> (x * scale_x + shift_x, y * …)."""
        center = (self.center_x * scale_x + shift_x, self.center_y * scale_y + shift_y)
        if scale_x == scale_y > 0:
            long, short = self.semi_major * scale_x, self.semi_minor * scale_x
            return Ellipse(*center, long, short, self.angle_deg)
        # Conjugate diameters stay conjugate under every affine map, the axes do not stay axes.
        along, across = (self._rotation() * [self.semi_major, self.semi_minor]).T
        return Ellipse.of_conjugate_diameters(
            np.array(center),
            along * [scale_x, scale_y],
            across * [scale_x, scale_y],
        )

    def _rotation(self) -> np.ndarray:
        angle = math.radians(self.angle_deg)
        return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])

    def _from_axes(self, points: np.ndarray) -> np.ndarray:
        return points @ self._rotation().T + [self.center_x, self.center_y]

    def _to_axes(self, points: np.ndarray) -> np.ndarray:
        centred = np.asarray(points, np.float64) - [self.center_x, self.center_y]
        return centred @ self._rotation()


def ramanujan_perimeter(
    semi_major: float | np.ndarray, semi_minor: float | np.ndarray
) -> float | np.ndarray:
    """Perimeter of an ellipse, Ramanujan's second approximation.

    Args:
        semi_major: half the long axis in any one unit, a float or an array.
        semi_minor: half the short axis in that unit, of a shape that broadcasts.

    Returns:
        The perimeter in that unit; relative error below 1e-8 for axis ratios above 0.5.

    Raises:
        ValueError: if an axis is negative or not finite.

    Source: Ramanujan 1914, "Modular equations and approximations to π".
    """
    a, b = np.asarray(semi_major, np.float64), np.asarray(semi_minor, np.float64)
    if not (np.isfinite(a).all() and np.isfinite(b).all() and (a >= 0).all() and (b >= 0).all()):
        raise ValueError(f"semi-axes must be finite and >= 0, found {semi_major}, {semi_minor}")
    total = a + b
    h = np.divide(a - b, total, out=np.zeros(np.broadcast(a, b).shape), where=total > 0) ** 2
    perimeter = np.pi * total * (1.0 + 3.0 * h / (10.0 + np.sqrt(4.0 - 3.0 * h)))
    return float(perimeter) if perimeter.ndim == 0 else perimeter


def rasterise(ellipse: Ellipse, shape: tuple[int, int]) -> np.ndarray:
    """Pixels whose centre lies inside the ellipse, bool (height, width) = `shape`.

    Parts outside the frame are cut off.
    """
    height, width = shape
    (cos, _), (sin, _) = ellipse._rotation()
    reach_x, reach_y = ellipse.reach  # only this box is computed, most of a frame is background
    columns = _span(ellipse.center_x, reach_x, width)
    rows = _span(ellipse.center_y, reach_y, height)
    x = np.arange(columns.start, columns.stop) - ellipse.center_x
    y = np.arange(rows.start, rows.stop)[:, None] - ellipse.center_y
    long, short = ellipse.semi_major**2, ellipse.semi_minor**2
    # The quadratic form of the ellipse, term by term: this takes the fewest passes over the box. It
    # is multiplied by both squared semi-axes, so that whole numbers stay exact.
    level = y * (2 * cos * sin * (short - long) * x)
    level += (cos**2 * short + sin**2 * long) * x**2
    level += (sin**2 * short + cos**2 * long) * y**2
    mask = np.zeros(shape, bool)
    mask[rows, columns] = level <= long * short
    return mask


def _span(center: float, reach: float, length: int) -> slice:
    """Indices within `reach` of `center` and inside 0..length, empty where there are none."""
    start = min(length, max(0, math.floor(center - reach)))
    return slice(start, max(start, min(length, math.ceil(center + reach) + 1)))
