"""Training metrics of landmarks against NumPy, over uneven batches, and through a `.keras` file."""

import math

import keras
import numpy as np
import pytest

from fetal_tf.metrics.landmarks import CoordinateError, HeatmapError
from fetal_tf.metrics.masks import Dice
from tests.losses.jax_process import run_on_jax

SIZE = 20, 30  # height, width
HEAD = np.array([[5, 8], [24, 12], [16, 3], [12, 17]])


def numpy_errors(truth, found) -> list[float]:
    """Errors of the visible landmarks in px, from points (N, 4, 2) twice, NaN where not visible."""
    errors = []
    for t, p in zip(truth, found, strict=True):
        for ends in (slice(0, 2), slice(2, 4)):
            given = np.hypot(*(t[ends] - p[ends]).T)
            swapped = np.hypot(*(t[ends][::-1] - p[ends]).T)
            # A sum with NaN is never lower: an axis with a hidden end keeps its order.
            errors += list(swapped if swapped.sum() < given.sum() else given)
    return [error for error in errors if not math.isnan(error)]


@pytest.fixture
def points() -> tuple[np.ndarray, np.ndarray]:
    """Whole pixels of seven images; some ends are swapped, some hidden, one image has none."""
    random = np.random.default_rng(0)
    truth = np.clip(HEAD + random.integers(-3, 4, (7, 4, 2)), 0, 19).astype(float)
    found = np.clip(truth + random.integers(-4, 5, truth.shape), 0, 19)
    found[1:3] = found[1:3, [1, 0, 3, 2]]
    found[5] = found[5, [1, 0, 2, 3]]
    truth[4] = truth[2, 0] = truth[5, 1] = np.nan
    return truth, found


def coordinates(truth, found) -> tuple[np.ndarray, np.ndarray]:
    shares = [(points + 0.5) / np.array(SIZE[::-1]) for points in (truth, found)]
    weight = np.isfinite(truth[..., :1])
    return np.concatenate([shares[0], weight], -1).astype(np.float32), shares[1].astype(np.float32)


