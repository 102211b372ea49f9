"""Draw weights of frames, and partners for mixing."""

from pathlib import Path

import numpy as np
import pytest

from fetal_tf.data.pipeline.sampler import draw_partner, oversampling_weights
from fetal_tf.data.sample import Sample
from fetal_tf.edge.errors import ConfigError, DataError


def sample(id, *present):
    return Sample(id, Path(f"{id}.png"), group=id, present=frozenset(present))


SHOWING = [
    sample("a", "brain"),
    sample("b", "brain", "csp"),
    sample("c", "brain", "lv"),
    sample("d", "brain", "csp", "lv"),
]


def test_a_frame_counts_once_with_its_largest_factor():
    weights = oversampling_weights(SHOWING, {"csp": 3, "lv": 5})
    np.testing.assert_array_equal(weights, [1, 3, 5, 5])


def test_a_structure_that_nothing_shows_is_named_with_its_nearest():
    with pytest.raises(ConfigError, match=r"sampler\.oversample\.cps: .*did you mean csp"):
        oversampling_weights(SHOWING, {"cps": 3})


def test_a_dataset_that_does_not_look_cannot_be_oversampled():
    blind = Sample("x", Path("x.png"), group="x")
    with pytest.raises(DataError, match="which structures x"):
        oversampling_weights([blind], {"csp": 3})


def test_a_partner_is_drawn_in_proportion_to_its_weight_and_is_never_the_frame_itself():
    weights, rng = np.array([8, 1, 4, 3], np.float32), np.random.default_rng(0)
    drawn = np.bincount([draw_partner(0, weights, rng) for _ in range(4000)], minlength=4)
    assert drawn[0] == 0
    np.testing.assert_allclose(drawn[1:], [500, 2000, 1500], atol=100)
