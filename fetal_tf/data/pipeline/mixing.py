"""MixUp and CutMix: two augmented frames and their encoded targets as one.

Sources: Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization", arXiv 1710.09412; Yun et
al. 2019, "CutMix", arXiv 1905.04899. For maps both are exact: a target is blended, or cut, pixel by
pixel as its frame is. All random numbers come from the generator that is passed in, so that a
resumed run mixes what it would have mixed.
"""

from dataclasses import dataclass

import numpy as np

Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Mixer:
    """How often two frames become one, and by how much.

    Attributes:
        mixup: share of the frames that are blended with another.
        cutmix: share of the frames into which a box of another is pasted.
        alpha: the first frame's share is drawn from Beta(alpha, alpha).
    """

    mixup: float
    cutmix: float
    alpha: float

    def draw(self, rng: np.random.Generator) -> str | None:
        """What happens to a frame: `mixup`, `cutmix`, or nothing."""
        u = rng.random()
        if u < self.mixup:
            return "mixup"
        return "cutmix" if u < self.mixup + self.cutmix else None

    def mix(self, kind: str, one: Pair, other: Pair, rng: np.random.Generator) -> Pair:
        """Image uint8 [h, w, C] and target float32 [h, w, K] of both as one such pair."""
        share = rng.beta(self.alpha, self.alpha)
        if kind == "mixup":
            image, target = (share * a + (1 - share) * b for a, b in zip(one, other, strict=True))
            return np.rint(image).astype(np.uint8), target.astype(np.float32)
        rows, columns = _box(one[0].shape[:2], 1 - share, rng)
        image, target = one[0].copy(), one[1].copy()
        image[rows, columns], target[rows, columns] = (part[rows, columns] for part in other)
        return image, target


def _box(shape: tuple[int, int], area: float, rng: np.random.Generator) -> tuple[slice, slice]:
    """A box of the frame's proportions about a random pixel, cut off at the frame's edge."""
    side = np.sqrt(area)
    spans = []
    for length in shape:
        center, half = rng.integers(length), side * length / 2
        spans.append(slice(max(0, round(center - half)), min(length, round(center + half))))
    return spans[0], spans[1]
