"""Split samples by group into train, validation, test and folds; write and read `splits.csv`.

A group (patient, examination) is never divided. Removing or adding a few images moves few others.
The split can be stratified by the structures that a group's frames show.
"""

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fetal_tf.data.group_draw import draw_folds, draw_part, strata_by_structures
from fetal_tf.data.sample import Sample
from fetal_tf.edge.errors import DataError
from fetal_tf.edge.io.files import write_text_atomic
from fetal_tf.edge.io.foreign_text import as_cell, of_cell

SPLITS = ("train", "val", "test")
COLUMNS = ("id", "group", "split", "fold")
_SHOWN_IDS = 5

PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class SplitRow:
    """The part of one sample: `split` of SPLITS, `fold` from 0, None in test or without folds."""

    id: str
    group: str
    split: str
    fold: int | None = None


def split_groups(
    samples: Sequence[Sample],
    val: float,
    test: float,
    seed: int,
    folds: int | None = None,
    stratify: bool = False,
) -> dict[str, SplitRow]:
    """Assign every sample to train, val or test, and with `folds` all but test to a fold.

    Fractions are of images, met as nearly as whole groups allow. The test split does not depend on
    `val` or `folds`. If every sample has an `official_split`, that one is used, and val is drawn
    from its training part only if the dataset has no val.

    With `stratify`, groups that show the same set of structures (`Sample.present` of all their
    frames together) are divided by the same fractions, as nearly as possible. A set that at least
    three groups show is in every part, and in every fold if it has as many groups as there are
    folds. The groups of rarer sets are drawn together.

    Args:
        samples: of one dataset, ids unique.
        val: share of images to validate on, 0 ≤ val, val + test < 1.
        test: share of images to test on.
        seed: another seed, another split.
        folds: number of folds for cross-validation, at least 2, or None.
        stratify: divide groups that show the same structures evenly.

    Returns:
        A row for each sample, by id, in the order of `samples`.

    Raises:
        DataError: fractions or folds out of range, two samples with one id, too few groups, an
            official split that divides a group, or with `stratify` a sample whose structures are
            unknown.
    """
    if not (val >= 0 and test >= 0 and val + test < 1):
        raise DataError(
            f"split.val is {val}, split.test is {test}: both must be ≥ 0, and their sum below 1, "
            "so that something is left to train on."
        )
    _check_unique(sample.id for sample in samples)
    sizes = Counter(sample.group for sample in samples)
    strata = strata_by_structures(samples) if stratify else [list(sizes)]
    split = _official(samples)
    if split is None:
        split = dict.fromkeys(sizes, "train")
        draw_part(split, "test", test, sizes, seed, strata)
        draw_part(split, "val", val, sizes, seed, strata)
    elif "val" not in split.values():
        draw_part(split, "val", val, sizes, seed, strata)
    fold = draw_folds(split, folds, sizes, seed, strata) if folds is not None else {}
    return {
        sample.id: SplitRow(sample.id, sample.group, split[sample.group], fold.get(sample.group))
        for sample in samples
    }


def validate_on_fold(rows: Mapping[str, SplitRow], fold: int) -> dict[str, SplitRow]:
    """The rows with `fold` as val and the other folds as train; test is unchanged.

    Raises:
        DataError: no row belongs to that fold.
    """
    known = sorted({row.fold for row in rows.values() if row.fold is not None})
    if fold not in known:
        raise DataError(f"fold {fold} is not in the split; folds: {known or 'none were drawn'}")
    return {
        id: row
        if row.split == "test"
        else replace(row, split="val" if row.fold == fold else "train")
        for id, row in rows.items()
    }


