"""Splits: no group is divided, sizes fit, small changes of the data move few samples."""

import hashlib
from collections import Counter, defaultdict
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetal_tf.data.sample import Sample
from fetal_tf.data.splits import (
    SplitRow,
    read_splits,
    split_groups,
    validate_on_fold,
    write_splits,
)
from fetal_tf.edge.errors import DataError


def _samples(sizes: list[int], official: str | None = None) -> list[Sample]:
    return [
        Sample(
            f"{group:03d}_{frame}HC", Path(f"{group}.png"), f"{group:03d}", official_split=official
        )
        for group, size in enumerate(sizes)
        for frame in range(size)
    ]


def _count(rows: dict[str, SplitRow]) -> Counter:
    return Counter(row.split for row in rows.values())


group_sizes = st.lists(st.integers(1, 4), min_size=12, max_size=80)
fractions = st.floats(0.05, 0.4)
seeds = st.integers(0, 2**32)


@given(group_sizes, fractions, fractions, seeds, st.none() | st.integers(2, 6))
def test_every_sample_has_one_place_and_no_group_straddles(sizes, val, test, seed, folds):
    samples = _samples(sizes)
    rows = split_groups(samples, val, test, seed, folds)
    assert list(rows) == [sample.id for sample in samples]
    places: dict[str, set] = {}
    for sample in samples:
        row = rows[sample.id]
        assert (row.id, row.group) == (sample.id, sample.group)
        assert row.split in {"train", "val", "test"}
        assert (row.fold is None) == (folds is None or row.split == "test")
        places.setdefault(sample.group, set()).add((row.split, row.fold))
    assert all(len(place) == 1 for place in places.values())


@given(group_sizes, fractions, fractions, seeds)
def test_sizes_come_as_near_as_whole_groups_allow(sizes, val, test, seed):
    counts = _count(split_groups(_samples(sizes), val, test, seed))
    total = sum(sizes)
    # The last group taken, or left, misses by at most half of itself; rounding adds another half.
    slack = max(sizes) / 2 + 0.5
    assert abs(counts["test"] - max(1, test * total)) <= slack
    assert abs(counts["val"] - max(1, val * total)) <= slack


@given(group_sizes, fractions, fractions, seeds)
def test_the_order_of_the_samples_does_not_matter(sizes, val, test, seed):
    samples = _samples(sizes)
    assert split_groups(samples, val, test, seed, 3) == split_groups(
        samples[::-1], val, test, seed, 3
    )


def test_the_draw_stays_the_same_in_every_process_and_version():
    rows = split_groups(_samples([1] * 10), 0.2, 0.2, seed=7, folds=2)
    assert [row.split for row in rows.values()] == (
        ["train", "train", "test", "train", "train", "val", "train", "train", "test", "val"]
    )
    assert [row.fold for row in rows.values()] == [1, 1, None, 0, 0, 0, 1, 1, None, 0]


def test_the_draw_of_groups_of_all_sizes_stays_the_same_too():
    rows = split_groups(_samples([1, 3, 1, 2, 5] * 40), 0.15, 0.15, seed=11, folds=5)
    text = "".join(f"{row.id},{row.split},{row.fold}\n" for row in rows.values())
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "d663de5033b21010"


def test_singletons_give_the_exact_share():
    counts = _count(split_groups(_samples([1] * 200), 0.15, 0.2, seed=0))
    assert counts == {"train": 130, "val": 30, "test": 40}


def test_another_seed_is_another_split():
    samples = _samples([1] * 100)
    first, second = (split_groups(samples, 0.2, 0.2, seed) for seed in (1, 2))
    assert sum(first[id].split != second[id].split for id in first) > 20


def test_the_test_split_depends_neither_on_val_nor_on_folds():
    samples = _samples([1, 2, 1, 3] * 30)
    first = split_groups(samples, 0.1, 0.2, 5)
    second = split_groups(samples, 0.3, 0.2, 5, folds=4)
    assert {id for id, row in first.items() if row.split == "test"} == {
        id for id, row in second.items() if row.split == "test"
    }


