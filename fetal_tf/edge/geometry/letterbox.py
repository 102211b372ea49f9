"""Letterboxing and its exact inverse: the only code that fits frames to a network's input."""

from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np

from fetal_tf.edge.geometry.ellipse import Ellipse
from fetal_tf.edge.geometry.region import Region, ultrasound_region


@dataclass(frozen=True)
class Letterbox:
    """Fit a source frame, or a region of it, into a target frame.

    The aspect is kept, the content is centred and padded with zeros. Coordinates are (x, y) with
    pixel centres at integers, so a target point lies at
    `(x - left + 0.5) * scale_x - 0.5 + pad_left`, where `left` is the region's. The two scales
    differ by the rounding of the content to whole pixels, and the inverse takes that into account.

    Attributes:
        source_height, source_width: size of the original image, px.
        target_height, target_width: size of the network's input, px.
        cropped: the region of the image that the network sees; None: all of it.

    Raises:
        ValueError: a side below 1 px, or a region that leaves the image.
    """

    source_height: int
    source_width: int
    target_height: int
    target_width: int
    cropped: Region | None = None

    def __post_init__(self) -> None:
        sides = (self.source_height, self.source_width, self.target_height, self.target_width)
        if min(sides) < 1:
            raise ValueError(f"a letterbox needs sides of at least 1 px, found {sides}")
        seen, (height, width) = self.region, sides[:2]
        if (
            min(seen.top, seen.left, seen.height - 1, seen.width - 1) < 0
            or seen.top + seen.height > height
            or seen.left + seen.width > width
        ):
            raise ValueError(f"{seen} leaves an image of {height}x{width} (height x width)")

    @cached_property
    def region(self) -> Region:
        """What the network sees of the source image."""
        return self.cropped or Region(0, 0, self.source_height, self.source_width)

    def resized_source(self, height: int, width: int) -> "Letterbox":
        """The same letterbox of the source image resized to (height, width)."""
        cropped = self.cropped
        if cropped is not None:
            cropped = cropped.scaled(height / self.source_height, width / self.source_width)
        return replace(self, source_height=height, source_width=width, cropped=cropped)

    @cached_property
    def _scale(self) -> float:
        return min(self.target_height / self.region.height, self.target_width / self.region.width)

    @cached_property
    def content_height(self) -> int:
        return min(self.target_height, max(1, round(self.region.height * self._scale)))

    @cached_property
    def content_width(self) -> int:
        return min(self.target_width, max(1, round(self.region.width * self._scale)))

    @property
    def pad_top(self) -> int:
        return (self.target_height - self.content_height) // 2

    @property
    def pad_left(self) -> int:
        return (self.target_width - self.content_width) // 2

    @property
    def scale_x(self) -> float:
        """Target pixels per source pixel, along x."""
        return self.content_width / self.region.width

    @property
    def scale_y(self) -> float:
        """Target pixels per source pixel, along y."""
        return self.content_height / self.region.height

    @property
    def content(self) -> tuple[slice, slice]:
        """Rows and columns of the target frame that hold the image, without the padding."""
        return (
            slice(self.pad_top, self.pad_top + self.content_height),
            slice(self.pad_left, self.pad_left + self.content_width),
        )

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Source image uint8 (H, W) or (H, W, C) to the target frame, same dtype.

        Shrinking averages areas, so that speckle does not alias; enlarging interpolates linearly.

        Raises:
            ValueError: the image is not of the source size.
        """
        self._check_source(image)
        shrinks = self._scale < 1
        return self._padded(
            _resized(
                image[self.region.slices],
                self.content_height,
                self.content_width,
                cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
            )
        )

    def apply_coverage(self, mask: np.ndarray) -> np.ndarray:
        """Mask (H, W), bool or 0/1, to uint8 (h, w): 255 times the covered share of each pixel."""
        self._check_source(mask)
        return self.apply((mask > 0).astype(np.uint8) * np.uint8(255))

    def apply_nearest(self, labels: np.ndarray) -> np.ndarray:
        """Label map (H, W) of any dtype to the target frame, each pixel from its nearest centre."""
        self._check_source(labels)
        rows = _nearest_index(self.content_height, self.region.height)
        columns = _nearest_index(self.content_width, self.region.width)
        return self._padded(labels[self.region.slices][rows[:, None], columns])

    def restore(self, values: np.ndarray) -> np.ndarray:
        """Map float32 (h, w) or (h, w, K) of the target frame back to (H, W) or (H, W, K).

        Bilinear at the exact inverse coordinates; padding takes no part, the border is repeated.
        Zero outside the region.

        Raises:
            ValueError: the map is not of the target size.
        """
        if values.shape[:2] != (self.target_height, self.target_width):
            raise ValueError(
                f"map is {values.shape[0]}x{values.shape[1]} (height x width), the letterbox "
                f"makes {self.target_height}x{self.target_width}"
            )
        seen = _resized(
            values[self.content], self.region.height, self.region.width, cv2.INTER_LINEAR
        )
        if self.cropped is None:
            return seen
        restored = np.zeros((self.source_height, self.source_width, *values.shape[2:]), seen.dtype)
        restored[self.region.slices] = seen
        return restored

    def to_target(self, points: np.ndarray) -> np.ndarray:
        """Points (N, 2), (x, y) in source pixels, to target pixels, float64."""
        scale, pad, origin = self._axes()
        return (np.asarray(points, np.float64) - origin + 0.5) * scale - 0.5 + pad

    def to_source(self, points: np.ndarray) -> np.ndarray:
        """Points (N, 2), (x, y) in target pixels, to source pixels, float64."""
        scale, pad, origin = self._axes()
        return (np.asarray(points, np.float64) - pad + 0.5) / scale - 0.5 + origin

    def content_to_source(self, ellipse: Ellipse) -> Ellipse:
        """An ellipse in pixels of `content` (the target without padding) to source pixels."""
        scale_x, scale_y = 1 / self.scale_x, 1 / self.scale_y
        # Pixel centres are integers in both.
        shift_x, shift_y = self.region.left - 0.5, self.region.top - 0.5
        return ellipse.stretched(scale_x, scale_y, scale_x / 2 + shift_x, scale_y / 2 + shift_y)

    def _axes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return (
            np.array([self.scale_x, self.scale_y]),
            np.array([self.pad_left, self.pad_top]),
            np.array([self.region.left, self.region.top]),
        )

    def _check_source(self, image: np.ndarray) -> None:
        if image.shape[:2] != (self.source_height, self.source_width):
            raise ValueError(
                f"image is {image.shape[0]}x{image.shape[1]} (height x width), the letterbox "
                f"was made for {self.source_height}x{self.source_width}"
            )

    def _padded(self, content: np.ndarray) -> np.ndarray:
        frame = np.zeros((self.target_height, self.target_width, *content.shape[2:]), content.dtype)
        frame[self.content] = content
        return frame


def letterboxed(
    image: np.ndarray, input_shape: tuple[int, int, int]
) -> tuple[np.ndarray, Letterbox]:
    """Letterbox a gray image, or the ultrasound region of a screen, to the input of a network.

    Args:
        image: uint8 (H, W).
        input_shape: (height, width, channels) of the network; gray is repeated in every channel.

    Returns:
        The frame uint8 (height, width, channels), and its letterbox.
    """
    height, width, channels = input_shape
    rows, columns = image.shape
    letterbox = Letterbox(rows, columns, height, width, ultrasound_region(image))
    return np.repeat(letterbox.apply(image)[..., None], channels, axis=-1), letterbox


def _resized(image: np.ndarray, height: int, width: int, interpolation: int) -> np.ndarray:
    """`cv2.resize` for (H, W) and (H, W, C) with any C; OpenCV promises at most four."""
    if image.shape[:2] == (height, width):
        return image.copy()
    if image.ndim == 2:
        return cv2.resize(image, (width, height), interpolation=interpolation)
    planes = [_resized(image[..., c], height, width, interpolation) for c in range(image.shape[2])]
    return np.stack(planes, axis=-1)


def _nearest_index(target: int, source: int) -> np.ndarray:
    return np.minimum(((np.arange(target) + 0.5) * source / target).astype(int), source - 1)
