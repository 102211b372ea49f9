"""The ellipse loss against NumPy and closed forms, at its edges, in files and on JAX."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from fetal_tf.edge.errors import ConfigError
from fetal_tf.edge.geometry.ellipse import Ellipse, rasterise
from fetal_tf.losses import LOSSES
from fetal_tf.losses.ellipse import ellipse_distance
from tests.losses.jax_process import run_on_jax
from tests.losses.loss_checks import check_keras_file, gradient_of, mixed_precision_losses

SIZE = 96, 144
FINE = 192, 288  # for ellipses of any size: the smallest would leave 0.01 on the grid above
# Compared with closed forms, pixels of this size leave an error of 0.008.
HEAD = Ellipse(70.0, 48.0, 40.0, 30.0, 20.0)


def mask(ellipse: Ellipse, size: tuple[int, int] = SIZE) -> np.ndarray:
    """(H, W, 1) float32, with the coverage of border pixels: eight points across each."""
    fine = rasterise(
        Ellipse(
            8 * ellipse.center_x + 3.5,
            8 * ellipse.center_y + 3.5,
            8 * ellipse.semi_major,
            8 * ellipse.semi_minor,
            ellipse.angle_deg,
        ),
        (8 * size[0], 8 * size[1]),
    )
    height, width = size
    return fine.reshape(height, 8, width, 8).mean(axis=(1, 3)).astype(np.float32)[..., None]


def distance(truth: np.ndarray, found: np.ndarray) -> float:
    return float(ellipse_distance(truth[None], found[None])[0])


def numpy_distance(truth: np.ndarray, found: np.ndarray) -> float:
    """By weighted covariances, channel by channel."""
    t, p = (np.clip(y.astype(np.float64), 1e-6, 1 - 1e-6) for y in (truth, found))
    t, p = (y**4 / (y**4 + (1 - y) ** 4) for y in (t, p))
    costs = []
    for k in range(truth.shape[-1]):
        if truth[..., k].sum() < 16:
            costs.append(0.0)
            continue
        rows, columns = np.indices(SIZE)
        described = []
        for weight in (t[..., k], p[..., k]):
            points = np.stack([columns.ravel(), rows.ravel()])
            center = np.average(points, axis=1, weights=weight.ravel())
            covariance = np.cov(points, aweights=weight.ravel(), ddof=0)
            trace = np.trace(covariance)
            shape = np.array([covariance[0, 0] - covariance[1, 1], 2 * covariance[0, 1]]) / trace
            described.append((center, np.sqrt(trace), shape))
        (c0, r0, e0), (c1, r1, e1) = described
        costs.append(abs(np.log(r1 / r0)) + np.linalg.norm(e1 - e0) + np.linalg.norm(c1 - c0) / r0)
    return float(np.mean(costs))


def test_value_equals_numpy():
    random = np.random.default_rng(0)
    truth = np.concatenate([mask(HEAD), mask(Ellipse(60.0, 40.0, 20.0, 12.0, 100.0))], axis=-1)
    found = random.uniform(0.0, 1.0, truth.shape).astype(np.float32)
    assert distance(truth, found) == pytest.approx(numpy_distance(truth, found), rel=1e-3)


def test_the_truth_costs_nothing_and_an_absent_head_neither():
    truth = mask(HEAD)
    value, gradient = gradient_of(lambda t, p: ellipse_distance(t, p)[0], truth[None], truth[None])
    assert value == 0 and np.isfinite(gradient).all()
    nothing = np.zeros_like(truth)
    assert distance(nothing, truth) == 0
    assert np.isfinite(distance(truth, nothing))


@settings(max_examples=20)
@given(st.floats(0.8, 1.2), st.floats(0, 179))
def test_the_size_of_an_ellipse_counts_as_its_circumference_does(scale, angle):
    head = Ellipse(140.0, 96.0, 68.0, 54.0, angle)
    other = Ellipse(140.0, 96.0, 68.0 * scale, 54.0 * scale, angle)
    expected = abs(np.log(other.perimeter / head.perimeter))
    assert distance(mask(head, FINE), mask(other, FINE)) == pytest.approx(expected, abs=0.008)


def test_a_turned_ellipse_costs_by_its_elongation():
    turned = Ellipse(70.0, 48.0, 40.0, 30.0, 35.0)
    elongation = (40**2 - 30**2) / (40**2 + 30**2)
    expected = 2 * elongation * np.sin(np.radians(15))
    assert distance(mask(HEAD), mask(turned)) == pytest.approx(expected, abs=0.004)


def test_a_moved_ellipse_costs_by_its_radius():
    moved = Ellipse(75.0, 48.0, 40.0, 30.0, 20.0)
    assert distance(mask(HEAD), mask(moved)) == pytest.approx(5 / 25, abs=0.004)  # sqrt(a²+b²)/2


def test_a_soft_border_whose_contour_is_right_costs_little():
    """Without sharpening, a border this soft would look 0.9 % too large."""
    rows, columns = np.indices(SIZE)
    radius = np.hypot(columns - 70, rows - 48)
    soft = (1 / (1 + np.exp(radius - 35)))[..., None].astype(np.float32)
    wider = (1 / (1 + np.exp(radius - 36)))[..., None].astype(np.float32)
    truth = mask(Ellipse(70.0, 48.0, 35.0, 35.0, 0.0))
    assert distance(truth, soft) < 0.002
    assert distance(truth, wider) == pytest.approx(1 / 35, abs=0.003)


def build(**parameters) -> keras.losses.Loss:
    return LOSSES.build("loss", {"name": "bce_dice", **parameters}, None)


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    truth = np.stack([mask(HEAD), mask(Ellipse(80.0, 50.0, 25.0, 20.0, 80.0)), 0 * mask(HEAD)])
    return truth, np.random.default_rng(1).uniform(0.05, 0.95, truth.shape).astype(np.float32)


def test_it_comes_to_the_mask_loss_with_its_weight(pair):
    expected = float(build()(*pair)) + 3 * float(np.mean(ellipse_distance(*pair)))
    assert float(build(ellipse_weight=3.0)(*pair)) == pytest.approx(expected, rel=1e-5)
    head = np.concatenate([pair[0], np.full((*pair[0].shape[:3], 2), 0.5, np.float32)], axis=-1)
    beside = LOSSES.build("loss", {"name": "head_and_axis", "ellipse_weight": 3.0}, None)
    found = np.concatenate([pair[1], head[..., 1:]], axis=-1)
    assert float(beside(head, found)) == pytest.approx(expected, rel=1e-5)


def test_a_small_step_along_the_gradient_lowers_it(pair):
    loss = build(bce_weight=0.0, dice_weight=0.0, ellipse_weight=1.0)
    value, gradient = gradient_of(loss, *pair)
    stepped = pair[1] - 1e-3 * gradient / np.abs(gradient).max()
    assert float(loss(pair[0], stepped)) < value
    assert not gradient[2].any()  # no head: nothing to learn about its shape


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("level", [0.0, 1.0])
def test_value_and_gradient_are_finite_at_saturation(dtype, level, pair):
    prediction = tf.cast(tf.fill(pair[0].shape, level), dtype)
    value, gradient = gradient_of(build(ellipse_weight=1.0), pair[0], prediction)
    assert np.isfinite(value) and np.isfinite(gradient).all()


def test_survives_a_keras_file(pair, tmp_path):
    check_keras_file(build(ellipse_weight=2.0), pair, "sigmoid", tmp_path / "model.keras")


def test_trains_in_mixed_precision(pair):
    loss = build(ellipse_weight=1.0)
    image = pair[0] + 0.1
    losses = mixed_precision_losses("mixed_bfloat16", loss, image, pair[0], "sigmoid")
    assert np.isfinite(losses).all() and losses[-1] < losses[0]


def test_a_senseless_weight_is_refused():
    with pytest.raises(ConfigError, match=r"loss\.ellipse_weight: "):
        build(ellipse_weight=-1.0)


def test_equals_jax(pair, tmp_path):
    np.savez(tmp_path / "pair.npz", truth=pair[0], found=pair[1])
    printed = run_on_jax(
        """
import numpy as np
from fetal_tf.losses.ellipse import ellipse_distance
pair = np.load(sys.argv[1])
print(*map(float, ellipse_distance(pair["truth"], pair["found"])))
""",
        tmp_path / "pair.npz",
    )
    np.testing.assert_allclose(
        [float(word) for word in printed.split()], ellipse_distance(*pair), rtol=1e-4
    )