@pytest.mark.parametrize("seed", range(5))
def test_leaving_images_out_moves_few_of_the_others(seed):
    samples = _samples([1] * 520 + [2] * 110 + [3] * 11)
    kept = [sample for i, sample in enumerate(samples) if i % 30]
    before = split_groups(samples, 0.15, 0.2, seed, folds=5)
    after = split_groups(kept, 0.15, 0.2, seed, folds=5)
    moved = [id for id in after if after[id].split != before[id].split]
    assert len(moved) < 0.06 * len(kept)  # a fresh draw would move half of them
    moved_folds = [
        id
        for id in after
        if None not in (before[id].fold, after[id].fold) and before[id].fold != after[id].fold
    ]
    assert len(moved_folds) < 0.25 * len(kept)  # a fresh draw would move four fifths


@given(group_sizes, seeds, st.integers(2, 6))
def test_folds_are_balanced_to_one_group(sizes, seed, folds):
    rows = split_groups(_samples(sizes), 0.0, 0.1, seed, folds)
    counts = Counter(row.fold for row in rows.values() if row.split != "test")
    assert set(counts) == set(range(folds))
    assert max(counts.values()) - min(counts.values()) <= max(sizes)


def test_a_fold_becomes_the_validation_split():
    rows = split_groups(_samples([1, 2] * 20), 0.2, 0.2, 3, folds=4)
    chosen = validate_on_fold(rows, 2)
    for id, row in rows.items():
        expected = "test" if row.split == "test" else "val" if row.fold == 2 else "train"
        assert chosen[id].split == expected
    with pytest.raises(DataError, match=r"fold 4 .*\[0, 1, 2, 3\]"):
        validate_on_fold(rows, 4)


def test_the_official_split_holds_where_every_sample_has_one():
    samples = [
        Sample(str(i), Path(f"{i}.png"), str(i), official_split=split)
        for i, split in enumerate(["train"] * 8 + ["val"] * 3 + ["test"] * 2)
    ]
    rows = split_groups(samples, 0.5, 0.0, seed=1)
    assert all(rows[sample.id].split == sample.official_split for sample in samples)


def test_val_is_drawn_from_the_official_training_part_where_none_is_prescribed():
    samples = [
        Sample(str(i), Path(f"{i}.png"), str(i), official_split="test" if i < 10 else "train")
        for i in range(50)
    ]
    rows = split_groups(samples, 0.2, 0.9e-9, seed=1)
    assert _count(rows) == {"test": 10, "val": 10, "train": 30}
    assert all(rows[str(i)].split == "test" for i in range(10))


def test_one_sample_without_an_official_split_and_all_are_drawn():
    samples = [*_samples([1] * 9, official="train"), Sample("x", Path("x.png"), "x")]
    assert _count(split_groups(samples, 0.2, 0.2, 0)) == {"train": 6, "val": 2, "test": 2}


def test_an_official_split_that_divides_a_group_is_refused():
    samples = [
        Sample("7_a", Path("a.png"), "7", official_split="train"),
        Sample("7_b", Path("b.png"), "7", official_split="test"),
    ]
    with pytest.raises(DataError, match="group 7 is in test and train"):
        split_groups(samples, 0.1, 0.1, 0)


@pytest.mark.parametrize(
    ("val", "test", "folds", "sizes", "message"),
    [
        (-0.1, 0.2, None, [1] * 9, r"split.val is -0.1"),
        (0.5, 0.5, None, [1] * 9, "sum below 1"),
        (float("nan"), 0.2, None, [1] * 9, "split.val is nan"),
        (0.2, 0.2, None, [10], "split.test: 0.2 of 10 images in 1 groups"),
        (0.2, 0.2, None, [3, 3], "split.val: 0.2 of 6 images in 2 groups"),
        (0.2, 0.0, 9, [1] * 8, "split.folds is 9; from 2 to 8"),
        (0.2, 0.0, 1, [1] * 8, "split.folds is 1; from 2 to 8"),
    ],
)
def test_what_cannot_be_split_is_refused(val, test, folds, sizes, message):
    with pytest.raises(DataError, match=message):
        split_groups(_samples(sizes), val, test, 0, folds)


def test_two_samples_with_one_id_are_refused():
    with pytest.raises(DataError, match="1 ids occur more than once: 000_0HC"):
        split_groups(_samples([1, 1]) + _samples([1]), 0.2, 0.2, 0)