def maps(truth, found, head: bool) -> tuple[np.ndarray, ...]:
    """Gaussians, the found ones fainter and over a background; a mask before them if asked for."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]][:, None, None]
    both = []
    for points, peak, level in ((truth, 1.0, 0.0), (found, 0.4, 0.1)):
        squared = (x - points[..., 0, None, None]) ** 2 + (y - points[..., 1, None, None]) ** 2
        gaussians = np.moveaxis(np.nan_to_num(np.exp(-squared / 8)), 1, -1)
        mask = np.ones((len(points), *SIZE, int(head)))
        both.append(np.concatenate([mask, peak * gaussians + level], -1).astype(np.float32))
    return tuple(both)


KINDS = {
    "coordinates": (lambda: CoordinateError(SIZE), coordinates),
    "maps": (lambda: HeatmapError(), lambda *points: maps(*points, head=False)),
    "head and maps": (lambda: HeatmapError(1), lambda *points: maps(*points, head=True)),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


@every_kind
def test_equals_numpy_however_the_images_are_batched(kind, points):
    make, pair_of = KINDS[kind]
    truth, found = pair_of(*points)
    expected = np.mean(numpy_errors(*points))
    for sizes in ([7], [3, 3, 1], [1, 6]):
        metric = make()
        for part in np.split(np.arange(7), np.cumsum(sizes)[:-1]):
            metric.update_state(truth[part], found[part])
        assert float(metric.result()) == pytest.approx(expected, rel=1e-5)


@every_kind
def test_known_value_in_pixels_whichever_end_comes_first(kind):
    make, pair_of = KINDS[kind]
    truth = HEAD[None].astype(float)
    found = truth.copy()
    found[0, 0] += [-3, 4]
    for order in ([0, 1, 2, 3], [1, 0, 2, 3], [1, 0, 3, 2]):
        metric = make()
        metric.update_state(*pair_of(truth, found[:, order]))
        assert float(metric.result()) == pytest.approx(5 / 4, abs=1e-4)
        metric.reset_state()
        metric.update_state(*pair_of(truth, truth[:, order]))
        assert float(metric.result()) == pytest.approx(0, abs=1e-5)


@every_kind
def test_without_anything_visible_it_is_no_number(kind, points):
    make, pair_of = KINDS[kind]
    metric = make()
    assert math.isnan(metric.result())
    metric.update_state(*pair_of(points[0][4:5], points[1][4:5]))
    assert math.isnan(metric.result())
    metric.update_state(*pair_of(*points))
    assert float(metric.result()) == pytest.approx(np.mean(numpy_errors(*points)), rel=1e-5)
    metric.reset_state()
    assert math.isnan(metric.result())


@every_kind
def test_images_weigh_as_they_are_told(kind, points):
    make, pair_of = KINDS[kind]
    metric = make()
    metric.update_state(*pair_of(*points), sample_weight=np.array([0, 0, 2, 1, 1, 0, 0]))
    counted = [2, 2, 3, 4]
    expected = np.mean(numpy_errors(points[0][counted], points[1][counted]))
    assert float(metric.result()) == pytest.approx(expected, rel=1e-5)


@every_kind
def test_counts_beyond_float16(kind):
    make, pair_of = KINDS[kind]
    points = np.repeat(HEAD[None].astype(float), 513, axis=0)
    metric = make()
    metric.update_state(*pair_of(points, points + np.array([1.0, 0.0])))
    assert float(metric.count) == 2052
    assert float(metric.result()) == pytest.approx(1, rel=1e-4)


@every_kind
def test_the_name_is_minimised_and_config_comes_back(kind):
    metric = KINDS[kind][0]()
    assert metric.name == "radial_error"
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert type(again) is type(metric)
    assert again.get_config() == metric.get_config()
    assert HeatmapError(name="landmark_error").name == "landmark_error"


def head_and_maps(points) -> tuple[np.ndarray, ...]:
    truth, found = maps(*points, head=True)
    found[:, :, ::3, 0] = 0.4
    return truth, found


def test_beside_a_head_both_metrics_read_their_own_channels(points, tmp_path):
    truth, found = head_and_maps(points)
    pixels = keras.Input(found.shape[1:])
    model = keras.Model(pixels, keras.layers.Identity()(pixels))
    model.compile(loss="mse", metrics=[Dice(name="head_dice", channel=0), HeatmapError(1)])
    model.evaluate(found[:1], truth[:1], verbose=0)  # builds the metrics, so that they are saved
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    for _ in range(2):  # a second epoch starts from nothing
        logs = loaded.evaluate(found, truth, batch_size=3, verbose=0, return_dict=True)
        assert logs["head_dice"] == pytest.approx(2 * 20 / (30 + 20), rel=1e-6)
        assert logs["radial_error"] == pytest.approx(np.mean(numpy_errors(*points)), rel=1e-5)


JAX = """
import numpy as np
from fetal_tf.metrics.landmarks import CoordinateError, HeatmapError

data = np.load(sys.argv[1])
for metric, kind in ((CoordinateError((20, 30)), "shares"), (HeatmapError(1), "maps")):
    pixels = keras.Input(data[f"{kind}_found"].shape[1:])
    model = keras.Model(pixels, keras.layers.Identity()(pixels))
    model.compile(loss=lambda t, p: 0.0 * keras.ops.sum(p), metrics=[metric])
    logs = model.evaluate(
        data[f"{kind}_found"], data[f"{kind}_truth"], batch_size=3, verbose=0, return_dict=True
    )
    print(logs["radial_error"])
"""


def test_the_same_on_jax(points, tmp_path):
    shares, both = coordinates(*points), head_and_maps(points)
    np.savez(
        tmp_path / "pairs.npz",
        shares_truth=shares[0],
        shares_found=shares[1],
        maps_truth=both[0],
        maps_found=both[1],
    )
    printed = run_on_jax(JAX, tmp_path / "pairs.npz").split()
    assert [float(value) for value in printed] == pytest.approx(
        [np.mean(numpy_errors(*points))] * 2, rel=1e-5
    )
