"""Draw groups for splits and folds by the order of their hashes, stratum by stratum.

A hash depends on the seed and the group's name only. So removing or adding a few groups moves few
others.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from fetal_tf.data.sample import Sample
from fetal_tf.edge.errors import DataError

Strata = Sequence[Sequence[str]]  # groups by stratum

_PARTS = 3  # train, val, test: with fewer groups a stratum cannot be in each


def strata_by_structures(samples: Sequence[Sample]) -> Strata:
    """Strata of groups whose frames show the same set of structures, smallest stratum first.

    Strata of one or two groups cannot be in every part, so they are joined into one.

    Raises:
        DataError: the structures of some frames are unknown.
    """
    unknown = [sample.id for sample in samples if sample.present is None]
    if unknown:
        raise DataError(
            f"split.stratify: the dataset does not say which structures {len(unknown)} of "
            f"{len(samples)} frames show (first: {unknown[0]}). Set split.stratify to false."
        )
    shown: dict[str, frozenset[str]] = defaultdict(frozenset)
    for sample in samples:
        shown[sample.group] |= sample.present or frozenset()
    by_structures: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for group, structures in shown.items():
        by_structures[tuple(sorted(structures))].append(group)
    large = [groups for _, groups in sorted(by_structures.items()) if len(groups) >= _PARTS]
    rest = [group for groups in by_structures.values() if len(groups) < _PARTS for group in groups]
    # A large stratum at the end can correct the rounding of the small ones.
    return sorted([*large, rest] if rest else large, key=len)


def draw_part(
    split: dict[str, str],
    name: str,
    fraction: float,
    sizes: Mapping[str, int],
    seed: int,
    strata: Strata,
) -> None:
    """Move groups from train to `name`, in the order of their hashes, up to `fraction`.

    Each stratum gives this fraction of its images, corrected by the rounding of the strata before
    it. If there are several, each gives at least one group and keeps one for each later part.

    Args:
        split: part of each group, changed in place.
        name: val or test; test is drawn first.
        fraction: of all images.
        sizes: images of each group.
        seed: another seed, another order.
        strata: every group once; a single stratum means no stratification.

    Raises:
        DataError: there are too few groups for train and `name`.
    """
    if fraction == 0:
        return
    keep = 0 if len(strata) == 1 else {"test": 2, "val": 1}[name]
    owed = 0.0
    for groups in strata:
        waiting = [group for group in in_line(groups, seed) if split[group] == "train"]
        owed += fraction * sum(sizes[group] for group in groups)
        for group in _take(waiting, max(1, round(owed)), sizes, len(waiting) - keep):
            split[group] = name
            owed -= sizes[group]
    if not {name, "train"} <= set(split.values()):
        raise DataError(
            f"split.{name}: {fraction} of {sum(sizes.values())} images in {len(sizes)} groups: "
            f"groups are never divided, and these are too few for train and {name}. Take more "
            f"data, or set split.{name} to 0."
        )


def draw_folds(
    split: Mapping[str, str], folds: int, sizes: Mapping[str, int], seed: int, strata: Strata
) -> dict[str, int]:
    """Assign each group outside test to a fold: the one of its hash, or another if that is full.

    In every stratum the sizes of the folds differ by at most its largest group.

    Raises:
        DataError: fewer than two folds, or more than there are groups.
    """
    count = sum(part != "test" for part in split.values())
    if not 2 <= folds <= count:
        raise DataError(
            f"split.folds is {folds}; from 2 to {count} are possible, the number of groups "
            "outside the test split."
        )
    fold: dict[str, int] = {}
    total = [0] * folds
    for stratum in strata:
        groups = [group for group in in_line(stratum, seed) if split[group] != "test"]
        groups.sort(key=lambda group: -sizes[group])  # stable: equal sizes stay in hash order
        filled = [0] * folds
        room = sum(sizes[group] for group in groups) // folds
        for group in groups:
            wanted = _hash(seed, "fold", group) % folds
            if filled[wanted] + sizes[group] <= room:
                fold[group] = wanted
                filled[wanted] += sizes[group]
                total[wanted] += sizes[group]
        for group in groups:
            if group not in fold:
                # The fold with the fewest images of this stratum; of equal ones, of all strata.
                fold[group] = min(range(folds), key=lambda f: (filled[f], total[f]))
                filled[fold[group]] += sizes[group]
                total[fold[group]] += sizes[group]
    return fold


def in_line(groups: Iterable[str], seed: int) -> list[str]:
    """The groups in the order of their hashes."""
    return sorted(groups, key=lambda group: (_hash(seed, "split", group), group))


def _take(waiting: Sequence[str], target: int, sizes: Mapping[str, int], most: int) -> list[str]:
    """The first groups, at most `most`, with a total as near to `target` images as possible."""
    taken: list[str] = []
    left_over = []
    missing = target
    for group in waiting:
        if sizes[group] <= missing and len(taken) < most:
            taken.append(group)
            missing -= sizes[group]
        else:
            left_over.append(group)
    # Each group left over is larger than what is missing: take one only if that brings the total
    # nearer, or if none was taken.
    if missing and left_over and len(taken) < most:
        smallest = min(left_over, key=lambda group: sizes[group])
        if sizes[smallest] - missing < missing or missing == target:
            taken.append(smallest)
    return taken


def _hash(seed: int, purpose: str, group: str) -> int:
    # Python's `hash` differs between processes.
    return int.from_bytes(hashlib.sha256(f"{seed}/{purpose}/{group}".encode()).digest()[:8], "big")