def test_the_file_brings_the_rows_back(tmp_path):
    samples = _samples([1, 2, 3] * 10)
    rows = split_groups(samples, 0.2, 0.2, 0, folds=3)
    write_splits(tmp_path / "splits.csv", rows)
    text = (tmp_path / "splits.csv").read_text()
    assert text.startswith("id,group,split,fold\n000_0HC,000,")
    assert read_splits(tmp_path / "splits.csv", samples) == rows


def test_names_that_a_spreadsheet_would_run_come_back(tmp_path):
    path = tmp_path / "splits.csv"
    rows = {name: SplitRow(name, name, "train", None) for name in ("=1+1", "-x", "'@a", "-3", "b")}
    write_splits(path, rows)
    assert path.read_text().splitlines()[1:3] == ["'=1+1,'=1+1,train,", "'-x,'-x,train,"]
    assert read_splits(path) == rows


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found an empty file"),
        ("id,split\n1,train\n", "found id,split"),
        ("id,group,split,fold\n1,1,train\n", "line 2: .* found '1,1,train'"),
        ("id,group,split,fold\n1,1,train,x\n", "line 2: .* found '1,1,train,x'"),
        ("id,group,split,fold\n1,1,dev,\n", "group 1 is in 'dev'; allowed: train, val, test"),
        ("id,group,split,fold\n1,1,train,\n1,1,train,\n", "1 ids occur more than once: 1"),
        ("id,group,split,fold\n1,7,train,\n2,7,val,\n", "group 7 is in train and val"),
    ],
)
def test_a_damaged_file_is_refused_by_name(tmp_path, text, message):
    path = tmp_path / "splits.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as error:
        read_splits(path)
    assert str(path) in str(error.value)


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(DataError, match=r"splits\.csv: cannot be read"):
        read_splits(tmp_path / "splits.csv")


def test_a_file_written_for_other_samples_is_refused(tmp_path):
    samples = _samples([1] * 10)
    path = tmp_path / "splits.csv"
    write_splits(path, split_groups(samples, 0.2, 0.2, 0))
    with pytest.raises(DataError, match=r"1 not in the data \(000_0HC\)"):
        read_splits(path, samples[1:])
    with pytest.raises(DataError, match=r"2 not in the split file \(010_0HC, 011_0HC\)"):
        read_splits(path, _samples([1] * 12))
    moved = [Sample("000_0HC", Path("0.png"), "other"), *samples[1:]]
    with pytest.raises(DataError, match=r"1 in another group \(000_0HC\)"):
        read_splits(path, moved)


# Stratified draws

Shown = frozenset[str]
STRUCTURE_SETS = [frozenset({"brain"} | extra) for extra in (set(), {"csp"}, {"lv"}, {"csp", "lv"})]
# What each frame of each group shows.
shown_by_group = st.lists(
    st.lists(st.sampled_from(STRUCTURE_SETS), min_size=1, max_size=4), min_size=16, max_size=80
)


def _showing(groups: list[list[Shown]]) -> list[Sample]:
    return [
        Sample(f"{group:03d}_{frame}", Path("x.png"), f"{group:03d}", present=present)
        for group, frames in enumerate(groups)
        for frame, present in enumerate(frames)
    ]


def _strata(samples: list[Sample]) -> dict[Shown, set[str]]:
    """Groups by what their frames show together."""
    union: dict[str, Shown] = defaultdict(frozenset)
    for sample in samples:
        union[sample.group] |= sample.present
    strata: dict[Shown, set[str]] = defaultdict(set)
    for group, shown in union.items():
        strata[shown].add(group)
    return strata


def _split(samples, val=0.15, test=0.15, seed=0, folds=None) -> dict[str, SplitRow]:
    return split_groups(samples, val, test, seed, folds, stratify=True)


