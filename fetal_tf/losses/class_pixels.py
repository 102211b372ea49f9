"""Pixel counts per class over the training frames, from which a loss weighs rare classes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class ClassPixels:
    """Pixels and images per class over the training frames, in the order of `classes`.

    Attributes:
        classes: names by index; 0 is the background.
        pixels: of each class in all frames, at the network's size, with the letterbox's padding as
            background.
        images: number of frames that hold at least one pixel of the class.
    """

    classes: tuple[str, ...]
    pixels: tuple[int, ...]
    images: tuple[int, ...]

    def __post_init__(self):
        if not self.classes or not len(self.classes) == len(self.pixels) == len(self.images):
            raise ValueError(
                f"{len(self.classes)} classes, {len(self.pixels)} pixel counts and "
                f"{len(self.images)} image counts; each class needs one of both"
            )
        if min(self.pixels) < 0 or min(self.images) < 0:
            raise ValueError(f"negative counts: pixels {self.pixels}, images {self.images}")
        if sum(self.pixels) == 0:
            raise ValueError("no pixels were counted: there is no training frame")

    @property
    def shares(self) -> np.ndarray:
        """Share of all pixels that each class covers, float64 [K], sums to 1."""
        return np.array(self.pixels, np.float64) / sum(self.pixels)

    def inverse_frequency_weights(self, smoothing: float) -> np.ndarray:
        """Weights that rise as a class gets rarer, float64 [K], their mean 1.

        With v_c = 1 / (share_c + smoothing), w_c = K v_c / sum(v). The smoothing, a share of all
        pixels, keeps the weight of an absent class finite and the ratio of two weights below
        (1 + smoothing) / smoothing: at 0.02 a class of 0.5 % weighs 29 times one of 70 %; without
        smoothing it would be 140 times.

        Raises:
            ValueError: a smoothing that is not positive and finite.
        """
        if not 0 < smoothing < np.inf:
            raise ValueError(f"smoothing is {smoothing}; a positive share of all pixels is needed")
        inverse = 1 / (self.shares + smoothing)
        return inverse / inverse.mean()

    def as_record(self) -> dict[str, list[Any]]:
        """The counts as lists for JSON; `from_record` reads them back."""
        return {
            "classes": list(self.classes),
            "pixels": list(self.pixels),
            "images": list(self.images),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Sequence[Any]]) -> "ClassPixels":
        """The counts that `as_record` wrote.

        Raises:
            KeyError: an entry is missing.
            ValueError: counts that contradict each other or are not whole numbers.
        """
        return cls(
            tuple(str(name) for name in record["classes"]),
            _whole_numbers(record["pixels"]),
            _whole_numbers(record["images"]),
        )

    @classmethod
    def count(cls, targets: Iterable[np.ndarray], classes: Sequence[str]) -> "ClassPixels":
        """Count the training targets.

        Args:
            targets: label maps, uint8 [h, w] or [h, w, 1], of class indices.
            classes: names by index.

        Raises:
            ValueError: no target, one of another shape or dtype, or an index beyond the classes.
        """
        pixels = np.zeros(len(classes), np.int64)
        images = np.zeros(len(classes), np.int64)
        for number, target in enumerate(targets):
            counts = _counts_of(target, classes, f"label map {number}")
            pixels += counts
            images += counts > 0
        return cls(tuple(classes), tuple(pixels.tolist()), tuple(images.tolist()))


def _counts_of(target: np.ndarray, classes: Sequence[str], name: str) -> np.ndarray:
    if target.dtype != np.uint8 or target.ndim not in (2, 3) or target.shape[2:] not in ((), (1,)):
        raise ValueError(
            f"{name}: found {target.dtype} {list(target.shape)}, expected class indices, "
            "uint8 [h, w] or [h, w, 1]"
        )
    counts = np.bincount(target.ravel(), minlength=len(classes))
    if len(counts) > len(classes):
        raise ValueError(
            f"{name}: holds class {len(counts) - 1}; there are {len(classes)}: "
            f"0 {classes[0]} to {len(classes) - 1} {classes[-1]}"
        )
    return counts


def _whole_numbers(values: Sequence[Any]) -> tuple[int, ...]:
    if not all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        raise ValueError(f"counts are whole numbers, found {list(values)}")
    return tuple(values)
