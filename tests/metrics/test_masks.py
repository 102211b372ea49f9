"""Training metrics against NumPy, over uneven batches, and through a `.keras` file."""

import keras
import numpy as np
import pytest

from fetal_tf.metrics.masks import Dice, IoU, PixelAccuracy

METRICS = {"dice": Dice, "iou": IoU, "pixel_accuracy": PixelAccuracy}


def numpy_score(name: str, truth: np.ndarray, predicted: np.ndarray) -> float:
    """One class of one image, from sets of pixel positions."""
    a, b = set(np.flatnonzero(truth)), set(np.flatnonzero(predicted))
    if name == "pixel_accuracy":
        return 1 - len(a ^ b) / truth.size
    if not a and not b:
        return 1.0
    return 2 * len(a & b) / (len(a) + len(b)) if name == "dice" else len(a & b) / len(a | b)


def numpy_mean(name: str, truth: np.ndarray, p: np.ndarray) -> float:
    images, classes = truth.shape[0], truth.shape[-1]
    return float(
        np.mean(
            [
                numpy_score(name, truth[i, ..., k] >= 0.5, p[i, ..., k] >= 0.5)
                for i in range(images)
                for k in range(classes)
            ]
        )
    )


@pytest.fixture
def batch() -> tuple[np.ndarray, np.ndarray]:
    """Seven images, two classes; structures of every size, one truth empty, one pair empty."""
    random = np.random.default_rng(0)
    rate = random.uniform(0, 1, (7, 1, 1, 2))
    truth = np.clip(random.uniform(0, 1, (7, 12, 9, 2)) + rate - 0.5, 0, 1).astype(np.float32)
    p = np.clip(truth + random.normal(0, 0.4, truth.shape), 0, 1).astype(np.float32)
    truth[0, ..., 0] = 0.2
    truth[1, ..., 1] = p[1, ..., 1] = 0
    return truth, p


@pytest.mark.parametrize("name", METRICS)
def test_equals_numpy_however_the_images_are_batched(name, batch):
    truth, p = batch
    for sizes in ([7], [3, 3, 1], [1, 6]):
        metric = METRICS[name](name=name)
        for part in np.split(np.arange(7), np.cumsum(sizes)[:-1]):
            metric.update_state(truth[part], p[part])
        assert float(metric.result()) == pytest.approx(numpy_mean(name, truth, p), rel=1e-6)


@pytest.mark.parametrize("name", METRICS)
def test_known_values(name):
    truth = np.zeros((1, 2, 4, 1), np.float32)
    p = truth.copy()
    truth[0, 0], p[0, 0, 2:], p[0, 1, :1] = 1, 1, 1  # 4 true, 3 predicted, 2 shared
    metric = METRICS[name]()
    metric.update_state(truth, p)
    expected = {"dice": 4 / 7, "iou": 2 / 5, "pixel_accuracy": 5 / 8}[name]
    assert float(metric.result()) == pytest.approx(expected)
    assert metric.name == name


@pytest.mark.parametrize("name", METRICS)
def test_half_covered_counts_as_inside_and_just_below_does_not(name):
    metric = METRICS[name]()
    metric.update_state(np.full((1, 4, 4, 1), 0.5), np.full((1, 4, 4, 1), 0.5))
    assert float(metric.result()) == 1
    metric.reset_state()
    metric.update_state(np.full((1, 4, 4, 1), 0.499), np.full((1, 4, 4, 1), 0.5))
    assert float(metric.result()) == 0


def test_every_image_weighs_the_same():
    truth = np.zeros((2, 10, 10, 1), np.float32)
    truth[0], truth[1, 0, 0] = 1, 1
    p = truth.copy()
    p[1] = 0
    metric = Dice()
    metric.update_state(truth, p)
    assert float(metric.result()) == 0.5


@pytest.mark.parametrize("name", METRICS)
def test_sample_weight_of_zero_leaves_an_image_out(name, batch):
    truth, p = batch
    weighted, alone = METRICS[name](), METRICS[name]()
    weighted.update_state(truth, p, sample_weight=np.array([0, 0, 1, 0, 0, 0, 0]))
    alone.update_state(truth[2:3], p[2:3])
    assert float(weighted.result()) == pytest.approx(float(alone.result()))


@pytest.mark.parametrize("name", METRICS)
def test_reset_forgets_and_empty_is_zero(name, batch):
    metric = METRICS[name]()
    metric.update_state(*batch)
    metric.reset_state()
    assert float(metric.result()) == 0


def test_counts_beyond_float16(batch):
    """Under mixed_float16 the sums of a large image still count pixels one by one."""
    truth = np.ones((1, 512, 512, 1), np.float16)
    p = truth.copy()
    p[0, 0, :10] = 0
    metric = Dice()
    metric.update_state(truth, p)
    area = 512 * 512
    assert float(metric.result()) == pytest.approx(2 * (area - 10) / (2 * area - 10), abs=1e-7)


def test_fit_evaluate_and_a_keras_file_agree_with_numpy(batch, tmp_path):
    truth, p = batch
    pixels = keras.Input(p.shape[1:])
    model = keras.Model(pixels, keras.layers.Identity()(pixels))
    model.compile(loss="mse", metrics=[metric(name=name) for name, metric in METRICS.items()])
    model.evaluate(p[:1], truth[:1], verbose=0)  # builds the metrics that the file records
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    logs = loaded.evaluate(p, truth, batch_size=4, verbose=0, return_dict=True)
    for name in METRICS:
        assert logs[name] == pytest.approx(numpy_mean(name, truth, p), rel=1e-6)


@pytest.mark.parametrize("name", METRICS)
def test_config_round_trip(name):
    metric = METRICS[name](name="other")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert type(again) is type(metric)
    assert again.name == "other"


def test_one_channel_is_scored_alone():
    truth = np.zeros((1, 4, 4, 2), np.float32)
    truth[:, :2, :, 0] = 1
    truth[:, :, :2, 1] = 1
    predicted = truth.copy()
    predicted[:, :, 1, 1] = 0  # half of the second structure is missed: Dice 2·4 / (4 + 8)
    for channel, expected in ((0, 1.0), (1, 2 / 3), (None, 5 / 6)):
        metric = Dice(channel=channel)
        metric.update_state(truth, predicted)
        assert float(metric.result()) == pytest.approx(expected)
    assert Dice.from_config(Dice(channel=1).get_config()).channel == 1
