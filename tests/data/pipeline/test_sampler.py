from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from fetal_tf.data.pipeline.sampler import oversampling_weights, systematic_draw
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


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=40),
    st.integers(1, 60),
    st.integers(0, 2**31 - 1),
)
def test_each_frame_is_drawn_its_expected_number_of_times(weights, count, seed):
    """Between the whole numbers on either side of n · w / Σw: systematic sampling's promise."""
    n = len(weights)
    order = np.random.default_rng(seed).permutation(n).astype(np.int32)
    drawn = systematic_draw(
        tf.constant(order), tf.constant(weights, tf.float32), count, tf.constant([seed, 7])
    ).numpy()
    times = np.bincount(drawn, minlength=n)
    expected = count * np.array(weights) / sum(weights)
    assert times.sum() == count
    assert (times >= np.floor(expected - 1e-6)).all()
    assert (times <= np.ceil(expected + 1e-6)).all()


def test_the_same_seed_draws_the_same_and_another_epoch_does_not():
    order, weights = tf.range(100), tf.constant([1.0, 3.0] * 50)

    def draw(epoch):
        return systematic_draw(order, weights, 100, tf.constant([3, epoch])).numpy().tolist()

    assert draw(0) == draw(0)
    assert draw(0) != draw(1)
    assert sorted(draw(0)) != draw(0), "the draws are shuffled"
