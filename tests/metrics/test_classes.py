"""Pooled training metrics against NumPy, over uneven batches, through `.keras` and on JAX."""

import math

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fetal_tf.metrics.classes import CARRY, ClassAccuracy, ClassDice, ForegroundDice, WeightedIoU
from tests.losses.jax_process import run_on_jax

EXCLUSIVE = {
    "csp_dice": lambda: ClassDice(2, name="csp_dice"),
    "foreground_dice": lambda: ForegroundDice(4),
    "weighted_iou": lambda: WeightedIoU([0, 1, 2, 2]),
    "pixel_accuracy": lambda: ClassAccuracy(),
}
LABELS = hnp.arrays(np.uint8, (4, 5, 6), elements=st.integers(0, 3))


def one_hot(labels: np.ndarray) -> np.ndarray:
    return np.eye(4, dtype=np.float32)[labels]


def pooled(name: str, truth: np.ndarray, found: np.ndarray) -> float:
    """Scores from the positions of each class's pixels in label maps of a whole epoch."""
    if name == "pixel_accuracy":
        return float(np.mean(truth == found))
    weights = {"csp_dice": [0, 0, 1, 0], "foreground_dice": [0, 1, 1, 1]}.get(name, [0, 1, 2, 2])
    total = whole = 0.0
    for c, weight in enumerate(weights):
        a, b = set(np.flatnonzero(truth == c)), set(np.flatnonzero(found == c))
        if a | b:
            dice = 2 * len(a & b) / (len(a) + len(b))
            score = len(a & b) / len(a | b) if name == "weighted_iou" else dice
            total, whole = total + weight * score, whole + weight
    return total / whole if whole else math.nan


@pytest.mark.parametrize("name", EXCLUSIVE)
@settings(max_examples=20)
@given(truth=LABELS, found=LABELS, cut=st.integers(1, 3))
def test_pooled_counts_equal_numpy_however_they_are_batched(name, truth, found, cut):
    metric = EXCLUSIVE[name]()
    for part in (slice(0, cut), slice(cut, 4)):
        metric.update_state(one_hot(truth[part]), 0.2 + 0.2 * one_hot(found[part]))
    expected = pooled(name, truth, found)
    assert float(metric.result()) == pytest.approx(expected, rel=1e-6, nan_ok=True)


def test_a_rare_structure_is_pooled_not_averaged_over_images():
    """Found whole in the one image that shows it, and half of it invented in another."""
    truth, found = np.zeros((10, 8, 8), np.uint8), np.zeros((10, 8, 8), np.uint8)
    truth[0, 0, :8] = found[0, 0, :8] = 2
    found[1, 0, :4] = 2
    metric = ClassDice(2, name="csp_dice")
    metric.update_state(one_hot(truth), one_hot(found))
    assert float(metric.result()) == pytest.approx(2 * 8 / (8 + 12))


@pytest.mark.parametrize("shown", ["truth", "prediction", "neither"])
def test_only_a_class_that_neither_side_shows_is_left_out(shown):
    truth, found = np.ones((2, 6, 6), np.uint8), np.ones((2, 6, 6), np.uint8)
    if shown == "truth":
        truth[0, 0, 0] = 2
    if shown == "prediction":
        found[0, 0, 0] = 2
    csp, foreground, iou = ClassDice(2, name="csp"), ForegroundDice(4), WeightedIoU([0, 1, 2, 2])
    for metric in (csp, foreground, iou):
        metric.update_state(one_hot(truth), one_hot(found))
    if shown == "neither":
        assert math.isnan(csp.result())
        assert float(foreground.result()) == float(iou.result()) == 1
    else:
        assert float(csp.result()) == 0
        assert float(foreground.result()) == pytest.approx((2 * 71 / 143 + 0) / 2)
        assert float(iou.result()) == pytest.approx((71 / 72) / 3)


def held(metric) -> list[int]:
    carried, pending = (np.array(v, np.int64) for v in (metric.carried, metric.pending))
    return (carried * CARRY + pending).tolist()


def test_counts_pass_from_one_part_to_the_other():
    metric = ClassAccuracy()
    truth = np.zeros((5, 512, 512), np.uint8)
    found = truth.copy()
    found[2, 7, :9] = 3
    for _ in range(3):
        metric.update_state(one_hot(truth), one_hot(found))
    assert held(metric) == [3 * (truth.size - 9), 3 * truth.size]
    assert (np.array(metric.pending) < CARRY).all() and (np.array(metric.carried) > 0).all()


