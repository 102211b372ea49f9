"""Statistics of a dataset's images, to tell two datasets or two versions of one apart."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fetal_tf.data.duplicates import perceptual_hash
from fetal_tf.edge.flag import Flag
from fetal_tf.edge.io.files import sha256_of
from fetal_tf.edge.io.images import read_frame

_LEVELS = 256
_BINS = 16  # of the histogram that is kept
_PERCENTILES = (1, 5, 25, 50, 75, 95, 99)


@dataclass(frozen=True)
class ImageLook:
    """What an audit keeps of a decoded image.

    Attributes:
        shape: (height, width), px.
        gray_counts: int64 [256], pixels of each gray level.
        sha256: of the file.
        hash: bool [256], see `perceptual_hash`; None where the image is too plain.
        notes: what was done to the image on reading, see `fetal_tf.edge.io.images.Frame`.
    """

    shape: tuple[int, int]
    gray_counts: np.ndarray
    sha256: str
    hash: np.ndarray | None
    notes: tuple[Flag, ...] = ()

    @property
    def gray_range(self) -> tuple[int, int]:
        """The darkest and the brightest gray level."""
        found = np.flatnonzero(self.gray_counts)
        return int(found[0]), int(found[-1])


def look_at(path: Path) -> ImageLook:
    """Decode an image and compute its `ImageLook`.

    Raises:
        ImageError: as `read_frame`.
    """
    frame = read_frame(path)
    image = frame.gray
    counts = np.bincount(image.ravel(), minlength=_LEVELS)
    shape = (image.shape[0], image.shape[1])
    return ImageLook(shape, counts, sha256_of(path), perceptual_hash(image), frame.notes)


def statistics(values: Sequence[float]) -> dict[str, float]:
    """Compute n, min, mean, sd (population), median and max of at least one value."""
    return {
        "n": len(values),
        "min": float(min(values)),
        "mean": float(np.mean(values)),
        "sd": float(np.std(values)),
        "median": float(np.median(values)),
        "max": float(max(values)),
    }


def describe_images(looks: Sequence[ImageLook]) -> dict[str, Any]:
    """Summarise sizes and gray levels, ready for JSON; `{"images": 0}` without images.

    `sha256` depends on the files' contents only, not on their order or names. Gray levels are
    0..255 and pooled over all pixels; `image_mean` and `image_sd` are over images.
    """
    if not looks:
        return {"images": 0}
    counts = np.sum([look.gray_counts for look in looks], axis=0)
    moments = [_mean_and_sd(look.gray_counts) for look in looks]
    mean, sd = _mean_and_sd(counts)
    below = np.cumsum(counts) / counts.sum()
    return {
        "images": len(looks),
        "sha256": hashlib.sha256("\n".join(sorted(x.sha256 for x in looks)).encode()).hexdigest(),
        "height_px": statistics([look.shape[0] for look in looks]),
        "width_px": statistics([look.shape[1] for look in looks]),
        "sizes": _counted(f"{look.shape[1]}x{look.shape[0]}" for look in looks),
        "gray": {
            "mean": mean,
            "sd": sd,
            **{f"p{p:02d}": int(np.searchsorted(below, p / 100)) for p in _PERCENTILES},
            "black_percent": 100 * float(counts[0] / counts.sum()),
            "white_percent": 100 * float(counts[-1] / counts.sum()),
            "histogram_percent": (
                100 * counts.reshape(_BINS, -1).sum(axis=1) / counts.sum()
            ).tolist(),
            "image_mean": statistics([mean for mean, _ in moments]),
            "image_sd": statistics([sd for _, sd in moments]),
        },
    }


def _mean_and_sd(counts: np.ndarray) -> tuple[float, float]:
    levels = np.arange(_LEVELS)
    mean = float(counts @ levels / counts.sum())
    return mean, float(np.sqrt(counts @ (levels - mean) ** 2 / counts.sum()))


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(Counter(values).most_common())
