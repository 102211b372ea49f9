from pathlib import Path

import numpy as np
import pytest

from fetal_tf.data.mixture import (
    by_source,
    named_source,
    source_and_id,
    source_weights,
    unnamed_source,
)
from fetal_tf.data.sample import Sample


def sample(id, group):
    return Sample(id, Path(f"{id}.png"), group)


def test_frames_of_two_datasets_never_share_an_id_or_a_group():
    own = [sample("1", "a"), sample("2", "a")]
    other = named_source([sample("1", "a")], "planes", ["planes"])
    assert (other[0].id, other[0].group, other[0].source) == ("planes:1", "planes:a", "planes")
    assert other[0].image_path == Path("1.png")
    parts = by_source([*own, *other])
    assert {name: [s.id for s in part] for name, part in parts.items()} == {
        "": ["1", "2"],
        "planes": ["planes:1"],
    }


def test_every_frame_weighs_what_its_source_does():
    samples = [sample("1", "a"), *named_source([sample("1", "a")], "planes", ["planes"])]
    weights = source_weights(samples, {"": 1.0, "planes": 2.5})
    assert weights.dtype == np.float32
    assert weights.tolist() == [1.0, 2.5]


@pytest.mark.parametrize("name", ["1", "scan:1", "planes:1", ":planes:1", ":1", "planes:"])
@pytest.mark.parametrize("source", ["", "planes"])
def test_a_colon_in_a_file_name_makes_no_source(name, source):
    mixed = ["planes", "other"]
    (named,) = named_source([sample(name, name)], source, mixed)
    assert source_and_id(named.id, mixed) == source_and_id(named.group, mixed) == (source, name)
    assert unnamed_source(named).id == name
    (alone,) = named_source([sample(name, name)], "", [])
    assert alone.id == name and source_and_id(name, []) == ("", name)


def test_ids_of_the_first_dataset_are_its_own_names():
    names = ["1", "scan:1", "a:planes:1"]
    samples = named_source([sample(name, name) for name in names], "", ["planes"])
    assert [s.id for s in samples] == [s.group for s in samples] == names