def test_an_epoch_beyond_float32_and_int32_still_counts_single_pixels():
    """Past 2^24, a float32 sum would not notice a pixel; past 2^31, an int32 would be negative."""
    metric = ClassDice(2, name="csp_dice")
    metric.carried.assign([2**12] * 3)  # as after 4096 frames of 1024x1024
    truth, wrong = np.full((1, 1, 3), 2), np.array([[[2, 0, 0]]])
    for _ in range(100):
        metric.update_state(one_hot(truth), one_hot(wrong))
    assert held(metric) == [2**32 + 100, 2**32 + 300, 2**32 + 100]
    assert float(metric.result()) == pytest.approx(1 - 200 / 2**33, abs=2e-7)


def test_half_precision_decides_like_float32():
    random = np.random.default_rng(0)
    p = random.uniform(0, 1, (2, 16, 16, 4)).astype(np.float16)
    truth = random.integers(0, 4, (2, 16, 16))
    for name, make in EXCLUSIVE.items():
        metric = make()
        metric.update_state(one_hot(truth), p)
        assert float(metric.result()) == pytest.approx(pooled(name, truth, p.argmax(-1)), rel=1e-6)


@pytest.mark.parametrize("name", EXCLUSIVE)
def test_pooled_reset_forgets_and_weights_are_refused(name):
    metric = EXCLUSIVE[name]()
    truth = one_hot(np.full((2, 4, 4), 2))
    metric.update_state(truth, truth)
    assert float(metric.result()) == 1
    with pytest.raises(ValueError, match=f"{name} counts pixels whole"):
        metric.update_state(truth, truth, sample_weight=np.ones(2))
    metric.reset_state()
    assert math.isnan(metric.result())


@pytest.mark.parametrize("name", EXCLUSIVE)
def test_pooled_config_round_trip(name):
    metric = EXCLUSIVE[name]()
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert type(again) is type(metric)
    assert again.get_config() == metric.get_config()


def test_pooled_metrics_in_fit_and_in_a_keras_file(tmp_path):
    random = np.random.default_rng(0)
    truth = random.integers(0, 4, (7, 12, 9))
    p = random.dirichlet(np.ones(4), truth.shape).astype(np.float32)
    pixels = keras.Input(p.shape[1:])
    model = keras.Model(pixels, keras.layers.Identity()(pixels))
    model.compile(loss="mse", metrics=[make() for make in EXCLUSIVE.values()])
    model.evaluate(p[:1], one_hot(truth[:1]), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    for _ in range(2):  # a second epoch starts from nothing
        logs = loaded.evaluate(p, one_hot(truth), batch_size=3, verbose=0, return_dict=True)
        for name in EXCLUSIVE:
            expected = pooled(name, truth, p.argmax(-1))
            assert logs[name] == pytest.approx(expected, rel=1e-6)


JAX = """
import numpy as np
from fetal_tf.metrics.classes import ClassAccuracy, ClassDice, ForegroundDice, WeightedIoU

data = np.load(sys.argv[1])
pixels = keras.Input((12, 9, 4))
model = keras.Model(pixels, keras.layers.Identity()(pixels))
metrics = [ClassDice(2, name="csp_dice"), ForegroundDice(4), WeightedIoU([0, 1, 2, 2])]
model.compile(loss="mse", metrics=[*metrics, ClassAccuracy()])
logs = model.evaluate(data["p"], data["truth"], batch_size=3, verbose=0, return_dict=True)
print(*(f"{name}={value!r}" for name, value in logs.items()))
"""


def test_pooled_metrics_are_the_same_on_jax(tmp_path):
    random = np.random.default_rng(1)
    truth = random.integers(0, 4, (7, 12, 9))
    p = random.dirichlet(np.ones(4), truth.shape).astype(np.float32)
    np.savez(tmp_path / "pair.npz", truth=one_hot(truth), p=p)
    logs = dict(pair.split("=") for pair in run_on_jax(JAX, tmp_path / "pair.npz").split())
    for name in EXCLUSIVE:
        expected = pooled(name, truth, p.argmax(-1))
        assert float(logs[name]) == pytest.approx(expected, rel=1e-6)
