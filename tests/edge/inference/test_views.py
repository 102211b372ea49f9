"""Disagreement of views against arithmetic by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fetal_tf.edge.inference.views import GAMMAS, WithDisagreement

SHAPE = (4, 6, 1)


class Net:
    """A predictor from a function of frames float (N, H, W, C), 0..255; remembers its input."""

    input_shape = SHAPE

    def __init__(self, function):
        self.function = function
        self.seen = []

    def predict(self, images):
        assert images.dtype == np.uint8 and images.flags.c_contiguous
        self.seen.append(images)
        return self.function(images.astype(np.float32)).astype(np.float32)


def two_classes(share):
    return np.concatenate([1 - share, share], axis=-1)


def frames(n, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *SHAPE)).astype(np.uint8)


def test_the_net_sees_the_frame_its_mirror_image_and_two_intensities():
    net = Net(lambda x: two_classes(x / 255))
    images = frames(2)
    found = WithDisagreement(net).predict(images)
    own, mirrored, *changed = net.seen
    np.testing.assert_array_equal(own, images)
    np.testing.assert_array_equal(mirrored, images[:, :, ::-1])
    for seen, gamma in zip(changed, GAMMAS, strict=True):
        np.testing.assert_allclose(seen, 255 * (images / 255.0) ** gamma, atol=0.5)
    assert GAMMAS[0] < 1 < GAMMAS[1]
    assert WithDisagreement(net).input_shape == SHAPE
    assert found.shape == (2, 4, 6, 3) and found.dtype == np.float32


def test_the_net_keeps_its_own_probabilities():
    net = Net(lambda x: two_classes(x / 255))
    images = frames(3)
    found = WithDisagreement(net).predict(images)
    np.testing.assert_array_equal(found[..., :2], net.predict(images))


def test_a_net_that_is_equivariant_agrees_with_itself():
    """Mirrored with the frame, blind to a change of intensity that keeps the order of grays."""
    net = Net(lambda x: two_classes((x == x.max(axis=(1, 2, 3), keepdims=True)).astype(float)))
    images = np.zeros((1, *SHAPE), np.uint8)
    images[0, 1, 2], images[0, 3, 5] = 200, 90
    found = WithDisagreement(net).predict(images)
    assert found[0, 1, 2, 1] == 1 and not found[..., -1].any()


def test_a_net_that_knows_left_from_right():
    """Left half class 1, whatever is seen: the mirrored view alone says otherwise."""
    left = np.zeros((4, 6, 1))
    left[:, :3] = 1
    net = Net(lambda x: two_classes(np.broadcast_to(left, (len(x), *left.shape))))
    found = WithDisagreement(net).predict(frames(2))
    # Three views say p, one says 1 - p: distances to the mean 1/4, 1/4, 1/4, 3/4.
    np.testing.assert_allclose(found[..., -1], 0.375, atol=1e-6)


def test_where_a_net_contradicts_itself_is_where_it_says_so():
    """Sure of class 1 at a bright spot, but only where it lies in the left half."""
    position = np.arange(6)[None, None, :, None]
    net = Net(lambda x: two_classes(((x > 128) & (position < 3)).astype(float)))
    images = np.zeros((1, *SHAPE), np.uint8)
    images[0, 2, 1] = 255
    images[0, 0, 5] = 255
    disagreement = WithDisagreement(net).predict(images)[0, ..., -1]
    expected = np.zeros((4, 6))
    expected[2, 1] = expected[0, 5] = 0.375
    np.testing.assert_allclose(disagreement, expected, atol=1e-6)


@settings(max_examples=30)
@given(st.integers(1, 3), st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_the_formula(n, k, seed):
    rng = np.random.default_rng(seed)
    outputs = iter(rng.dirichlet(np.full(k, 0.3), (4, n, 4, 6)).astype(np.float32))
    views = []

    def answer(x):
        views.append(next(outputs))
        return views[-1]

    found = WithDisagreement(Net(answer)).predict(frames(n, seed % 100))
    views[1] = views[1][:, :, ::-1]
    mean = np.mean(views, axis=0)
    expected = np.mean([0.5 * np.abs(v - mean).sum(axis=-1) for v in views], axis=0)
    np.testing.assert_allclose(found[..., -1], expected, atol=1e-6)
    assert found[..., -1].min() >= 0 and found[..., -1].max() <= 1


def test_an_empty_batch():
    net = Net(lambda x: np.zeros((len(x), 4, 6, 2)))
    assert WithDisagreement(net).predict(frames(0)).shape == (0, 4, 6, 3)


def test_what_the_net_refuses_is_refused():
    def refuse(x):
        raise ValueError("frames are too small")

    with pytest.raises(ValueError, match="too small"):
        WithDisagreement(Net(refuse)).predict(frames(1))