def write_splits(path: Path, rows: Mapping[str, SplitRow]) -> None:
    """Write the rows atomically as CSV with the columns id, group, split, fold."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows.values():
        fold = "" if row.fold is None else row.fold
        writer.writerow([as_cell(row.id), as_cell(row.group), row.split, fold])
    write_text_atomic(path, text.getvalue())


def read_splits(path: Path, samples: Sequence[Sample] | None = None) -> dict[str, SplitRow]:
    """Read a split file; with `samples`, check that it was written for exactly these.

    Raises:
        DataError: the file is missing or damaged, divides a group, or is of other samples.
    """
    try:
        lines = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a split file: {error}.") from error
    if not lines or tuple(lines[0]) != COLUMNS:
        raise DataError(
            f"{path}: columns {','.join(COLUMNS)} are expected, "
            f"found {','.join(lines[0]) if lines else 'an empty file'}."
        )
    parsed = [_parse(path, number, cells) for number, cells in enumerate(lines[1:], start=2)]
    _check_unique((row.id for row in parsed), where=f"{path}: ")
    _one_split_per_group(((row.group, row.split) for row in parsed), where=f"{path}: ")
    rows = {row.id: row for row in parsed}
    if samples is not None:
        _check_matches(path, rows, samples)
    return rows


def _official(samples: Sequence[Sample]) -> dict[str, str] | None:
    """The dataset's own split by group; None unless it has one for every sample."""
    prescribed = [(s.group, s.official_split) for s in samples if s.official_split is not None]
    if not samples or len(prescribed) < len(samples):
        return None
    return _one_split_per_group(prescribed, where="official split: ")


def _one_split_per_group(pairs: Iterable[tuple[str, str]], where: str) -> dict[str, str]:
    found: dict[str, set[str]] = defaultdict(set)
    for group, split in pairs:
        found[group].add(split)
    for group, splits in found.items():
        if len(splits) > 1:
            raise DataError(
                f"{where}group {group} is in {' and '.join(sorted(splits))}; a group belongs to "
                "one split, or the figures measure memory."
            )
        if not splits <= set(SPLITS):
            raise DataError(
                f"{where}group {group} is in {splits.pop()!r}; allowed: {', '.join(SPLITS)}."
            )
    return {group: splits.pop() for group, splits in found.items()}


def _check_unique(ids: Iterable[str], where: str = "") -> None:
    twice = [id for id, count in Counter(ids).items() if count > 1]
    if twice:
        raise DataError(f"{where}{len(twice)} ids occur more than once: {_some(twice)}.")


def _parse(path: Path, number: int, cells: list[str]) -> SplitRow:
    try:
        id, group, split, fold = cells
        return SplitRow(of_cell(id), of_cell(group), split, int(fold) if fold else None)
    except ValueError as error:
        raise DataError(
            f"{path}, line {number}: id, group, split and a whole number or nothing for the fold "
            f"are expected, found {','.join(cells)!r}."
        ) from error


def _check_matches(path: Path, rows: Mapping[str, SplitRow], samples: Sequence[Sample]) -> None:
    found = {sample.id: sample.group for sample in samples}
    differences = {
        "not in the data": [id for id in rows if id not in found],
        "not in the split file": [id for id in found if id not in rows],
        "in another group": [id for id in rows if id in found and rows[id].group != found[id]],
    }
    text = "; ".join(
        f"{len(ids)} {what} ({_some(ids)})" for what, ids in differences.items() if ids
    )
    if text:
        raise DataError(
            f"{path}: written for other samples than these: {text}. Use the data and the "
            "`data.exclude` it was written for, or start a new run."
        )


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:_SHOWN_IDS]) + (", …" if len(ids) > _SHOWN_IDS else "")


def select(
    samples: list[Sample], splits: Mapping[str, SplitRow], part: str, source: str
) -> list[Sample]:
    """As `belonging_to`, but raise DataError also if there are no such samples."""
    chosen = belonging_to(samples, splits, part, source)
    if part != "all" and not chosen:
        raise DataError(f"{source}: no sample belongs to the split {part!r}")
    return chosen


def belonging_to(
    samples: list[Sample], splits: Mapping[str, SplitRow], part: str, source: str
) -> list[Sample]:
    """The samples of one part (train, val, test), or all of them.

    A sample that is not in the split file belongs to its `official_split`, since an official test
    set may be added after training. If its group is in the split file, it gets the group's part: so
    the copy of a training image is not tested on, provided the training images are among `samples`.

    Raises:
        DataError: neither the split file nor the dataset states the part of a sample.
    """
    if part == "all":
        return samples
    by_group = {s.group: splits[s.id].split for s in samples if s.id in splits}
    parts = {s.id: s.official_split and by_group.get(s.group, s.official_split) for s in samples}
    parts |= {s.id: splits[s.id].split for s in samples if s.id in splits}
    unknown = [id for id, known in parts.items() if known is None]
    if unknown:
        raise DataError(
            f"{source}: {len(unknown)} samples are not in the run's splits.csv "
            f"(first: {unknown[0]}); evaluate other data with --split all"
        )
    return [s for s in samples if parts[s.id] == part]
