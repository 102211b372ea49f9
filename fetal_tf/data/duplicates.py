"""Find images that are the same: byte-identical files, and nearly identical pictures.

Pictures are compared by a perceptual hash. It changes little under rescaling, re-encoding, noise,
burnt-in text, another brightness and a margin of one or two per cent.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from fetal_tf.edge.io.files import sha256_of

# Two HC18 images of different examinations differ by at least 35 bits (787 images), two of the two
# other hospitals by 51 (110 images). Of HC18's images, re-encoded, scaled by half, shifted by 4 px,
# cut by 1 %, with noise or gamma 0.7 to 1.5, nine in ten differ from the original by no more.
NEAR_BITS = 24
_ROWS, _COLUMNS = 16, 16
_LEVEL = 1  # gray levels; rounding can make such a difference between neighbours
# A picture with fewer differences is too plain to compare; ultrasound has 113 and more of 256.
_LEAST_DIFFERENCES = 64

Name = TypeVar("Name")


def perceptual_hash(image: np.ndarray) -> np.ndarray | None:
    """Compute the difference hash of a gray image uint8 (H, W), bool [256].

    A bit says whether the image gets brighter to the right. None where the image is too plain.

    Source: the difference hash of Krawetz 2013, "Kind of like that" (hackerfactor.com), on 16x16.
    """
    small = cv2.resize(image, (_COLUMNS + 1, _ROWS), interpolation=cv2.INTER_AREA)
    steps = np.diff(small.astype(np.int16), axis=1).ravel()
    if np.count_nonzero(np.abs(steps) > _LEVEL) < _LEAST_DIFFERENCES:
        return None
    return steps > _LEVEL


def identical_images(paths: Iterable[Path]) -> list[list[Path]]:
    """Group byte-identical files, two and more each, in the order given.

    Only files of one size are read.
    """
    by_size: dict[int, list[Path]] = defaultdict(list)
    for path in paths:
        by_size[path.stat().st_size].append(path)
    groups: dict[str, list[Path]] = defaultdict(list)
    for same_size in by_size.values():
        for path in same_size if len(same_size) > 1 else ():
            groups[sha256_of(path)].append(path)
    return [group for group in groups.values() if len(group) > 1]


def near_pairs(hashes: Sequence[np.ndarray | None]) -> list[tuple[int, int, int]]:
    """Find pairs of near copies: (index, later index, bits that differ), in ascending order."""
    known = [index for index, bits in enumerate(hashes) if bits is not None]
    if len(known) < 2:
        return []
    signs = np.array([hashes[index] for index in known], np.float32) * 2 - 1
    differing = (signs.shape[1] - signs @ signs.T) / 2
    first, second = np.nonzero(np.triu(differing <= NEAR_BITS, k=1))
    return [
        (known[one], known[other], round(float(differing[one, other])))
        for one, other in zip(first.tolist(), second.tolist(), strict=True)
    ]


def linked(pairs: Iterable[tuple[Name, Name]]) -> list[list[Name]]:
    """Join pairs into groups: names linked directly or through others, in order of appearance."""
    group_of: dict[Name, list[Name]] = {}
    for one, other in pairs:
        first, second = group_of.setdefault(one, [one]), group_of.setdefault(other, [other])
        if first is not second:
            first.extend(second)
            group_of.update(dict.fromkeys(second, first))
    return list({id(group): group for group in group_of.values()}.values())
