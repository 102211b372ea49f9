"""Loss and metric of a head with its axis against NumPy, at their edges, in files and on JAX."""

import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from fetal_tf.edge.errors import ConfigError
from fetal_tf.edge.geometry.axis import axis_maps
from fetal_tf.edge.geometry.ellipse import Ellipse, rasterise
from fetal_tf.losses import LOSSES
from fetal_tf.losses.head_axis import HeadAndAxis
from fetal_tf.metrics.head_axis import AxisError
from tests.losses.jax_process import run_on_jax
from tests.losses.loss_checks import check_keras_file, gradient_of, mixed_precision_losses

SIZE = 20, 28  # height, width
HEAD = rasterise(Ellipse(13.2, 9.6, 9.0, 7.0, 20.0), SIZE).astype(np.float32)
HEAD[9, 3:5] = 0.4  # a border that covers part of a pixel
EMPTY = np.zeros_like(HEAD)
UNKNOWN = (0.5, 0.5)
PARAMETERS = [
    {},
    {"axis_weight": 3.0, "bce_weight": 0.5, "dice_weight": 2.0, "smooth": 4.0},
    {"axis_weight": 0.0},
]
every_parameters = pytest.mark.parametrize("parameters", PARAMETERS)


def build(**parameters) -> keras.losses.Loss:
    return LOSSES.build("loss", {"name": "head_and_axis", **parameters}, None)


def axis_alone() -> keras.losses.Loss:
    return build(axis_weight=1.0, bce_weight=0.0, dice_weight=0.0)


def image(direction, mask=HEAD, length=1.0) -> np.ndarray:
    """(h, w, 3): a mask and the maps of one direction, or of none; shorter where not sure."""
    values = UNKNOWN if direction is None else axis_maps(direction)
    values = 0.5 + length * (np.array(values, np.float32) - 0.5)
    maps = np.broadcast_to(values.astype(np.float32), (*SIZE, 2))
    return np.concatenate([mask[..., None], maps], axis=-1)


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    """Truth and answer of five images: no head in the fourth, no known axis in the fifth."""
    truth = np.stack(
        [image(20), image(45), image(100, HEAD[:, ::-1]), image(70, EMPTY), image(None)]
    )
    return truth, np.random.default_rng(0).uniform(0.05, 0.95, truth.shape).astype(np.float32)


def numpy_axis(truth, found) -> float:
    """Squared distance on the unit circle, the mean over a head; one image at a time."""
    costs = []
    for t, p in zip(truth.astype(np.float64), found.astype(np.float64), strict=True):
        inside = t[..., 0] > 0
        if not inside.any() or (t[..., 1:] == 0.5).all():
            costs.append(0.0)
            continue
        squared = ((2 * t[inside, 1:] - 2 * p[inside, 1:]) ** 2).sum(axis=-1)
        costs.append(np.average(squared, weights=t[inside, 0]))
    return float(np.mean(costs))


# --- the loss ---


