"""MixUp and CutMix: one training frame and its target out of two.

Both work on augmented frames and encoded targets. The target maps are blended, or cut, pixel by
pixel like the frames. The second frame is drawn by the same weights as the frames of the epoch, see
`fetal_tf.data.pipeline.sampler.draw_partner`. A negative is a frame like any other here: MixUp
weakens the target of the other frame by its empty one, CutMix cuts a hole into it. It is drawn as
rarely as the `weight` of its source says. All random numbers come from the generator passed in, so
that a resumed run repeats the same mixtures.

Sources: Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization", arXiv 1710.09412; Yun et
al. 2019, "CutMix", arXiv 1905.04899.
"""

from dataclasses import dataclass

import numpy as np

Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Mixer:
    """How many frames are mixed with another one, and in which proportions.

    Attributes:
        mixup: share of the frames that are blended with another.
        cutmix: share of the frames into which a box of another is pasted.
        alpha: the first frame's share is drawn from Beta(alpha, alpha).
    """

    mixup: float
    cutmix: float
    alpha: float

    def draw(self, rng: np.random.Generator) -> str | None:
        """Draw what happens to a frame: `mixup`, `cutmix`, or None for nothing."""
        u = rng.random()
        if u < self.mixup:
            return "mixup"
        return "cutmix" if u < self.mixup + self.cutmix else None

    def mix(self, kind: str, one: Pair, other: Pair, rng: np.random.Generator) -> Pair:
        """Mix two pairs of an image, uint8 [h, w, C], and a target, float32 [h, w, K], into one."""
        share = rng.beta(self.alpha, self.alpha)
        if kind == "mixup":
            image, target = (share * a + (1 - share) * b for a, b in zip(one, other, strict=True))
            return np.rint(image).astype(np.uint8), target.astype(np.float32)
        rows, columns = _box(one[0].shape[:2], 1 - share, rng)
        image, target = one[0].copy(), one[1].copy()
        image[rows, columns], target[rows, columns] = (part[rows, columns] for part in other)
        return image, target


def _box(shape: tuple[int, int], area: float, rng: np.random.Generator) -> tuple[slice, slice]:
    """Rows and columns of a box around a random pixel, cut off at the frame's edge.

    Uncut, it has the frame's proportions and covers `area`, a share of the frame.
    """
    side = np.sqrt(area)
    spans = []
    for length in shape:
        center, half = rng.integers(length), side * length / 2
        spans.append(slice(max(0, round(center - half)), min(length, round(center + half))))
    return spans[0], spans[1]
