"""Distortions of ultrasound frames by level: noise, speckle, blur, contrast, gamma, shadow.

Each works on the original frame, uint8 [H, W], before it is letterboxed. Lengths are shares of the
frame's width, so that a level means the same at every size. Random numbers depend only on a seed
and the frame, not on the order of images. Every level of a distortion draws the same ones, so that
its curve shows the effect of the level alone.
"""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np

Image = np.ndarray  # uint8 [H, W]

BLACK = 2  # gray values up to this are black: JPEG frames have no exact zeros
DISPLAY_RANGE_DB = (
    60.0  # black to white of a typical B-mode display; a frame does not state its own
)
SPECKLE_GRAIN = (0.0015, 0.003)  # sd of a grain along and across the beam, share of the width
_GAP = 0.005  # share of the width; narrower black gaps do not connect the inside to the edge
_SHADOWS = 2


@dataclass(frozen=True)
class GradedDistortion:
    """A distortion of a frame that has a level.

    Attributes:
        unit: what a level is.
        identity: the level that leaves a frame as it is.
        levels: those to study, ascending, without `identity`.
        allowed: the smallest and the largest level that make sense.
        apply: (frame, level, random numbers) → float [H, W] in gray values, not yet rounded.
    """

    name: str
    unit: str
    identity: float
    levels: tuple[float, ...]
    allowed: tuple[float, float]
    apply: Callable[[Image, float, np.random.Generator], np.ndarray]

    def at(self, level: float, seed: int = 0) -> Callable[[Image], Image]:
        """The distortion at one level, for `fetal_tf.evaluation.evaluate.evaluate_samples`.

        Args:
            level: in `unit`; at `identity` the frame comes back bit by bit.
            seed: the same seed and frame give the same result.

        Returns:
            A function of a frame uint8 [H, W] that returns another one; TypeError for other types.

        Raises:
            ValueError: a level outside `allowed`.
        """
        low, high = self.allowed
        if not low <= level <= high:
            raise ValueError(f"{self.name}: level {level!r} is outside {low:g} to {high:g}")

        def distort(image: Image) -> Image:
            if image.dtype != np.uint8 or image.ndim != 2:
                raise TypeError(f"a frame is uint8 [H, W], found {image.dtype} {image.shape}")
            if level == self.identity:
                return image.copy()
            spoilt = self.apply(image, level, self._rng(image, seed))
            return np.clip(np.rint(spoilt), 0, 255).astype(np.uint8)

        return distort

    def _rng(self, image: Image, seed: int) -> np.random.Generator:
        frame = zlib.crc32(image.tobytes())
        return np.random.default_rng([seed, zlib.crc32(self.name.encode()), frame, *image.shape])


def sector(image: Image) -> np.ndarray:
    """Find the scanner's image, bool [H, W]: all but the black regions at the frame's edge.

    Black inside (fluid, a shadow) belongs to it, unless broad black connects it to the edge.
    """
    radius = max(1, round(_GAP * image.shape[1]))
    margin = 2 * radius + 1  # a black ring around the frame, wide enough to survive the opening
    black = np.pad((image <= BLACK).astype(np.uint8), margin, constant_values=1)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    wide = cv2.morphologyEx(black, cv2.MORPH_OPEN, disc)
    _, regions = cv2.connectedComponents(wide, connectivity=4)
    outside = (regions == regions[0, 0])[margin:-margin, margin:-margin]
    return ~(outside & (image <= BLACK))


def _noise(image: Image, level: float, rng: np.random.Generator) -> np.ndarray:
    """Add white Gaussian noise everywhere, as it arises in the video signal."""
    return image + level * rng.standard_normal(image.shape)