@given(shown_by_group, fractions, fractions, seeds, st.none() | st.integers(2, 6))
def test_stratified_every_sample_has_one_place_and_no_group_straddles(
    groups, val, test, seed, folds
):
    samples = _showing(groups)
    rows = _split(samples, val, test, seed, folds)
    assert list(rows) == [sample.id for sample in samples]
    places = defaultdict(set)
    for sample in samples:
        row = rows[sample.id]
        assert (row.id, row.group) == (sample.id, sample.group)
        assert (row.fold is None) == (folds is None or row.split == "test")
        places[sample.group].add((row.split, row.fold))
    assert all(len(place) == 1 for place in places.values())


@given(shown_by_group, fractions, fractions, seeds)
def test_every_stratum_of_three_groups_is_in_train_val_and_test(groups, val, test, seed):
    samples = _showing(groups)
    rows = _split(samples, val, test, seed)
    for shown, members in _strata(samples).items():
        if len(members) >= 3:
            parts = {row.split for row in rows.values() if row.group in members}
            assert parts == {"train", "val", "test"}, shown


@given(shown_by_group, fractions, seeds, st.integers(2, 5))
def test_every_stratum_is_spread_over_the_folds_to_one_group(groups, test, seed, folds):
    samples = _showing(groups)
    rows = _split(samples, 0.0, test, seed, folds)
    for shown, members in _strata(samples).items():
        inside = [row for row in rows.values() if row.group in members and row.split != "test"]
        if len(members) < 3 or not inside:
            continue  # drawn together with other rare ones
        counts = Counter({fold: 0 for fold in range(folds)})
        counts.update(row.fold for row in inside)
        largest = max(Counter(row.group for row in inside).values())
        assert max(counts.values()) - min(counts.values()) <= largest, shown


@given(shown_by_group, fractions, fractions, seeds)
def test_strata_and_their_total_come_near_the_share(groups, val, test, seed):
    samples = _showing(groups)
    rows = _split(samples, val, test, seed)
    largest = max(len(frames) for frames in groups)
    strata = _strata(samples)
    for part, share in (("val", val), ("test", test)):
        for members in strata.values():
            inside = [row for row in rows.values() if row.group in members]
            if len(members) < 3:
                continue
            found = sum(row.split == part for row in inside)
            # Half a group is what whole groups miss, and as much the strata before may owe;
            # a stratum that must be in every part may have to give, or to keep, a whole group.
            assert abs(found - share * len(inside)) <= 3 * largest
        total = sum(row.split == part for row in rows.values())
        assert abs(total - share * len(samples)) <= largest * len(strata)


@given(shown_by_group, fractions, fractions, seeds)
def test_stratified_the_order_of_the_samples_does_not_matter(groups, val, test, seed):
    samples = _showing(groups)
    assert _split(samples, val, test, seed, 3) == _split(samples[::-1], val, test, seed, 3)


@given(group_sizes, fractions, fractions, seeds, st.none() | st.integers(2, 6))
def test_where_all_show_the_same_the_stratified_draw_is_the_plain_one(
    sizes, val, test, seed, folds
):
    samples = _showing([[STRUCTURE_SETS[1]] * size for size in sizes])
    assert _split(samples, val, test, seed, folds) == split_groups(samples, val, test, seed, folds)


def _realistic(seed: int) -> list[Sample]:
    """1,565 frames of 800 patients; 37 % show the csp and 32 % a lateral ventricle, and the frames
    of a patient resemble each other."""
    random = np.random.default_rng(seed)
    sizes = random.multinomial(1565 - 800, np.full(800, 1 / 800)) + 1
    groups = []
    for size in sizes:
        frames = [{"brain"} for _ in range(size)]
        for structure, share in (("csp", 0.37), ("lv", 0.32)):
            view = (random.normal() + random.normal(size=size)) / 2**0.5
            for frame, value in zip(frames, view, strict=True):
                if value > NormalDist().inv_cdf(1 - share):
                    frame.add(structure)
        groups.append([frozenset(frame) for frame in frames])
    return _showing(groups)


def _shares(samples: list[Sample], of: str) -> float:
    return sum(of in sample.present for sample in samples) / len(samples)


def _worst_share(samples: list[Sample], rows: dict[str, SplitRow]) -> float:
    """How far a part's share of csp or lv is from that of all images, at most."""
    return max(
        abs(_shares([s for s in samples if rows[s.id].split == part], of) - _shares(samples, of))
        for part in ("train", "val", "test")
        for of in ("csp", "lv")
    )


