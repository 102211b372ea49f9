from pathlib import Path

import numpy as np

from fetal_tf.data.mixture import by_source, named_source, source_weights
from fetal_tf.data.sample import Sample


def sample(id, group):
    return Sample(id, Path(f"{id}.png"), group)


def test_frames_of_two_datasets_never_share_an_id_or_a_group():
    own = [sample("1", "a"), sample("2", "a")]
    other = named_source([sample("1", "a")], "planes")
    assert (other[0].id, other[0].group, other[0].source) == ("planes:1", "planes:a", "planes")
    assert other[0].image_path == Path("1.png")
    parts = by_source([*own, *other])
    assert {name: [s.id for s in part] for name, part in parts.items()} == {
        "": ["1", "2"],
        "planes": ["planes:1"],
    }


def test_every_frame_weighs_what_its_source_does():
    samples = [sample("1", "a"), *named_source([sample("1", "a")], "planes")]
    weights = source_weights(samples, {"": 1.0, "planes": 2.5})
    assert weights.dtype == np.float32
    assert weights.tolist() == [1.0, 2.5]