def _speckle(image: Image, level: float, rng: np.random.Generator) -> np.ndarray:
    """Multiply by 1 + level (R - 1), R correlated Rayleigh noise of mean 1; black stays black.

    The envelope of many scatterers within one resolution cell is Rayleigh distributed (Burckhardt
    1978, IEEE Trans Son Ultrason 25:1). Its sd is 0.52 of the mean, so the relative sd that is
    added is 0.52 times the level.
    """
    along, across = (max(grain * image.shape[1], 0.3) for grain in SPECKLE_GRAIN)
    real, imaginary = (
        cv2.GaussianBlur(rng.standard_normal(image.shape), (0, 0), sigmaX=across, sigmaY=along)
        for _ in range(2)
    )
    envelope = np.hypot(real, imaginary)
    return image * (1 + level * (envelope / envelope.mean() - 1))


def _blur(image: Image, level: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian blur of sd level * width: a probe of lower frequency, a frame out of focus."""
    return cv2.GaussianBlur(
        image.astype(np.float64), (0, 0), level * image.shape[1], borderType=cv2.BORDER_REPLICATE
    )


def _contrast(image: Image, level: float, rng: np.random.Generator) -> np.ndarray:
    """Stretch gray values about the sector's mean; the black around the sector stays."""
    drawn = sector(image)
    if not drawn.any():
        return image.astype(np.float64)
    middle = image[drawn].mean()
    return np.where(drawn, middle + level * (image - middle), image)


def _gamma(image: Image, level: float, rng: np.random.Generator) -> np.ndarray:
    """Another gray map, 255 (gray / 255)^level: above 1 the middle darkens; black stays black."""
    return 255 * (image / 255) ** level


def _shadow(image: Image, level: float, rng: np.random.Generator) -> np.ndarray:
    """Acoustic shadows: bands that widen with depth, behind an obstacle that takes `level` dB away.

    A display shows decibels, so a loss is a difference of gray values, not a factor; black stays
    black. The beams' origin is assumed to lie one sector height above the sector.
    """
    rows, columns = np.nonzero(sector(image))
    if not len(rows):
        return image.astype(np.float64)
    top, left, right = rows.min(), columns.min(), columns.max()
    height = rows.max() - top + 1
    y, x = np.indices(image.shape, np.float64)
    depth = (y - top) / height
    beam = np.arctan2(x - (left + right) / 2, y - top + height)
    reach = np.arctan2((right - left + 1) / 2, 2 * height)
    kept = np.ones(image.shape)
    for _ in range(_SHADOWS):
        direction = rng.uniform(-0.8, 0.8) * reach
        half_width = rng.uniform(0.05, 0.12) * reach
        start = rng.uniform(0.1, 0.4)
        # Soft edges: a beam is formed by many elements, some of which look past the obstacle.
        aside = _ramp((np.abs(beam - direction) - half_width) / (0.5 * half_width))
        kept *= 1 - (1 - aside) * _ramp((depth - start) / 0.03)
    return image - level * 255 / DISPLAY_RANGE_DB * (1 - kept)


def _ramp(values: np.ndarray) -> np.ndarray:
    """0 up to 0, 1 from 1 on, smooth between."""
    t = np.clip(values, 0, 1)
    return t * t * (3 - 2 * t)


_ALL = (
    GradedDistortion(
        "noise", "sd (gray values)", 0.0, (10.0, 20.0, 40.0, 80.0), (0.0, 255.0), _noise
    ),
    GradedDistortion("speckle", "strength", 0.0, (0.25, 0.5, 0.75, 1.0), (0.0, 1.0), _speckle),
    GradedDistortion(
        "blur", "sd (share of width)", 0.0, (0.0025, 0.005, 0.01, 0.02), (0.0, 0.2), _blur
    ),
    GradedDistortion("contrast", "factor", 1.0, (0.25, 0.5, 1.5, 2.0), (0.0, 8.0), _contrast),
    GradedDistortion("gamma", "exponent", 1.0, (0.5, 0.7, 1.5, 2.0), (0.1, 10.0), _gamma),
    GradedDistortion(
        "shadow", "attenuation (dB)", 0.0, (6.0, 12.0, 20.0, 40.0), (0.0, 60.0), _shadow
    ),
)
DISTORTIONS: Mapping[str, GradedDistortion] = {distortion.name: distortion for distortion in _ALL}