def test_on_a_realistic_mix_every_part_shows_each_structure_about_as_often():
    stratified, plain = [], []
    for seed in range(8):
        samples = _realistic(seed)
        rows = _split(samples, seed=seed)
        counts = _count(rows)
        assert abs(counts["test"] - 0.15 * 1565) <= 1 and abs(counts["val"] - 0.15 * 1565) <= 1
        stratified.append(_worst_share(samples, rows))
        plain.append(_worst_share(samples, split_groups(samples, 0.15, 0.15, seed)))
        for shown, members in _strata(samples).items():
            inside = [row.split for row in rows.values() if row.group in members]
            for part, share in (("train", 0.7), ("val", 0.15), ("test", 0.15)):
                assert inside.count(part) / len(inside) == pytest.approx(share, abs=0.02), shown
    assert max(stratified) < 0.07
    assert np.mean(stratified) < 0.75 * np.mean(plain)


@pytest.mark.parametrize("seed", range(3))
def test_stratified_leaving_images_out_moves_few_of_the_others(seed):
    samples = _realistic(seed)
    kept = [sample for i, sample in enumerate(samples) if i % 30]
    before, after = (_split(some, seed=seed, folds=5) for some in (samples, kept))
    moved = [id for id in after if after[id].split != before[id].split]
    # A fresh draw would move half of them. A patient who loses a frame may change stratum.
    assert len(moved) < 0.1 * len(kept)


def test_stratified_the_test_split_depends_neither_on_val_nor_on_folds():
    samples = _realistic(0)
    first, second = _split(samples, val=0.1, seed=5), _split(samples, val=0.3, seed=5, folds=4)
    assert {id for id, row in first.items() if row.split == "test"} == {
        id for id, row in second.items() if row.split == "test"
    }


def _singles(*counts: int) -> list[Sample]:
    """Groups of one frame, so many for each of as many sets of structures."""
    sets = [frozenset({"brain", *(f"structure {j}" for j in range(i))}) for i in range(len(counts))]
    return _showing([[shown] for shown, n in zip(sets, counts, strict=True) for _ in range(n)])


def test_what_one_stratum_rounds_off_the_next_makes_up_for():
    # 0.15 of 23 is 3.45: rounded for itself, each stratum would give 3, 24 in all.
    assert _count(_split(_singles(*[23] * 8))) == {"train": 128, "val": 28, "test": 28}


def test_what_small_strata_give_beyond_their_share_the_large_one_keeps():
    # Of three groups each part gets one, which is twice its share.
    counts = _count(_split(_singles(400, *[3] * 6)))
    assert counts == {"train": 292, "val": 63, "test": 63}


def test_what_strata_leave_over_makes_no_fold_larger_than_another():
    rows = _split(_singles(*[7] * 8), val=0.0, test=0.0, folds=5)
    counts = Counter(row.fold for row in rows.values())
    assert sorted(counts.values()) == [11, 11, 11, 11, 12]


def test_single_groups_of_rare_sets_are_drawn_together():
    rare = [frozenset({"brain", f"structure {i}"}) for i in range(20)]
    counts = _count(_split(_showing([[shown] for shown in rare]), 0.25, 0.25))
    assert counts == {"train": 10, "val": 5, "test": 5}


def test_stratified_val_comes_from_the_official_training_part():
    samples = [
        Sample(
            str(i),
            Path("x.png"),
            str(i),
            official_split="test" if i < 20 else "train",
            present=STRUCTURE_SETS[i % 2],
        )
        for i in range(100)
    ]
    rows = _split(samples, val=0.2)
    assert _count(rows) == {"test": 20, "val": 20, "train": 60}
    assert sum(rows[s.id].split == "val" and "csp" in s.present for s in samples) == 10
    assert all(rows[str(i)].split == "test" for i in range(20))


def test_structures_that_the_reader_does_not_know_cannot_stratify():
    samples = [*_showing([[STRUCTURE_SETS[0]]] * 9), Sample("x", Path("x.png"), "x")]
    with pytest.raises(DataError, match=r"split\.stratify: .* 1 of 10 frames show \(first: x\)"):
        _split(samples)
