"""A simulated curved-array scanner: tissue along beams in, B-mode frame out.

Scatterers below the resolution give speckle: complex noise, correlated by the shape of the pulse,
with a Rayleigh distributed envelope. Smooth surfaces give coherent echoes. Tissue weakens the
echoes from behind it. The envelope is log-compressed. All this is computed per beam and depth and
only then converted to the frame, so that speckle widens with depth and shadows follow the beams.

Arrays over the beams are (depths, beams), float32; lengths are px of the frame.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

_DEPTH_STEP_PX = 1.3
_BEAMS = 320
_SHADOW_EDGE_BEAMS = 3.5


@dataclass(frozen=True)
class Probe:
    """A curved array: the centre of its curvature and the sector that it covers, px."""

    apex_x: float
    apex_y: float
    near_px: float
    far_px: float
    half_angle_rad: float


class Beams:
    """The part of a probe's sector that a frame shows, sampled along its beams.

    Attributes:
        x, y: place of each sample in the frame, px, (depths, beams).
        toward_x, toward_y: unit direction of each beam, (1, beams).
        depth_px: distance from the transducer's face, (depths, 1).
        step_px: distance between two samples of a beam, and between two beams at mid-depth.
    """

    def __init__(self, probe: Probe, frame_shape: tuple[int, int]):
        height, width = frame_shape
        x = np.arange(width, dtype=np.float32)[None, :] - np.float32(probe.apex_x)
        y = np.arange(height, dtype=np.float32)[:, None] - np.float32(probe.apex_y)
        self._radius = np.hypot(x, y)
        self._angle = np.arctan2(x, y)
        self._inside = (
            (self._radius >= probe.near_px)
            & (self._radius <= probe.far_px)
            & (np.abs(self._angle) <= probe.half_angle_rad)
        )
        near, far = self._radius[self._inside].min(), self._radius[self._inside].max()
        left, right = self._angle[self._inside].min(), self._angle[self._inside].max()
        depths = max(2, round((far - near) / _DEPTH_STEP_PX))
        radius = np.linspace(near, far, depths, dtype=np.float32)[:, None]
        angle = np.linspace(left, right, _BEAMS, dtype=np.float32)[None, :]
        self._origin = (float(near), float(left))
        self._per_px = (depths - 1) / float(far - near)
        self._per_rad = (_BEAMS - 1) / float(right - left)
        self.toward_x, self.toward_y = np.sin(angle), np.cos(angle)
        self.x = np.float32(probe.apex_x) + radius * self.toward_x
        self.y = np.float32(probe.apex_y) + radius * self.toward_y
        self.depth_px = radius - np.float32(probe.near_px)
        self.step_px = (1 / self._per_px, float(radius.mean()) / self._per_rad)

    @property
    def shape(self) -> tuple[int, int]:
        return self.x.shape[0], self.x.shape[1]

    def to_frame(self, values: np.ndarray) -> np.ndarray:
        """Scan conversion: (depths, beams) to (height, width), 0 outside the sector."""
        near, left = self._origin
        column = (self._angle - np.float32(left)) * np.float32(self._per_rad)
        row = (self._radius - np.float32(near)) * np.float32(self._per_px)
        frame = cv2.remap(values, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.where(self._inside, frame, np.zeros((), values.dtype))


@dataclass(frozen=True)
class Tissue:
    """What the beams meet, each (depths, beams).

    Attributes:
        scatter_db: level of the speckle.
        surface: amplitude of coherent echoes, 1 = 0 dB.
        weakening_db_per_px: how much each px weakens the echoes from behind it, there and back;
            negative in fluid, which weakens less than the scanner's depth gain assumes.
    """

    scatter_db: np.ndarray
    surface: np.ndarray
    weakening_db_per_px: np.ndarray


@dataclass(frozen=True)
class Settings:
    """The settings of the scanner.

    Attributes:
        pulse_px: standard deviation of the pulse along and across the beam, px.
        gain_db: added to every echo.
        slope_db: rise of the level from the nearest to the deepest sample.
        dynamic_range_db: from black to white.
        gamma: of the gray map; values above 1 darken the middle.
        noise_db: electronic noise, before the depth gain.
        looks: number of frames averaged, which smooths the speckle.
    """

    pulse_px: tuple[float, float]
    gain_db: float
    slope_db: float
    dynamic_range_db: float
    gamma: float
    noise_db: float
    looks: int


def scan(tissue: Tissue, beams: Beams, settings: Settings, rng: np.random.Generator) -> np.ndarray:
    """The B-mode frame of `tissue`, uint8 (height, width), 0 outside the sector."""
    step = np.float32(beams.step_px[0])
    on_the_way_db = np.cumsum(tissue.weakening_db_per_px, axis=0, dtype=np.float32) * step
    # A beam is formed by many elements that look past an obstacle: shadows have soft edges.
    lost_db = cv2.GaussianBlur(on_the_way_db, (0, 0), sigmaX=_SHADOW_EDGE_BEAMS, sigmaY=0.8)
    scatter = _amplitude(tissue.scatter_db - lost_db)
    echo = tissue.surface * _amplitude(-lost_db)
    sigma = [max(0.6, p / s) for p, s in zip(settings.pulse_px, beams.step_px, strict=True)]
    power: np.ndarray = np.zeros(beams.shape, np.float32)
    surface = cv2.GaussianBlur(echo, (0, 0), sigmaX=sigma[1] * 0.7, sigmaY=sigma[0] * 0.7)
    # Blurred white noise keeps 1 / (4 pi sigma_1 sigma_2) of its power; the real and the imaginary
    # part of the echo are each scaled back to one half.
    loudness = math.sqrt(2 * math.pi * sigma[0] * sigma[1])
    for _ in range(settings.looks):
        for coherent in (surface, 0.0):
            noise = rng.standard_normal(beams.shape, dtype=np.float32) * scatter
            speckle = cv2.GaussianBlur(noise, (0, 0), sigmaX=sigma[1], sigmaY=sigma[0])
            power += np.square(speckle * np.float32(loudness) + coherent)
    power = power / settings.looks + np.float32(10 ** (settings.noise_db / 10))
    return beams.to_frame(_compressed(power, settings))


def _amplitude(level_db: np.ndarray) -> np.ndarray:
    return np.exp(level_db * np.float32(math.log(10) / 20))


def _compressed(power: np.ndarray, settings: Settings) -> np.ndarray:
    """Log compression and gray map, uint8."""
    slope = np.linspace(-0.5, 0.5, len(power), dtype=np.float32)[:, None] * settings.slope_db
    level_db = np.log10(power) * np.float32(10) + (slope + np.float32(settings.gain_db))
    gray = np.clip(level_db / np.float32(settings.dynamic_range_db) + 1, 0, 1)
    return (gray ** np.float32(settings.gamma) * 255 + 0.5).astype(np.uint8)
