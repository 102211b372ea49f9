"""The reconstruction's loss against NumPy: padding weighs nothing, and images weigh alike."""

import keras
import numpy as np
import pytest

from fetal_tf.losses import LOSSES
from fetal_tf.losses.reconstruction import mean_squared_error
from tests.losses.loss_checks import check_keras_file, mixed_precision_losses

RNG = np.random.default_rng(0)


def mse() -> keras.losses.Loss:
    return LOSSES.build("loss", {"name": "mse"}, None)


def frames(*shape) -> np.ndarray:
    return RNG.uniform(0, 1, shape).astype(np.float32)


def test_without_a_weight_every_pixel_counts():
    truth, found = frames(3, 8, 10, 2), frames(3, 8, 10, 2)
    assert float(mse()(truth, found)) == pytest.approx(((truth - found) ** 2).mean(), rel=1e-5)


def test_padding_weighs_nothing_and_images_weigh_alike():
    frame, found = frames(2, 8, 10, 1), frames(2, 8, 10, 1)
    inside = np.zeros_like(frame)
    inside[0, 2:4], inside[1, :, :9] = 1, 1  # 20 pixels and 72
    truth = np.concatenate([frame, inside], axis=-1)
    squared = (frame - found)[..., 0] ** 2
    expected = [squared[0, 2:4].mean(), squared[1, :, :9].mean()]
    np.testing.assert_allclose(np.asarray(mean_squared_error(truth, found)), expected, rtol=1e-5)
    assert float(mse()(truth, found)) == pytest.approx(np.mean(expected), rel=1e-5)
    padded = found.copy()
    padded[0, 5:] = 1 - padded[0, 5:]
    assert float(mse()(truth, padded)) == float(mse()(truth, found))


def test_half_covered_pixels_weigh_half():
    truth = np.zeros((1, 1, 2, 2), np.float32)
    truth[0, 0, :, 1] = 1, 0.5
    found = np.array([0.2, 0.8], np.float32).reshape(1, 1, 2, 1)
    expected = (0.2**2 + 0.5 * 0.8**2) / 1.5
    assert float(mse()(truth, found)) == pytest.approx(expected, rel=1e-5)


def test_a_frame_without_any_pixel_costs_nothing():
    truth = np.zeros((1, 4, 4, 2), np.float32)
    assert float(mse()(truth, frames(1, 4, 4, 1))) == 0


def test_comes_back_from_a_keras_file(tmp_path):
    pair = frames(2, 8, 8, 1), frames(2, 8, 8, 1)
    check_keras_file(mse(), pair, "sigmoid", tmp_path / "model.keras")


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_learns_in_mixed_precision(policy):
    image = frames(2, 16, 16, 1)
    losses = mixed_precision_losses(policy, mse(), image, image, "sigmoid")
    assert np.isfinite(losses).all() and losses[-1] < losses[0]
