"""Losses of overlapping channels against NumPy, at their edges, and through a `.keras` file."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from fetal_tf.edge.errors import ConfigError
from fetal_tf.losses import LOSSES
from tests.losses.loss_checks import check_keras_file, mixed_precision_losses

SHAPE = (3, 8, 10, 2)
OVERLAPPING = ("bce", "bce_dice", "dice")


def build(name: str, **parameters) -> keras.losses.Loss:
    return LOSSES.build("loss", {"name": name, **parameters}, None)


def numpy_bce(truth: np.ndarray, p: np.ndarray) -> np.ndarray:
    return -(truth * np.log(p) + (1 - truth) * np.log(1 - p)).mean()


def numpy_dice(truth: np.ndarray, p: np.ndarray, smooth: float) -> float:
    scores = []
    for image in range(len(truth)):
        for channel in range(truth.shape[-1]):
            t, q = truth[image, ..., channel], p[image, ..., channel]
            scores.append((2 * (t * q).sum() + smooth) / ((t * t).sum() + (q * q).sum() + smooth))
    return 1 - np.mean(scores)


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    """Fractional coverage and probabilities away from 0 and 1."""
    random = np.random.default_rng(0)
    truth = random.uniform(0, 1, SHAPE).round(2).astype(np.float32)
    truth[0, ..., 0] = 0
    return truth, random.uniform(0.01, 0.99, SHAPE).astype(np.float32)


def test_values_equal_numpy(pair):
    truth, p = pair
    assert float(build("bce")(truth, p)) == pytest.approx(numpy_bce(truth, p), rel=1e-5)
    for smooth in (1.0, 30.0):
        expected = numpy_dice(truth, p, smooth)
        assert float(build("dice", smooth=smooth)(truth, p)) == pytest.approx(expected, rel=1e-5)
    both = build("bce_dice", bce_weight=0.25, dice_weight=2.0, smooth=5.0)(truth, p)
    expected = 0.25 * numpy_bce(truth, p) + 2 * numpy_dice(truth, p, 5.0)
    assert float(both) == pytest.approx(expected, rel=1e-5)


def test_dice_is_not_pooled_over_the_batch():
    """A missed small structure costs a whole image's loss, however large its neighbours are."""
    truth = np.zeros((2, 16, 16, 1), np.float32)
    truth[0, :12], truth[1, 0, :4] = 1, 1
    p = truth.copy()
    p[1] = 0
    lost = 1 - 1 / (4 + 1)  # smooth / (sum(t^2) + smooth)
    assert float(build("dice")(truth, p)) == pytest.approx(lost / 2)


def test_dice_weighs_classes_alike():
    truth = np.zeros((1, 16, 16, 2), np.float32)
    truth[0, :12, :, 0], truth[0, 0, :4, 1] = 1, 1
    p = truth.copy()
    p[..., 1] = 0
    assert float(build("dice")(truth, p)) == pytest.approx((1 - 1 / 5) / 2)


def test_dice_is_lowest_where_probability_equals_fractional_truth(pair):
    truth, _ = pair
    loss = build("dice")
    assert float(loss(truth, truth)) == pytest.approx(0, abs=1e-6)
    hard = (truth >= 0.5).astype(np.float32)
    assert float(loss(truth, hard)) > 0.05


def test_dice_stays_between_zero_and_one():
    ones, zeros = np.ones(SHAPE, np.float32), np.zeros(SHAPE, np.float32)
    loss = build("dice")
    assert float(loss(zeros, zeros)) == pytest.approx(0)
    assert float(loss(ones, ones)) == pytest.approx(0)
    assert float(loss(ones, zeros)) == pytest.approx(1 - 1 / 81)
    assert float(loss(zeros, ones)) == pytest.approx(1 - 1 / 81)


def test_an_image_weight_of_zero_leaves_it_out(pair):
    truth, p = pair
    weighted = build("bce_dice", dice_weight=0.5)(truth, p, sample_weight=np.array([1, 0, 0]))
    alone = build("bce_dice", dice_weight=0.5)(truth[:1], p[:1])
    assert float(weighted) == pytest.approx(float(alone) / 3, rel=1e-5)


@pytest.mark.parametrize("name", OVERLAPPING)
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("p", [0.0, 1.0])
def test_value_and_gradient_are_finite_at_saturation(name, dtype, p):
    truth = np.zeros((2, 32, 32, 1), np.float32)
    truth[:, :16] = 1
    prediction = tf.cast(tf.fill(truth.shape, p), dtype)
    with tf.GradientTape() as tape:
        tape.watch(prediction)
        value = build(name)(truth, prediction)
    gradient = tf.cast(tape.gradient(value, prediction), tf.float32)
    assert value.dtype == tf.float32
    assert np.isfinite(value) and float(value) > 0.1
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("name", OVERLAPPING)
def test_gradient_points_from_the_prediction_to_the_truth(name, pair):
    truth = (pair[0] > 0.5).astype(np.float32)
    prediction = tf.constant(pair[1])
    with tf.GradientTape() as tape:
        tape.watch(prediction)
        value = build(name)(truth, prediction)
    gradient = tape.gradient(value, prediction)
    stepped = np.clip(prediction - 0.01 * gradient / np.abs(gradient).max(), 0, 1)
    assert float(build(name)(truth, stepped)) < float(value)


@pytest.mark.parametrize("name", OVERLAPPING)
def test_large_images_do_not_overflow_in_float16(name):
    """A 512x512 sum is beyond float16's 65504."""
    truth = np.ones((1, 512, 512, 1), np.float32)
    value = float(build(name)(truth, tf.cast(truth, tf.float16)))
    assert value == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize(
    "spec",
    [
        {"name": "bce"},
        {"name": "dice", "smooth": 7.0},
        {"name": "bce_dice", "bce_weight": 0.3, "dice_weight": 0.9, "smooth": 2.0},
    ],
)
def test_survives_a_keras_file(spec, pair, tmp_path):
    loss = LOSSES.build("loss", spec, None)
    check_keras_file(loss, pair, "sigmoid", tmp_path / "model.keras")


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("name", OVERLAPPING)
def test_trains_in_mixed_precision(name, policy):
    truth = np.zeros((4, 16, 16, 1), np.float32)
    truth[:, 4:12, 4:12] = 1
    losses = mixed_precision_losses(policy, build(name), truth, truth, "sigmoid")
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("wrong", [{"smooth": 0.0}, {"dice_weight": -1.0}, {"bce_weight": "1"}])
def test_senseless_parameters_are_refused(wrong):
    with pytest.raises(ConfigError, match=rf"loss\.{next(iter(wrong))}: "):
        build("bce_dice", **wrong)
