"""Splits: no group straddles, sizes are near, and a small change of the data moves little."""

from collections import Counter
from pathlib import Path

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