@every_parameters
def test_value_equals_numpy(parameters, pair):
    head = {key: value for key, value in parameters.items() if key != "axis_weight"}
    bce_dice = LOSSES.build("loss", {"name": "bce_dice", **head}, None)
    expected = float(bce_dice(pair[0][..., :1], pair[1][..., :1]))
    expected += parameters.get("axis_weight", 0.2) * numpy_axis(*pair)
    assert float(build(**parameters)(*pair)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("off", [0, 10, 45, 90, 135, 180])
def test_a_direction_that_is_off_costs_what_is_documented(off):
    value = float(axis_alone()(image(33)[None], image(33 + off)[None]))
    assert value == pytest.approx(2 - 2 * math.cos(math.radians(2 * off)), abs=1e-5)


def test_the_truth_costs_nothing():
    truth = np.stack([image(20), image(110), image(70, EMPTY), image(None)])
    value, gradient = gradient_of(axis_alone(), truth, truth)
    assert value == 0 and not gradient.any()
    whole = truth.copy()
    whole[..., 0] = whole[..., 0] >= 0.5  # a fractional border has an entropy
    assert float(build()(whole, whole)) == pytest.approx(0, abs=1e-5)


def test_a_net_that_cannot_tell_does_best_to_say_so():
    """Of one frame in two directions: the mean vector, not either of them."""
    truth = np.stack([image(20), image(110)])
    unsure, guess = (np.stack([answer] * 2) for answer in (image(None), image(20)))
    assert float(axis_alone()(truth, unsure)) == pytest.approx(1, rel=1e-5)
    assert float(axis_alone()(truth, guess)) == pytest.approx(2, rel=1e-5)


@every_parameters
def test_outside_of_the_head_and_without_a_known_axis_maps_have_no_gradient(parameters, pair):
    truth, found = pair
    value, gradient = gradient_of(build(**parameters), truth, found)
    counts = (truth[..., 0] > 0) & (np.arange(5) < 3)[:, None, None]
    assert np.isfinite(gradient).all()
    assert not gradient[~counts][:, 1:].any()
    assert gradient[counts][:, 1:].all() == (parameters.get("axis_weight", 0.2) > 0)
    moved = found.copy()
    moved[~counts, 1:] = 1 - moved[~counts, 1:]
    assert float(build(**parameters)(truth, moved)) == value


def test_the_head_has_the_gradient_of_its_own_loss(pair):
    _, gradient = gradient_of(build(), *pair)
    bce_dice = LOSSES.build("loss", {"name": "bce_dice"}, None)
    _, expected = gradient_of(bce_dice, *(y[..., :1] for y in pair))
    np.testing.assert_allclose(gradient[..., :1], expected, rtol=1e-5, atol=1e-9)


def test_a_direction_with_one_map_in_the_middle_is_known():
    """Of 45 degrees the cosine's map is 0.5 everywhere, of 0 degrees the sine's."""
    for direction in (0, 45, 90, 135):
        truth, found = image(direction)[None], image(None)[None]
        assert float(axis_alone()(truth, found)) == pytest.approx(1, rel=1e-5)


def test_a_small_step_along_the_gradient_lowers_the_loss(pair):
    value, gradient = gradient_of(build(), *pair)
    stepped = pair[1] - 1e-3 * gradient / np.abs(gradient).max()
    assert float(build()(pair[0], stepped)) < value


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("level", [0.0, 1.0])
def test_value_and_gradient_are_finite_at_saturation(dtype, level, pair):
    prediction = tf.cast(tf.fill(pair[0].shape, level), dtype)
    assert build()(pair[0], prediction).dtype == tf.float32
    value, gradient = gradient_of(build(), pair[0], prediction)
    assert np.isfinite(value) and value > 0.1
    assert np.isfinite(gradient).all()


def test_survives_a_keras_file(pair, tmp_path):
    check_keras_file(build(**PARAMETERS[1]), pair, "sigmoid", tmp_path / "model.keras")


def test_its_config_holds_what_it_was_given(pair):
    loss = build(**PARAMETERS[1])
    again = HeadAndAxis.from_config(json.loads(json.dumps(loss.get_config())))
    assert (again.axis_weight, again.head_loss.bce_weight) == (3.0, 0.5)
    assert float(again(*pair)) == float(loss(*pair))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_trains_in_mixed_precision(policy):
    truth = np.stack([image(20)] * 4)
    losses = mixed_precision_losses(policy, build(), truth, truth, "sigmoid")
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("key", ["axis_weight", "bce_weight", "dice_weight", "smooth"])
def test_senseless_parameters_are_refused(key):
    with pytest.raises(ConfigError, match=rf"loss\.{key}: "):
        build(**{key: -1.0})


# --- the metric ---


def metric_of(*pairs, **options) -> AxisError:
    """After one batch of (truth, answer) per pair of lists of images."""
    metric = AxisError()
    for truth, found in pairs:
        metric.update_state(np.stack(truth), np.stack(found), **options)
    return metric


def numpy_errors(truth, found) -> list[float]:
    """Degrees of the images that count, by the direction of the mean vector."""
    errors = []
    for t, p in zip(truth.astype(np.float64), found.astype(np.float64), strict=True):
        vectors = [((2 * y[..., 1:] - 1) * t[..., :1]).sum(axis=(0, 1)) for y in (t, p)]
        if not vectors[0].any():
            continue
        first, second = (np.degrees(np.arctan2(v[1], v[0])) / 2 for v in vectors)
        errors.append(abs((first - second + 90) % 180 - 90))
    return errors


@pytest.mark.parametrize(
    ("true", "found", "expected"),
    [
        (10, 30, 20),
        (30, 10, 20),
        (5, 175, 10),
        (170, 10, 20),
        (20, 200, 0),
        (0, 90, 90),
        (45, 135, 90),
        (10, 101, 89),
        (10, 99, 89),
    ],
)
@pytest.mark.parametrize("length", [1.0, 0.1])
def test_degrees_by_hand_however_sure_the_net_is(true, found, expected, length):
    metric = metric_of(([image(true)], [image(found, length=length)]))
    assert float(metric.result()) == pytest.approx(expected, abs=0.01)


def test_equals_numpy_however_the_images_are_batched(pair):
    truth, found = pair
    assert len(numpy_errors(truth, found)) == 3  # no head, no axis: left out
    for sizes in ([5], [2, 2, 1], [1, 4]):
        parts = np.split(np.arange(5), np.cumsum(sizes)[:-1])
        metric = metric_of(*((truth[part], found[part]) for part in parts))
        assert float(metric.result()) == pytest.approx(
            np.mean(numpy_errors(truth, found)), rel=1e-4
        )


def test_what_is_said_outside_of_the_true_head_does_not_count():
    found = image(30)
    found[HEAD == 0] = image(120)[HEAD == 0]
    found[..., 0] = 0.3  # nor what the net takes for the head
    assert float(metric_of(([image(20)], [found])).result()) == pytest.approx(10, abs=0.01)


def test_without_a_known_axis_it_is_no_number():
    metric = AxisError()
    assert math.isnan(metric.result())
    nothing = np.stack([image(20, EMPTY), image(None)])
    metric.update_state(nothing, np.stack([image(20), image(20)]))
    assert math.isnan(metric.result())
    metric.update_state(image(20)[None], image(50)[None])
    assert float(metric.result()) == pytest.approx(30, abs=0.01)
    metric.reset_state()
    assert math.isnan(metric.result())


def test_a_net_that_shows_no_direction_is_not_the_best():
    assert float(metric_of(([image(20)], [image(None)])).result()) == 45


def test_images_weigh_as_they_are_told(pair):
    weights = np.array([2, 0, 1, 5, 5])
    first, _, third = numpy_errors(*pair)
    expected = pytest.approx((2 * first + third) / 3, rel=1e-4)
    assert float(metric_of(pair, sample_weight=weights).result()) == expected
    assert float(metric_of(pair, sample_weight=weights[:, None]).result()) == expected


def test_the_name_is_minimised_and_config_comes_back():
    metric = AxisError()
    assert metric.name == "axis_error"
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert type(again) is AxisError and again.get_config() == metric.get_config()


JAX = """
import json
import jax
import numpy as np
from fetal_tf.metrics.head_axis import AxisError
from fetal_tf.losses import LOSSES

data = np.load(sys.argv[1])
truth, found = data["truth"], data["found"]
loss = LOSSES.build("loss", json.loads(sys.argv[2]), None)
value, gradient = jax.jit(jax.value_and_grad(lambda p: loss(truth, p)))(found)
metric = AxisError()
metric.update_state(truth, found)
print(float(value), float(np.abs(gradient - data["gradient"]).max()), float(metric.result()))
"""


def test_the_same_on_jax(pair, tmp_path):
    value, gradient = gradient_of(build(**PARAMETERS[1]), *pair)
    np.savez(tmp_path / "pair.npz", truth=pair[0], found=pair[1], gradient=gradient)
    spec = {"name": "head_and_axis", **PARAMETERS[1]}
    printed = run_on_jax(JAX, tmp_path / "pair.npz", json.dumps(spec)).split()
    there, worst, degrees = map(float, printed)
    assert there == pytest.approx(value, rel=1e-5)
    assert worst <= 1e-5 * np.abs(gradient).max()
    assert degrees == pytest.approx(np.mean(numpy_errors(*pair)), rel=1e-4)
